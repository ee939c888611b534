//! Nearest neighbours inside PostgreSQL: an exact scan where few vectors are to be compared, else HNSW.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use deadpool_postgres::{GenericClient, Transaction};
use soniquebay_domain::{Filter, Hit, Space, StoreError, TrackId, Vector, VectorIndex, dot};
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use super::connection::{first, transaction};
use super::error::SqlError;
use super::predicate::Predicate;
use super::row::{self, Numbers};
use super::{PostgresStore, hnsw};

/// Vectors of a space that are compared one by one rather than looked for in a graph: it takes some ten milliseconds.
const FEW: usize = 5_000;

/// So many times as many are looked up one by one where a filter leaves no more: what it takes, the answer is exact.
const TIMES: usize = 4;

/// More vectors than a database holds, and few enough to be counted with.
const MOST: usize = 1 << 40;

/// How long after an index was begun, here or by another process, the next attempt is made where it is still missing.
const NEXT_BUILD: Duration = Duration::from_secs(600);

/// More neighbours than were asked for are fetched: half precision may have put equals in a wrong order.
const SPARE: usize = 16;

/// Nearest neighbours that HNSW looks for: at least so many, twice as many as are looked at, and at most what pgvector allows.
const CANDIDATES: (usize, usize) = (128, 1000);

/// Neighbours that are looked at first under a filter, a quarter of those that HNSW looks for: enough where every seventh passes.
const NEAR: usize = 100;

/// Searches the database itself. Scores are exact, filters too; which neighbours HNSW finds is approximate.
///
/// A space of few vectors is scanned. One that has grown beyond gets an HNSW index in the background, and is scanned until
/// that is built.
#[derive(Clone)]
pub struct PgVectorIndex {
    store: PostgresStore,
    few: usize,
    /// When the index of a space was begun last.
    begun: Arc<Mutex<HashMap<Space, Instant>>>,
}

impl PgVectorIndex {
    pub(super) fn new(store: PostgresStore) -> Self {
        Self { store, few: FEW, begun: Arc::default() }
    }

    /// The same, where up to `few` vectors are compared one by one, and four times as many that pass a filter.
    #[must_use]
    pub fn scanning(self, few: usize) -> Self {
        Self { few: few.min(MOST), ..self }
    }

    /// Builds a space's HNSW index and waits until it is there; whether it is. A million vectors take hours.
    ///
    /// # Errors
    /// Where the server cannot be used or is short of disk.
    pub async fn build(&self, space: &Space) -> Result<bool, StoreError> {
        if !hnsw::is_possible(space) {
            return Ok(false);
        }
        Ok(hnsw::build(&self.store.server, space).await? == hnsw::Standing::Ready)
    }

    /// Builds it while searches go on.
    fn build_aside(&self, space: &Space) {
        let mut begun = self.begun.lock().unwrap_or_else(PoisonError::into_inner);
        if !hnsw::is_possible(space) || begun.get(space).is_some_and(|begun| begun.elapsed() < NEXT_BUILD) {
            return;
        }
        begun.insert(space.clone(), Instant::now());
        let (index, space) = (self.clone(), space.clone());
        tokio::spawn(async move {
            if let Err(error) = index.build(&space).await {
                tracing::warn!(%space, %error, "The HNSW index was not built; searches compare all vectors");
            }
        });
    }
}

#[async_trait]
impl VectorIndex for PgVectorIndex {
    async fn search(&self, space: &Space, query: &Vector, k: usize, filter: &Filter) -> Result<Vec<Hit>, StoreError> {
        if query.as_slice().len() != space.dims() || k == 0 {
            return Ok(Vec::new());
        }
        let search = Search { space, query: query.to_unit(), k: k.min(MOST), filter, few: self.few };
        let (hits, grown) = transaction!(self.store.server, |tx| search.run(tx))?;
        if grown {
            self.build_aside(space);
        }
        Ok(hits)
    }
}

struct Search<'a> {
    space: &'a Space,
    query: Vec<f32>,
    k: usize,
    filter: &'a Filter,
    few: usize,
}

/// How far the graph is followed under a filter.
#[derive(Clone, Copy)]
enum Reach {
    /// Some milliseconds.
    Near,
    /// As far as pgvector allows.
    Far,
}

struct Candidate {
    hit: Hit,
    artist: String,
}

impl Search<'_> {
    /// The hits, and whether the space needs an index that it lacks.
    async fn run(&self, tx: &Transaction<'_>) -> Result<(Vec<Hit>, bool), SqlError> {
        let Some(standing) = self.standing(tx).await? else { return Ok((Vec::new(), false)) };
        let is_ready = standing == hnsw::Standing::Ready;
        let predicate = Predicate::new(self.filter, 2);
        if is_ready && let Some(hits) = self.in_graph(tx, &predicate, Reach::Near).await? {
            return Ok((hits, false));
        }
        if predicate.narrows() {
            if let Some(few) = self.passing(tx).await? {
                return Ok((self.exact(tx, Some(&few)).await?, !is_ready && self.is_large(tx).await?));
            }
            if is_ready && let Some(hits) = self.in_graph(tx, &predicate, Reach::Far).await? {
                return Ok((hits, false));
            }
        }
        Ok((self.exact(tx, None).await?, !is_ready && self.is_large(tx).await?))
    }

    /// Where the space's index stands; `None` for an unknown space.
    async fn standing(&self, tx: &Transaction<'_>) -> Result<Option<hnsw::Standing>, SqlError> {
        let sql = "SELECT coalesce(indisvalid, FALSE) FROM spaces LEFT JOIN pg_index \
             ON indexrelid = to_regclass('track_vectors_hnsw_' || number) WHERE name = $1";
        let found = first(tx, sql, &[&self.space.to_string()]).await?;
        let valid: Option<bool> = found.map(|row| row.try_get(0)).transpose()?;
        Ok(valid.map(|valid| if valid { hnsw::Standing::Ready } else { hnsw::Standing::Missing }))
    }

    /// The tracks that pass, where they are so few that each is compared.
    async fn passing(&self, tx: &Transaction<'_>) -> Result<Option<Vec<i64>>, SqlError> {
        let (predicate, most) = (Predicate::new(self.filter, 0), self.few.saturating_mul(TIMES));
        let sql = format!("SELECT tracks.id FROM tracks WHERE {} LIMIT {}", predicate.sql(), most + 1);
        let found = self.ask(tx, &sql, &predicate.values(&[])).await?;
        if found.len() > most {
            return Ok(None);
        }
        found.iter().map(|row| Ok(row.try_get(0)?)).collect::<Result<Vec<i64>, SqlError>>().map(Some)
    }

    /// Whether the space has more vectors than are compared one by one.
    async fn is_large(&self, tx: &Transaction<'_>) -> Result<bool, SqlError> {
        let sql = format!("SELECT 1 FROM track_vectors WHERE space = '{}' LIMIT {}", self.space, self.few + 1);
        Ok(self.ask(tx, &sql, &[]).await?.len() > self.few)
    }

    /// The nearest of these tracks, or of all that pass, ranked by the database: ties by id, at most so many of an artist.
    async fn exact(&self, tx: &Transaction<'_>, among: Option<&[i64]>) -> Result<Vec<Hit>, SqlError> {
        let (query, limit) = (Numbers(self.query.clone()), (self.k + SPARE) as i64);
        let predicate = match among {
            Some(ids) => Predicate::these(ids, 2),
            None => Predicate::new(self.filter, 2),
        };
        // Tracks that are known already are not read again: each costs as much as the comparison.
        let tracks = if among.is_some() { "" } else { "JOIN tracks ON tracks.id = track_id" };
        let nearest = match self.filter.max_per_artist {
            Some(most) => format!(
                "SELECT track_id FROM (SELECT track_id, distance, row_number() OVER (PARTITION BY nullif(artist_folded, ''), \
                     CASE artist_folded WHEN '' THEN id END ORDER BY distance, id) AS place \
                     FROM passing JOIN tracks ON tracks.id = track_id) AS placed \
                 WHERE place <= {} ORDER BY distance, track_id LIMIT $2",
                most.min(MOST)
            ),
            None => "SELECT track_id FROM passing ORDER BY distance, track_id LIMIT $2".to_owned(),
        };
        if among.is_some() {
            // They are few: each is looked up, and other processes would take longer to begin.
            tx.batch_execute("SET LOCAL enable_seqscan = off; SET LOCAL max_parallel_workers_per_gather = 0").await?;
        }
        // OFFSET 0 keeps the vectors themselves out of what is sorted.
        let sql = format!(
            "WITH passing AS (SELECT track_id, vector <=> $1::vector AS distance FROM track_vectors {tracks} \
                 WHERE space = '{0}' AND {1} OFFSET 0), nearest AS ({nearest}) \
             SELECT id, artist_folded, vector FROM nearest JOIN tracks ON id = nearest.track_id \
             JOIN track_vectors ON track_vectors.track_id = id AND space = '{0}'",
            self.space,
            predicate.sql()
        );
        let found = self.ask(tx, &sql, &predicate.values(&[&query, &limit])).await?;
        Ok(self.pick(self.ranked(&found)?))
    }

    /// Those of the nearest that pass, where they are enough: then they are the nearest of all that pass.
    ///
    /// The graph is not followed further until enough pass (pgvector's iterative scan): where a filter asks for what lies far from
    /// the question, that finds some that pass, and seldom the nearest ones.
    async fn in_graph(
        &self,
        tx: &Transaction<'_>,
        predicate: &Predicate,
        reach: Reach,
    ) -> Result<Option<Vec<Hit>>, SqlError> {
        // Some are passed over where an artist may come so often only.
        let times = if self.filter.max_per_artist.is_some() { 4 } else { 1 };
        let ask = self.k.saturating_mul(times).saturating_add(SPARE + predicate.left_out());
        let (looked_at, candidates) = match (predicate.narrows(), reach) {
            (false, _) => (ask, CANDIDATES.0.max(ask.saturating_mul(2))),
            (true, Reach::Near) => (NEAR.max(ask), NEAR.max(ask).saturating_mul(4)),
            (true, Reach::Far) => (CANDIDATES.1 / 4, CANDIDATES.1),
        };
        if candidates > CANDIDATES.1 {
            return Ok(None);
        }
        // An error, not a warning, where a setting is unknown or out of bounds: pgvector's library is loaded, see `Server`.
        // How to search is decided here; a planner that would rather sort all rows is not asked.
        tx.batch_execute(&format!(
            "SELECT set_config('hnsw.ef_search', '{candidates}', TRUE), set_config('hnsw.iterative_scan', 'off', TRUE), \
             set_config('enable_sort', 'off', TRUE), set_config('enable_seqscan', 'off', TRUE)"
        ))
        .await?;
        let (query, limit) = (Numbers(self.query.clone()), looked_at as i64);
        let sql = format!(
            "SELECT tracks.id, artist_folded, nearest.vector FROM (SELECT track_id, vector FROM track_vectors \
                 WHERE space = '{}' ORDER BY {} <#> $1::vector::halfvec({}) LIMIT $2) AS nearest \
             JOIN tracks ON tracks.id = nearest.track_id WHERE {}",
            self.space,
            hnsw::expression(self.space),
            self.space.dims(),
            predicate.sql()
        );
        let found = self.ask(tx, &sql, &predicate.values(&[&query, &limit])).await?;
        // A scan that may follow sorts.
        tx.batch_execute("RESET enable_sort; RESET enable_seqscan").await?;
        let hits = self.pick(self.ranked(&found)?);
        Ok((hits.len() == self.k).then_some(hits))
    }

    /// Asks without preparing for later: the plan depends on the values, and there are as many statements as filters.
    async fn ask(&self, tx: &Transaction<'_>, sql: &str, values: &[&(dyn ToSql + Sync)]) -> Result<Vec<Row>, SqlError> {
        let statement = tx.prepare(sql).await?;
        Ok(tx.query(&statement, values).await?)
    }

    /// Best first, by scores from the stored numbers: exact, and the same as every other index gives.
    fn ranked(&self, rows: &[Row]) -> Result<Vec<Candidate>, SqlError> {
        let candidate = |row: &Row| {
            let track_id: TrackId = row::track_id(row.try_get(0)?)?;
            let score = dot(&self.query, &row::vector(row)?.to_unit());
            Ok::<_, SqlError>(Candidate { hit: Hit { track_id, score }, artist: row.try_get(1)? })
        };
        let mut ranked = rows.iter().map(candidate).collect::<Result<Vec<_>, _>>()?;
        ranked.sort_by(|a, b| b.hit.score.total_cmp(&a.hit.score).then(a.hit.track_id.cmp(&b.hit.track_id)));
        Ok(ranked)
    }

    fn pick(&self, ranked: Vec<Candidate>) -> Vec<Hit> {
        let most = self.filter.max_per_artist.unwrap_or(usize::MAX);
        let mut taken = HashMap::<String, usize>::new();
        let fits = |candidate: &Candidate| {
            let count = taken.entry(candidate.artist.clone()).or_default();
            *count += 1;
            candidate.artist.is_empty() || *count <= most
        };
        ranked.into_iter().filter(fits).map(|candidate| candidate.hit).take(self.k).collect()
    }
}
