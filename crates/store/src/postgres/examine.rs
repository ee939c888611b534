//! What a server is and how it is set up, without changing anything: for whoever looks for a fault.

use std::time::Duration;

use soniquebay_domain::{Clock, StoreError, SystemClock};
use tokio_postgres::Client;

use super::connection::{Manner, Server};
use super::error::SqlError;
use super::migrate::{OLDEST_PGVECTOR, OLDEST_SERVER};

/// What a PostgreSQL server says of itself and of one database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PostgresStanding {
    /// Its version, and whether that is new enough.
    pub version: (String, bool),
    /// The version of pgvector in this database, and whether that is new enough; `None` where it is not made yet.
    pub pgvector: Option<(String, bool)>,
    /// The version of pgvector that the server could make here.
    pub available: Option<String>,
    /// Indexes over vectors that do not answer, as their building did not come to its end.
    pub invalid: Vec<String>,
    /// Whether SoniqueBay has made its tables here.
    pub is_ours: bool,
    /// Connections in use, and that it takes.
    pub connections: (i64, i64),
    /// How far its clock is ahead of ours, in milliseconds.
    pub ahead: i64,
}

impl PostgresStanding {
    /// Asks the server, within this time.
    ///
    /// # Errors
    /// Where it cannot be reached. The text tells no password.
    pub async fn look(url: &str, within: Duration) -> Result<Self, StoreError> {
        let server = Server::new(url, Manner::Upkeep)?;
        let look = async {
            let (client, connection) = server.alone().await?;
            let driver = tokio::spawn(connection);
            let standing = read(&client).await;
            driver.abort();
            standing.map_err(|error| error.told(server.address()))
        };
        let silent =
            || StoreError::Unavailable(format!("PostgreSQL at {}: no answer within {within:.0?}", server.address()));
        tokio::time::timeout(within, look).await.map_err(|_| silent())?
    }
}

async fn read(client: &Client) -> Result<PostgresStanding, SqlError> {
    let row = client
        .query_one(
            "SELECT current_setting('server_version_num')::int, current_setting('server_version'), \
             (SELECT extversion FROM pg_extension WHERE extname = 'vector'), \
             (SELECT default_version FROM pg_available_extensions WHERE name = 'vector'), \
             (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'), \
             current_setting('max_connections')::bigint, \
             (extract(epoch FROM clock_timestamp()) * 1000)::bigint, \
             to_regclass('soniquebay_format') IS NOT NULL",
            &[],
        )
        .await?;
    let ahead = row.try_get::<_, i64>(6)?.saturating_sub(SystemClock.now().0);
    let invalid = client
        .query(
            "SELECT c.relname FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid \
             WHERE NOT i.indisvalid AND c.relname LIKE 'track\\_vectors\\_hnsw\\_%'",
            &[],
        )
        .await?;
    let invalid = invalid.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?;
    let pgvector: Option<String> = row.try_get(2)?;
    let is_new = |version: &str| {
        let numbers: Vec<u32> = version.split('.').map_while(|number| number.parse().ok()).collect();
        numbers.as_slice() >= OLDEST_PGVECTOR.as_slice()
    };
    Ok(PostgresStanding {
        version: (row.try_get(1)?, row.try_get::<_, i32>(0)? >= OLDEST_SERVER),
        pgvector: pgvector.map(|version| (version.clone(), is_new(&version))),
        available: row.try_get(3)?,
        invalid,
        is_ours: row.try_get(7)?,
        connections: (row.try_get(4)?, row.try_get(5)?),
        ahead,
    })
}
