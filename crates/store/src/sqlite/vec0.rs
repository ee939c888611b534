//! The exact index of sqlite-vec: one vec0 table a space, kept by triggers, so that no write can pass it by.

use async_trait::async_trait;
use rusqlite::{Connection, Transaction, params};
use soniquebay_domain::{Facts, Filter, Hit, Space, StoreError, TrackId, Vector, VectorIndex, dot};

use super::catalog::{collect, id_array};
use super::error::SqlError;
use super::row::{self, FACT_COLUMNS};
use super::spaces::Vec0Table;
use super::{SqliteStore, spaces};
use crate::numbers;

/// The most neighbours that sqlite-vec answers at once.
const MAX_K: usize = 4096;

/// Creates a space's table, fills it from its vectors, and lets it follow them.
///
/// Rows are unit vectors and the metric is L2, which orders them as cosine does: sqlite-vec's own cosine has no fast path.
pub(super) fn create(tx: &Transaction<'_>, space: &Space, table: &str) -> Result<(), SqlError> {
    let (name, dims) = (space.to_string(), space.dims());
    // sqlite-vec allots whole chunks; its own 1,024 rows would take 17 MB for one vector of 4,096 numbers.
    let rows = if dims > 1024 { 64 } else { 256 };
    // `name` and `table` hold only letters, digits and "-._+/_": see Space::new.
    tx.execute_batch(&format!(
        "CREATE VIRTUAL TABLE \"{table}\" USING vec0 (track_id INTEGER PRIMARY KEY, embedding FLOAT[{dims}], chunk_size = {rows});
         INSERT INTO \"{table}\" (track_id, embedding)
             SELECT track_id, vec_normalize(vector) FROM track_vectors WHERE space = '{name}' AND length(vector) = 4 * {dims};
         CREATE TRIGGER \"{table}_inserted\" AFTER INSERT ON track_vectors WHEN NEW.space = '{name}' BEGIN
             INSERT INTO \"{table}\" (track_id, embedding) VALUES (NEW.track_id, vec_normalize(NEW.vector));
         END;
         CREATE TRIGGER \"{table}_updated\" AFTER UPDATE OF vector ON track_vectors WHEN NEW.space = '{name}' BEGIN
             UPDATE \"{table}\" SET embedding = vec_normalize(NEW.vector) WHERE track_id = NEW.track_id;
         END;
         CREATE TRIGGER \"{table}_deleted\" AFTER DELETE ON track_vectors WHEN OLD.space = '{name}' BEGIN
             DELETE FROM \"{table}\" WHERE track_id = OLD.track_id;
         END;"
    ))?;
    Ok(())
}

pub(super) fn drop(tx: &Transaction<'_>, table: &str) -> Result<(), SqlError> {
    tx.execute_batch(&format!(
        "DROP TRIGGER \"{table}_inserted\"; DROP TRIGGER \"{table}_updated\"; DROP TRIGGER \"{table}_deleted\";
         DROP TABLE \"{table}\";"
    ))?;
    Ok(())
}

/// Makes a space's table anew, whatever is left of it: rows that were deleted keep their chunks otherwise.
pub(super) fn rebuild(tx: &Transaction<'_>, table: &Vec0Table) -> Result<(), SqlError> {
    let Vec0Table { name, space } = table;
    tx.execute_batch(&format!(
        "DROP TRIGGER IF EXISTS \"{name}_inserted\"; DROP TRIGGER IF EXISTS \"{name}_updated\";
         DROP TRIGGER IF EXISTS \"{name}_deleted\"; DROP TABLE IF EXISTS \"{name}\";"
    ))?;
    create(tx, space, name)
}

/// Searches the file itself: nothing to load, so the right index for a command that asks once.
pub struct Vec0Index {
    store: SqliteStore,
}

impl Vec0Index {
    pub(super) fn new(store: SqliteStore) -> Self {
        Self { store }
    }
}

#[async_trait]
impl VectorIndex for Vec0Index {
    async fn search(&self, space: &Space, query: &Vector, k: usize, filter: &Filter) -> Result<Vec<Hit>, StoreError> {
        if query.as_slice().len() != space.dims() {
            return Ok(Vec::new());
        }
        let (space, query, filter) = (space.clone(), query.to_unit(), filter.clone());
        self.store
            .readers
            .read(move |conn| match spaces::vec0_table(conn, &space)? {
                Some(table) => search(conn, &Table { name: table, space: space.to_string() }, &query, k, &filter),
                None => Ok(Vec::new()),
            })
            .await
    }
}

struct Table {
    name: String,
    space: String,
}

fn search(conn: &Connection, table: &Table, query: &[f32], k: usize, filter: &Filter) -> Result<Vec<Hit>, SqlError> {
    if k == 0 {
        return Ok(Vec::new());
    }
    let allowed = (*filter != Filter::default()).then(|| admitted(conn, table, filter)).transpose()?;
    let admitted = allowed.as_ref().map(Vec::len);
    // Ties at the end of the answer are broken by id, and max_per_artist skips: a few more than k are asked for,
    // and more again until enough are left.
    let mut ask = (k + 16).min(MAX_K);
    loop {
        let nearest = nearest(conn, table, query, ask, allowed.as_deref())?;
        let exhausted = nearest.len() < ask || admitted.is_some_and(|all| nearest.len() >= all);
        // sqlite-vec breaks ties at its limit arbitrarily: the last distance may hide equals that were left out.
        let settled = match nearest.last() {
            Some(last) if !exhausted => nearest.partition_point(|hit| hit.score > last.score + 1e-6),
            _ => nearest.len(),
        };
        let hits = pick(&nearest[..settled], k, filter, allowed.as_deref());
        if hits.len() == k || exhausted {
            return Ok(hits);
        }
        if ask == MAX_K {
            let all = every(conn, table, query, allowed.as_deref())?;
            return Ok(pick(&all, k, filter, allowed.as_deref()));
        }
        ask = (ask * 4).min(MAX_K);
    }
}

/// The tracks that pass, sorted by id, with their artists: one definition of what a filter means serves every index.
fn admitted(conn: &Connection, table: &Table, filter: &Filter) -> Result<Vec<(TrackId, String)>, SqlError> {
    let mut statement = conn.prepare_cached(&format!(
        "SELECT tracks.id, {FACT_COLUMNS} FROM track_vectors JOIN tracks ON tracks.id = track_id WHERE space = ?1 ORDER BY track_id"
    ))?;
    let mut rows = statement.query([&table.space])?;
    let mut admitted = Vec::new();
    while let Some(row) = rows.next()? {
        let id = row::track_id(row.get(0)?)?;
        let facts: Facts = row::facts(row, 1)?;
        if filter.admits(id, &facts) {
            admitted.push((id, facts.artist));
        }
    }
    Ok(admitted)
}

fn nearest(
    conn: &Connection,
    table: &Table,
    query: &[f32],
    k: usize,
    allowed: Option<&[(TrackId, String)]>,
) -> Result<Vec<Hit>, SqlError> {
    let among = if allowed.is_some() { "AND track_id IN (SELECT value FROM rarray(?3))" } else { "" };
    let mut statement = conn.prepare_cached(&format!(
        "SELECT nearest.track_id AS track_id, vector FROM (
             SELECT track_id FROM \"{0}\" WHERE embedding MATCH ?1 AND k = ?2 {among}
         ) AS nearest JOIN track_vectors ON track_vectors.track_id = nearest.track_id AND space = '{1}'",
        table.name, table.space
    ))?;
    let query_blob = numbers::write(query);
    let mut rows = match allowed {
        Some(allowed) => {
            let ids: Vec<TrackId> = allowed.iter().map(|(id, _)| *id).collect();
            statement.query(params![query_blob, k, id_array(&ids)])?
        }
        None => statement.query(params![query_blob, k])?,
    };
    let hits = collect(&mut rows, |row| score(row, query))?;
    Ok(ranked(hits))
}

/// The score from the stored numbers: exact, and the same as every other index gives.
fn score(row: &rusqlite::Row<'_>, query: &[f32]) -> Result<Hit, SqlError> {
    Ok(Hit {
        track_id: row::track_id(row.get("track_id")?)?,
        score: dot(query, &row::vector(row, "vector")?.to_unit()),
    })
}

/// Every vector that passes, ranked: slow, for the rare query that sqlite-vec's limit on k cannot answer.
fn every(
    conn: &Connection,
    table: &Table,
    query: &[f32],
    allowed: Option<&[(TrackId, String)]>,
) -> Result<Vec<Hit>, SqlError> {
    let mut statement = conn.prepare_cached("SELECT track_id, vector FROM track_vectors WHERE space = ?1")?;
    let mut rows = statement.query([&table.space])?;
    let mut hits = collect(&mut rows, |row| score(row, query))?;
    if let Some(allowed) = allowed {
        hits.retain(|hit| allowed.binary_search_by_key(&hit.track_id, |(id, _)| *id).is_ok());
    }
    Ok(ranked(hits))
}

fn ranked(mut hits: Vec<Hit>) -> Vec<Hit> {
    hits.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.track_id.cmp(&b.track_id)));
    hits
}

fn pick(ranked: &[Hit], k: usize, filter: &Filter, allowed: Option<&[(TrackId, String)]>) -> Vec<Hit> {
    let (Some(max), Some(allowed)) = (filter.max_per_artist, allowed) else {
        return ranked.iter().take(k).copied().collect();
    };
    let mut taken = std::collections::HashMap::<&str, usize>::new();
    let artist_of = |id: TrackId| {
        allowed.binary_search_by_key(&id, |(id, _)| *id).ok().map_or("", |index| allowed[index].1.as_str())
    };
    let fits = |hit: &&Hit| {
        let artist = artist_of(hit.track_id);
        let count = taken.entry(artist).or_insert(0);
        *count += 1;
        artist.is_empty() || *count <= max
    };
    ranked.iter().filter(fits).take(k).copied().collect()
}
