use soniquebay_store::postgres::PostgresStore;
use soniquebay_store::sqlite::SqliteStore;

use crate::output;
use crate::place::Place;

pub(super) async fn run(place: &Place) -> anyhow::Result<()> {
    let (from, to) = match place {
        Place::File(path) => SqliteStore::migrate(path).await?,
        Place::Server(url) => PostgresStore::migrate(url).await?,
    };
    output::line(&match from {
        Some(from) if from == to => format!("{place}: format {to}, which is this version's"),
        Some(from) => format!("{place}: brought from format {from} to {to}"),
        None => format!("{place}: made, in format {to}"),
    })
}
