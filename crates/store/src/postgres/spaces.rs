use deadpool_postgres::{GenericClient, Transaction};
use soniquebay_domain::{Space, SpaceSize, StoreError};
use tokio_postgres::Row;

use super::connection::{execute, first, rows};
use super::error::SqlError;
use super::hnsw;

/// Spaces that one database keeps. Few are ever used; without a bound a client could fill the disk.
const MAX_SPACES: i64 = 32;

/// Held while a space is made, so that the bound holds.
const SPACES_LOCK: i64 = 0x5362_6179_0002;

fn parse(name: &str) -> Result<Space, SqlError> {
    Space::parse(name).map_err(|_| StoreError::Corrupt { table: "spaces", row: name.to_owned(), column: "name" }.into())
}

pub(super) async fn wanted_names(client: &impl GenericClient) -> Result<Vec<String>, SqlError> {
    let wanted = rows(client, "SELECT name FROM spaces WHERE wanted ORDER BY name", &[]).await?;
    wanted.iter().map(|row| Ok(row.try_get(0)?)).collect()
}

pub(super) async fn wanted(client: &impl GenericClient) -> Result<Vec<Space>, SqlError> {
    wanted_names(client).await?.iter().map(|name| parse(name)).collect()
}

/// All known spaces, with whether they are wanted.
pub(super) async fn all(client: &impl GenericClient) -> Result<Vec<(Space, bool)>, SqlError> {
    let all = rows(client, "SELECT name, wanted FROM spaces ORDER BY wanted DESC, name", &[]).await?;
    all.iter().map(|row| Ok((parse(row.try_get(0)?)?, row.try_get(1)?))).collect()
}

/// All known spaces, with how many vectors each holds.
pub(super) async fn sizes(client: &impl GenericClient) -> Result<Vec<SpaceSize>, SqlError> {
    let sql = "SELECT name, wanted, (SELECT count(*) FROM track_vectors WHERE space = name) \
               FROM spaces ORDER BY wanted DESC, name";
    let read = |row: &Row| {
        let vectors: i64 = row.try_get(2)?;
        Ok(SpaceSize { space: parse(row.try_get(0)?)?, wanted: row.try_get(1)?, vectors: vectors.unsigned_abs() })
    };
    rows(client, sql, &[]).await?.iter().map(read).collect()
}

/// A space's own number, which names its index.
pub(super) async fn number(client: &impl GenericClient, space: &Space) -> Result<Option<i64>, SqlError> {
    let found = first(client, "SELECT number FROM spaces WHERE name = $1", &[&space.to_string()]).await?;
    Ok(found.map(|row| row.try_get(0)).transpose()?)
}

/// The numbers of all spaces.
pub(super) async fn numbers(client: &impl GenericClient) -> Result<Vec<i64>, SqlError> {
    let found = rows(client, "SELECT number FROM spaces ORDER BY number", &[]).await?;
    found.iter().map(|row| Ok(row.try_get(0)?)).collect()
}

/// Makes a space known, so that vectors can be stored in it.
pub(super) async fn ensure(tx: &Transaction<'_>, space: &Space) -> Result<(), SqlError> {
    if number(tx, space).await?.is_some() {
        return Ok(());
    }
    execute(tx, "SELECT pg_advisory_xact_lock($1)", &[&SPACES_LOCK]).await?;
    if number(tx, space).await?.is_some() {
        return Ok(());
    }
    let count: i64 = tx.query_one("SELECT count(*) FROM spaces", &[]).await?.try_get(0)?;
    if count >= MAX_SPACES {
        return Err(StoreError::TooManySpaces(usize::try_from(count).unwrap_or(usize::MAX)).into());
    }
    let dims = i32::try_from(space.dims()).unwrap_or(i32::MAX);
    execute(tx, "INSERT INTO spaces (name, dims) VALUES ($1, $2)", &[&space.to_string(), &dims]).await.map(drop)
}

/// Makes these the wanted spaces.
pub(super) async fn want(tx: &Transaction<'_>, wanted: &[Space]) -> Result<(), SqlError> {
    for space in wanted {
        ensure(tx, space).await?;
    }
    let names: Vec<String> = wanted.iter().map(ToString::to_string).collect();
    execute(tx, "UPDATE spaces SET wanted = (name = ANY($1)) WHERE wanted <> (name = ANY($1))", &[&names]).await?;
    // Jobs of spaces that nobody wants any more would only waste work.
    execute(tx, "DELETE FROM jobs WHERE space <> ALL($1) AND state <> 'running'", &[&names]).await.map(drop)
}

/// Forgets a space; how many vectors it had. The change log keeps a row of each, so that indexes hear of it.
pub(super) async fn forget(tx: &Transaction<'_>, space: &Space) -> Result<u64, SqlError> {
    let name = space.to_string();
    if wanted_names(tx).await?.contains(&name) {
        return Err(StoreError::SpaceWanted(space.clone()).into());
    }
    let Some(number) = number(tx, space).await? else { return Ok(0) };
    // A million vectors take their time.
    tx.batch_execute("SET LOCAL statement_timeout = '10min'").await?;
    let vectors = execute(tx, "DELETE FROM track_vectors WHERE space = $1", &[&name]).await?;
    execute(tx, "DELETE FROM spaces WHERE name = $1", &[&name]).await?;
    // Last: it keeps all others from the table until the end.
    tx.batch_execute(&format!("DROP INDEX IF EXISTS {}", hnsw::name(number))).await?;
    Ok(vectors)
}
