use std::time::Duration;

use soniquebay_domain::StoreError;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Transaction};

use super::connection::Server;
use super::error::SqlError;

/// Each step brings the database from its index to the next format. Steps are never changed once released.
pub(super) const STEPS: &[&str] = &[
    include_str!("../../migrations/postgres/0001_library.sql"),
    include_str!("../../migrations/postgres/0002_keys.sql"),
    include_str!("../../migrations/postgres/0003_analysis.sql"),
    include_str!("../../migrations/postgres/0004_filters.sql"),
    include_str!("../../migrations/postgres/0005_vectors_inline.sql"),
];

/// Held while the format is looked at and changed: of several processes that start at once, one does it.
pub(super) const MIGRATION_LOCK: i64 = 0x5362_6179_0001;

/// Versions as `server_version_num` counts them: 14 is the first whose statements we use are all there.
pub(super) const OLDEST_SERVER: i32 = 140_000;

/// Before this, pgvector may damage an HNSW index while it is vacuumed.
pub(super) const OLDEST_PGVECTOR: [u32; 3] = [0, 8, 3];

/// How long other processes' migrations are waited for, and ours may take.
const PATIENCE: Duration = Duration::from_secs(600);

/// Checks what the server is, and brings the database to the newest format; says from which, if it was ours, to which.
pub(super) async fn migrate(server: &Server) -> Result<(Option<i64>, i64), StoreError> {
    let (mut client, connection) = server.alone().await?;
    let driver = tokio::spawn(connection);
    let done = tokio::time::timeout(PATIENCE, steps(&mut client, server.address())).await;
    driver.abort();
    match done {
        Ok(done) => done.map_err(|error| error.told(server.address())),
        Err(_) => Err(StoreError::Overloaded),
    }
}

async fn steps(client: &mut Client, address: &str) -> Result<(Option<i64>, i64), SqlError> {
    let unusable = |reason: String| StoreError::Unavailable(format!("PostgreSQL at {address}: {reason}"));
    let row = client
        .query_one("SELECT current_setting('server_version_num')::int, current_setting('server_version')", &[])
        .await?;
    if row.get::<_, i32>(0) < OLDEST_SERVER {
        let found: String = row.get(1);
        return Err(unusable(format!("it is version {found}, and 14 or later is needed: upgrade the server")).into());
    }
    let transaction = client.transaction().await?;
    transaction.batch_execute("SET LOCAL lock_timeout = 0; SET LOCAL statement_timeout = 0").await?;
    transaction.execute("SELECT pg_advisory_xact_lock($1)", &[&MIGRATION_LOCK]).await?;
    let schema: Option<String> = transaction.query_one("SELECT current_schema()", &[]).await?.try_get(0)?;
    if schema.is_none() {
        let reason = "there is no schema to make tables in: create the one that the address names (search_path)";
        return Err(unusable(reason.into()).into());
    }
    pgvector(&transaction).await.map_err(|error| match error {
        SqlError::Store(StoreError::Unavailable(reason)) => unusable(reason).into(),
        other => other,
    })?;
    let found = format(&transaction).await?;
    let supported = STEPS.len() as i64;
    match found {
        Some(found) if found > supported => return Err(StoreError::Newer { found, supported }.into()),
        None if foreign(&transaction).await? => {
            let reason = "it holds another program's table called tracks: name a database of its own, or a schema, as in \
                 ?options=-csearch_path%3Dsoniquebay,public";
            return Err(unusable(reason.into()).into());
        }
        _ => {}
    }
    let before = found.unwrap_or(0);
    for step in STEPS.iter().skip(usize::try_from(before).unwrap_or(0)) {
        transaction.batch_execute(step).await?;
    }
    if before < supported {
        transaction
            .batch_execute(&format!(
                "CREATE TABLE IF NOT EXISTS soniquebay_format (number BIGINT NOT NULL); DELETE FROM soniquebay_format; \
                 INSERT INTO soniquebay_format VALUES ({supported})"
            ))
            .await?;
    }
    transaction.commit().await?;
    Ok((found, supported))
}

/// The format of the database; `None` where it was never ours.
async fn format(transaction: &Transaction<'_>) -> Result<Option<i64>, SqlError> {
    let there = transaction
        .query_one("SELECT to_regclass(format('%I.soniquebay_format', current_schema())) IS NOT NULL", &[])
        .await?;
    if !there.get::<_, bool>(0) {
        return Ok(None);
    }
    let row = transaction.query_opt("SELECT number FROM soniquebay_format", &[]).await?;
    Ok(row.map(|row| row.get(0)))
}

async fn foreign(transaction: &Transaction<'_>) -> Result<bool, SqlError> {
    Ok(transaction
        .query_one("SELECT to_regclass(format('%I.tracks', current_schema())) IS NOT NULL", &[])
        .await?
        .get(0))
}

/// Makes the extension where it is missing, and checks its version.
async fn pgvector(transaction: &Transaction<'_>) -> Result<(), SqlError> {
    let version = "SELECT extversion FROM pg_extension WHERE extname = 'vector'";
    let mut found = transaction.query_opt(version, &[]).await?;
    if found.is_none() {
        if let Err(error) = transaction.batch_execute("CREATE EXTENSION vector").await {
            let reason = match error.code() {
                Some(state) if *state == SqlState::INSUFFICIENT_PRIVILEGE => {
                    "this database lacks the extension pgvector, and the user may not make it: as a superuser, run in this \
                     database: CREATE EXTENSION vector;"
                }
                Some(state) if [&SqlState::UNDEFINED_FILE, &SqlState::FEATURE_NOT_SUPPORTED].contains(&state) => {
                    "the extension pgvector is not installed on the server: install version 0.8.3 or later of it"
                }
                _ => return Err(error.into()),
            };
            return Err(StoreError::Unavailable(reason.into()).into());
        }
        found = transaction.query_opt(version, &[]).await?;
    }
    let found: String = found.map_or_else(String::new, |row| row.get(0));
    let numbers: Vec<u32> = found.split('.').map_while(|number| number.parse().ok()).collect();
    if numbers.as_slice() < OLDEST_PGVECTOR.as_slice() {
        let reason = format!(
            "its pgvector is version {found}, and 0.8.3 or later is needed: install that on the server, then run in this \
             database: ALTER EXTENSION vector UPDATE;"
        );
        return Err(StoreError::Unavailable(reason).into());
    }
    Ok(())
}
