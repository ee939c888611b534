//! The approximate index of a space: pgvector's HNSW over its vectors in half precision, as a partial index.

use std::time::{Duration, Instant};

use soniquebay_domain::{Space, StoreError};
use tokio_postgres::Client;

use super::connection::Server;
use super::error::SqlError;

/// The most numbers of half precision that pgvector indexes.
const MAX_DIMS: usize = 4000;

/// Held while an index is built: of several processes, one does it. With the space's number, as a lock of two halves.
const BUILD_LOCK: i32 = 0x5362_6179;

/// Bounds of the memory that a build may take, in MB: pgvector's own default, and what a small server can spare.
const MEMORY: (u64, u64) = (64, 1024);

/// The longest that a build may take: a million vectors on a slow machine.
const PATIENCE: Duration = Duration::from_secs(12 * 3600);

/// Where a space's index stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// There is none, or half of one that a process left behind.
    Missing,
    /// It answers.
    Ready,
}

/// The index of the space of this number.
pub(super) fn name(number: i64) -> String {
    format!("track_vectors_hnsw_{number}")
}

/// What is indexed, and so what a query must order by, word for word. Vectors of any length are stored, and half precision
/// holds small numbers only: made unit first, so that the inner product orders as the cosine does.
pub(super) fn expression(space: &Space) -> String {
    format!("(l2_normalize(vector)::halfvec({}))", space.dims())
}

/// Whether pgvector can index the space.
pub(super) fn is_possible(space: &Space) -> bool {
    space.dims() <= MAX_DIMS
}

/// Builds the index of a space without keeping anybody from writing. Nothing is done where it is there, or another
/// process builds it.
pub(super) async fn build(server: &Server, space: &Space) -> Result<Standing, StoreError> {
    let (client, connection) = server.alone().await?;
    let driver = tokio::spawn(connection);
    let done = tokio::time::timeout(PATIENCE, build_on(&client, space)).await;
    driver.abort();
    match done {
        Ok(done) => done.map_err(|error| error.told(server.address())),
        Err(_) => Err(StoreError::Overloaded),
    }
}

async fn build_on(client: &Client, space: &Space) -> Result<Standing, SqlError> {
    let sql = "SELECT number FROM spaces WHERE name = $1";
    let Some(row) = client.query_opt(sql, &[&space.to_string()]).await? else { return Ok(Standing::Missing) };
    let number: i64 = row.try_get(0)?;
    let half = i32::try_from(number).unwrap_or(i32::MAX);
    let taken = client.query_one("SELECT pg_try_advisory_lock($1, $2)", &[&BUILD_LOCK, &half]).await?;
    if !taken.try_get::<_, bool>(0)? {
        return Ok(Standing::Missing);
    }
    let began = Instant::now();
    let name = name(number);
    let sql = "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass($1)";
    match client.query_opt(sql, &[&name]).await?.map(|row| row.try_get::<_, bool>(0)).transpose()? {
        Some(true) => return Ok(Standing::Ready),
        // Whoever built it did not get to the end.
        Some(false) => client.batch_execute(&format!("DROP INDEX CONCURRENTLY IF EXISTS {name}")).await?,
        None => {}
    }
    let counted =
        client.query_one("SELECT count(*) FROM track_vectors WHERE space = $1", &[&space.to_string()]).await?;
    let vectors: i64 = counted.try_get(0)?;
    // Two bytes a number, and about 600 for a vector's neighbours.
    let memory = vectors.unsigned_abs() * (2 * space.dims() as u64 + 600) / 1_000_000 * 5 / 4;
    let memory = memory.clamp(MEMORY.0, MEMORY.1);
    // One process builds: several need more shared memory than containers are given by default.
    client
        .batch_execute(&format!(
            "SET statement_timeout = 0; SET lock_timeout = 0; SET maintenance_work_mem = '{memory}MB'; \
             SET max_parallel_maintenance_workers = 0"
        ))
        .await?;
    // The space's name holds only letters, digits and "-._+/": see Space::new.
    client
        .batch_execute(&format!(
            "CREATE INDEX CONCURRENTLY {name} ON track_vectors USING hnsw ({} halfvec_ip_ops) \
             WITH (m = 16, ef_construction = 100) WHERE space = '{space}'",
            expression(space)
        ))
        .await?;
    tracing::info!(%space, vectors, duration_ms = began.elapsed().as_millis() as u64, "The HNSW index is built");
    Ok(Standing::Ready)
}
