//! What a database says of itself, and whether what it keeps beside its rows is theirs.

use std::collections::HashMap;

use async_trait::async_trait;
use deadpool_postgres::{GenericClient, Transaction};
use soniquebay_domain::{Facts, Progress, StoreError, Track, TrackId};
use tokio_postgres::Row;

use super::PostgresStore;
use super::connection::{execute, first, read, rows, transaction};
use super::error::SqlError;
use super::row::{get, numbers_of, track_id};
use super::{hnsw, spaces, text};
use crate::check::{Fault, Maintained};
use crate::text_match;

/// Vectors of which an HNSW index is asked whether it finds them.
const PROBES: i64 = 100;

/// Fewer of them found than this, and the index is not what it should be: it is approximate, but not for a vector itself.
const FOUND: f64 = 0.9;

#[async_trait]
impl Maintained for PostgresStore {
    async fn size(&self) -> Result<u64, StoreError> {
        self.bytes().await
    }

    async fn vacuum(&self, told: &(dyn Fn(Progress) + Sync)) -> Result<(), StoreError> {
        self.free_room(told).await
    }

    async fn faults(&self, repair: bool, told: &(dyn Fn(Progress) + Sync)) -> Result<Vec<Fault>, StoreError> {
        let tell = |step: &'static str| told(Progress { step: step.into(), done: 0, total: 1, per_second: 0.0 });
        tell("rows");
        let mut faults: Vec<Fault> = Vec::new();
        faults.extend(transaction!(self.server, |tx| strays(tx, repair))?);
        tell("change log");
        faults.extend(transaction!(self.server, |tx| changes(tx, repair))?);
        tell("indexes");
        let broken = read!(self.server, |client| broken_indexes(client))?;
        for index in broken {
            if repair {
                read!(self.server, |client| async {
                    Ok(client.batch_execute(&format!("REINDEX INDEX CONCURRENTLY {index}")).await?)
                })?;
            }
            let what = format!("index {index} is not valid, or does not find what it holds");
            faults.push(Fault::mended("index", what, repair));
        }
        Ok(faults)
    }

    async fn misfiled(&self, tracks: &[Track]) -> Result<Vec<TrackId>, StoreError> {
        let ids = numbers_of(&tracks.iter().map(|track| track.id).collect::<Vec<_>>());
        let filed = read!(self.server, |client| async {
            let sql = "SELECT id, artist_folded, name_folded, genres_folded, tags_folded, tsvector_to_array(name_words) AS words, \
                 tsvector_to_array(name_trigrams) AS trigrams FROM tracks WHERE id = ANY($1) ORDER BY id";
            rows(client, sql, &[&ids]).await?.iter().map(Filed::read).collect::<Result<Vec<_>, _>>()
        })?;
        let right: HashMap<TrackId, Filed> = tracks.iter().map(|track| (track.id, Filed::of(track))).collect();
        let wrong = filed.into_iter().filter(|filed| right.get(&filed.id).is_some_and(|right| right != filed));
        Ok(wrong.map(|filed| filed.id).collect())
    }
}

/// What a track is found by.
#[derive(PartialEq)]
struct Filed {
    id: TrackId,
    names: (String, String),
    genres: Vec<String>,
    tags: Vec<String>,
    words: Vec<String>,
    trigrams: Vec<String>,
}

impl Filed {
    fn of(track: &Track) -> Self {
        let (name, facts) = (text_match::name(&track.fields), Facts::of(&track.fields));
        let (words, trigrams) = (text::words(&name), text::trigrams(&name));
        let (genres, tags) = (facts.genres.to_vec(), facts.tags.to_vec());
        Self { id: track.id, names: (facts.artist, name), genres, tags, words, trigrams }.sorted()
    }

    fn read(row: &Row) -> Result<Self, SqlError> {
        let id = track_id(get(row, "id")?)?;
        let names = (get(row, "artist_folded")?, get(row, "name_folded")?);
        let (genres, tags) = (get(row, "genres_folded")?, get(row, "tags_folded")?);
        let (words, trigrams) = (get(row, "words")?, get(row, "trigrams")?);
        Ok(Self { id, names, genres, tags, words, trigrams }.sorted())
    }

    /// The server has an order of its own for words.
    fn sorted(mut self) -> Self {
        self.words.sort_unstable();
        self.trigrams.sort_unstable();
        self
    }
}

/// Rows of tracks or spaces that are not there: only whoever switched the server's own check off could make some.
async fn strays(tx: &Transaction<'_>, repair: bool) -> Result<Option<Fault>, SqlError> {
    let mut count = 0;
    for table in ["track_vectors", "jobs"] {
        let of = format!(
            "FROM {table} WHERE NOT EXISTS (SELECT 1 FROM tracks WHERE id = {table}.track_id) \
                 OR NOT EXISTS (SELECT 1 FROM spaces WHERE name = {table}.space)"
        );
        let row = tx.query_one(&format!("SELECT count(*) {of}"), &[]).await?;
        let found: i64 = row.try_get(0)?;
        if repair && found > 0 {
            tx.batch_execute(&format!("DELETE {of}")).await?;
        }
        count += found;
    }
    let what = format!("{count} vectors or jobs belong to tracks or spaces that are not there");
    Ok((count > 0).then(|| Fault::mended("strays", what, repair)))
}

/// Vectors that no index would hear of.
async fn changes(tx: &Transaction<'_>, repair: bool) -> Result<Option<Fault>, SqlError> {
    let silent = "FROM track_vectors v WHERE NOT EXISTS \
         (SELECT 1 FROM vector_changes c WHERE c.track_id = v.track_id AND c.space = v.space)";
    let count: i64 = tx.query_one(&format!("SELECT count(*) {silent}"), &[]).await?.try_get(0)?;
    if repair && count > 0 {
        let sql = format!(
            "INSERT INTO vector_changes (track_id, space) SELECT track_id, space {silent} ON CONFLICT DO NOTHING"
        );
        execute(tx, &sql, &[]).await?;
    }
    let what = format!("{count} vectors are missing in the change log that indexes follow");
    Ok((count > 0).then(|| Fault::mended("change_log", what, repair)))
}

/// Indexes of our tables that the server does not use, and HNSW indexes that do not find their own vectors.
async fn broken_indexes(client: &impl GenericClient) -> Result<Vec<String>, SqlError> {
    let sql = "SELECT i.relname::text FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid \
         JOIN pg_class t ON t.oid = x.indrelid \
         WHERE NOT x.indisvalid AND t.relnamespace = current_schema()::regnamespace \
           AND t.relname IN ('tracks', 'track_vectors', 'vector_changes', 'jobs', 'spaces', 'embedding_cache')";
    let found = rows(client, sql, &[]).await?;
    let mut broken = found.iter().map(|row| Ok(row.try_get(0)?)).collect::<Result<Vec<String>, SqlError>>()?;
    for (space, _) in spaces::all(client).await? {
        let Some(number) = spaces::number(client, &space).await? else { continue };
        let name = hnsw::name(number);
        let there = first(client, "SELECT to_regclass($1) IS NOT NULL", &[&name]).await?;
        let there: bool = there.map(|row| row.try_get(0)).transpose()?.unwrap_or(false);
        if there && !broken.contains(&name) && !finds_itself(client, &space).await? {
            broken.push(name);
        }
    }
    Ok(broken)
}

/// Whether vectors of the space, asked for, are among their own nearest by the index.
async fn finds_itself(client: &impl GenericClient, space: &soniquebay_domain::Space) -> Result<bool, SqlError> {
    let of = hnsw::expression(space);
    // As literals: only then does the planner know that the partial index holds what is asked for. A space's name holds only
    // letters, digits and "-._+/".
    let sql = format!(
        "WITH probe AS MATERIALIZED (SELECT track_id, vector FROM track_vectors WHERE space = '{space}' \
              ORDER BY md5(track_id::text) LIMIT {PROBES}) \
         SELECT count(*), count(*) FILTER (WHERE EXISTS (SELECT 1 FROM ( \
             SELECT track_id, vector FROM track_vectors near WHERE space = '{space}' \
             ORDER BY {of} <#> l2_normalize(probe.vector)::halfvec({}) LIMIT 10) near \
             WHERE near.track_id = probe.track_id OR near.vector = probe.vector)) FROM probe",
        space.dims()
    );
    let row = client.query_one(&sql, &[]).await?;
    let (asked, found): (i64, i64) = (row.try_get(0)?, row.try_get(1)?);
    Ok(found as f64 >= asked as f64 * FOUND)
}
