//! What a file says of itself, and whether what it keeps beside its rows is theirs.

use std::collections::HashMap;

use async_trait::async_trait;
use rusqlite::{Connection, Transaction};
use soniquebay_domain::{Progress, StoreError, Track, TrackId, fold};

use super::SqliteStore;
use super::catalog::id_array;
use super::error::SqlError;
use super::spaces::{self, Vec0Table};
use super::{row, vec0};
use crate::check::{Fault, Fix, Maintained};
use crate::text_match;

/// A full-text table, with the columns of a track that it holds and how it was made.
struct Words {
    table: &'static str,
    columns: &'static str,
    of_track: &'static str,
    options: &'static str,
}

/// As the migrations make them.
const WORDS: [Words; 2] = [
    Words {
        table: "track_words",
        columns: "name",
        of_track: "name_folded",
        options: "tokenize = 'unicode61 remove_diacritics 2', prefix = '2 3'",
    },
    Words {
        table: "track_trigrams",
        columns: "name",
        of_track: "name_folded",
        options: "tokenize = 'trigram remove_diacritics 1', detail = none",
    },
];

#[async_trait]
impl Maintained for SqliteStore {
    async fn size(&self) -> Result<u64, StoreError> {
        let of = |ending: &str| {
            let mut name = self.path.as_os_str().to_owned();
            name.push(ending);
            std::fs::metadata(name).map_or(0, |file| file.len())
        };
        Ok(of("") + of("-wal"))
    }

    async fn vacuum(&self, told: &(dyn Fn(Progress) + Sync)) -> Result<(), StoreError> {
        super::vacuum::vacuum(self, told).await
    }

    async fn faults(&self, repair: bool, told: &(dyn Fn(Progress) + Sync)) -> Result<Vec<Fault>, StoreError> {
        let tell = |step: &'static str| told(Progress { step: step.into(), done: 0, total: 1, per_second: 0.0 });
        tell("file");
        let said = self.readers.read(integrity).await?;
        if !said.is_empty() {
            let fix = Fix::ByHand("restore a backup (`soniquebay db restore`), or move the file away and scan again");
            return Ok(vec![Fault::new("damaged", format!("the file is damaged: {}", said.join("; ")), fix)]);
        }
        tell("rows");
        let mut faults: Vec<Fault> = self.writer.transaction(move |tx| strays(tx, repair)).await?.into_iter().collect();
        tell("change log");
        faults.extend(self.writer.transaction(move |tx| changes(tx, repair)).await?);
        for table in self.readers.read(spaces::vec0_tables).await? {
            tell("sqlite-vec");
            faults.extend(self.writer.transaction(move |tx| neighbours(tx, &table, repair)).await?);
        }
        for words in &WORDS {
            tell("full text");
            faults.extend(self.writer.transaction(move |tx| full_text(tx, words, repair)).await?);
        }
        Ok(faults)
    }

    async fn misfiled(&self, tracks: &[Track]) -> Result<Vec<TrackId>, StoreError> {
        let names = |track: &Track| {
            let artist = track.fields.artist.as_deref().map(fold).unwrap_or_default();
            (track.id.get(), (artist, text_match::name(&track.fields)))
        };
        let right: HashMap<i64, (String, String)> = tracks.iter().map(names).collect();
        let ids: Vec<TrackId> = tracks.iter().map(|track| track.id).collect();
        self.readers
            .read(move |conn| {
                let mut statement = conn.prepare_cached(
                    "SELECT id, artist_folded, name_folded FROM tracks WHERE id IN (SELECT value FROM rarray(?1)) ORDER BY id",
                )?;
                let mut rows = statement.query([id_array(&ids)])?;
                let mut wrong = Vec::new();
                while let Some(found) = rows.next()? {
                    let (id, names): (i64, _) = (found.get(0)?, (found.get(1)?, found.get(2)?));
                    if right.get(&id).is_some_and(|right| *right != names) {
                        wrong.push(row::track_id(id)?);
                    }
                }
                Ok(wrong)
            })
            .await
    }
}

fn integrity(conn: &Connection) -> Result<Vec<String>, SqlError> {
    let mut statement = conn.prepare("PRAGMA integrity_check(5)")?;
    let said = statement.query_map([], |row| row.get(0))?.collect::<Result<Vec<String>, _>>()?;
    // What full text says of itself is looked at, and put right, apart.
    Ok(said.into_iter().filter(|line| line != "ok" && !line.contains("fts5")).collect())
}

/// Rows of tracks or spaces that are not there.
fn strays(tx: &Transaction<'_>, repair: bool) -> Result<Option<Fault>, SqlError> {
    let mut statement = tx.prepare("SELECT \"table\", rowid FROM pragma_foreign_key_check")?;
    let found = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let found = found.collect::<Result<Vec<(String, i64)>, _>>()?;
    if found.is_empty() {
        return Ok(None);
    }
    if repair {
        for (table, rowid) in &found {
            tx.execute(&format!("DELETE FROM \"{table}\" WHERE rowid = ?1"), [rowid])?;
        }
    }
    let what = format!("{} vectors or jobs belong to tracks or spaces that are not there", found.len());
    Ok(Some(Fault::mended("strays", what, repair)))
}

/// Vectors that no index would hear of.
fn changes(tx: &Transaction<'_>, repair: bool) -> Result<Option<Fault>, SqlError> {
    let silent = "FROM track_vectors v WHERE NOT EXISTS \
         (SELECT 1 FROM vector_changes c WHERE c.track_id = v.track_id AND c.space = v.space)";
    let count: u64 = tx.query_row(&format!("SELECT count(*) {silent}"), [], |row| row.get(0))?;
    if repair && count > 0 {
        tx.execute(&format!("INSERT INTO vector_changes (track_id, space) SELECT track_id, space {silent}"), [])?;
    }
    let what = format!("{count} vectors are missing in the change log that indexes follow");
    Ok((count > 0).then(|| Fault::mended("change_log", what, repair)))
}

/// Whether a space's sqlite-vec table holds its vectors, those alone, and follows them.
fn neighbours(tx: &Transaction<'_>, table: &Vec0Table, repair: bool) -> Result<Option<Fault>, SqlError> {
    let Vec0Table { name, space } = table;
    let count = |sql: &str| tx.query_row(sql, [space.to_string()], |row| row.get::<_, u64>(0));
    let mut wrong = Vec::new();
    let triggers: u64 = tx.query_row(
        "SELECT count(*) FROM sqlite_schema WHERE type = 'trigger' AND name IN (?1 || '_inserted', ?1 || '_updated', ?1 || '_deleted')",
        [name],
        |row| row.get(0),
    )?;
    if triggers != 3 {
        wrong.push(format!("{} of its triggers are missing", 3 - triggers));
    }
    let there: bool = tx.query_row(
        "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?1)",
        [name],
        |row| row.get(0),
    )?;
    if there {
        // Vectors of another length are a fault of their own, and have no place there.
        let differing = count(&format!(
            "SELECT count(*) FROM track_vectors v LEFT JOIN \"{name}\" n ON n.track_id = v.track_id \
             WHERE v.space = ?1 AND length(v.vector) = 4 * {} \
               AND (n.track_id IS NULL OR n.embedding IS NOT vec_normalize(v.vector))",
            space.dims()
        ))?;
        let strange = count(&format!(
            "SELECT count(*) FROM \"{name}\" WHERE track_id NOT IN (SELECT track_id FROM track_vectors WHERE space = ?1)"
        ))?;
        wrong.extend((differing > 0).then(|| format!("{differing} vectors are missing or differ")));
        wrong.extend((strange > 0).then(|| format!("{strange} are of tracks that have none")));
    } else {
        wrong.push("the table is missing".to_owned());
    }
    if wrong.is_empty() {
        return Ok(None);
    }
    if repair {
        vec0::rebuild(tx, table)?;
    }
    let what = format!("{name}, the sqlite-vec table of {space}: {}", wrong.join(", "));
    Ok(Some(Fault::mended("vec0", what, repair)))
}

/// Whether full text finds every track by its names: compared with what it would be if it were made anew.
fn full_text(tx: &Transaction<'_>, words: &Words, repair: bool) -> Result<Option<Fault>, SqlError> {
    let Words { table, columns, of_track, options } = words;
    let internal = tx.execute(&format!("INSERT INTO {table} ({table}, rank) VALUES ('integrity-check', 0)"), []);
    let broken = match internal {
        Ok(_) => None,
        Err(error) => Some(error.to_string()),
    };
    let differing: u64 = if broken.is_none() { differing(tx, words)? } else { 0 };
    let what = match (broken, differing) {
        (None, 0) => return Ok(None),
        (None, differing) => format!("{table}: {differing} words of tracks' names are missing or too many"),
        (Some(said), _) => format!("{table}: {said}"),
    };
    if repair {
        tx.execute_batch(&format!(
            "DROP TABLE {table};
             CREATE VIRTUAL TABLE {table} USING fts5 ({columns}, content = '', contentless_delete = 1, {options});
             INSERT INTO {table} (rowid, {columns}) SELECT id, {of_track} FROM tracks;"
        ))?;
    }
    Ok(Some(Fault::mended("full_text", what, repair)))
}

fn differing(tx: &Transaction<'_>, Words { table, columns, of_track, options }: &Words) -> Result<u64, SqlError> {
    tx.execute_batch(&format!(
        "CREATE VIRTUAL TABLE temp.words_anew USING fts5 ({columns}, content = '', {options});
         INSERT INTO temp.words_anew (rowid, {columns}) SELECT id, {of_track} FROM tracks;
         CREATE VIRTUAL TABLE temp.words_as_they_are USING fts5vocab (main, {table}, instance);
         CREATE VIRTUAL TABLE temp.words_as_they_should_be USING fts5vocab (temp, words_anew, instance);"
    ))?;
    let (are, should) =
        ("SELECT term, doc, col FROM words_as_they_are", "SELECT term, doc, col FROM words_as_they_should_be");
    let count = tx.query_row(
        &format!(
            "SELECT (SELECT count(*) FROM ({are} EXCEPT {should})) + (SELECT count(*) FROM ({should} EXCEPT {are}))"
        ),
        [],
        |row| row.get(0),
    )?;
    tx.execute_batch(
        "DROP TABLE temp.words_as_they_are; DROP TABLE temp.words_as_they_should_be; DROP TABLE temp.words_anew",
    )?;
    Ok(count)
}
