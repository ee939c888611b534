use rusqlite::{Connection, params};
use soniquebay_domain::{TextHit, fold};

use super::catalog::collect;
use super::error::SqlError;
use super::row;
use crate::text_match;

/// How many candidates each way of looking brings before they are compared letter by letter.
const CANDIDATES: usize = 300;

/// Tracks whose names hold these words. Two ways of looking bring candidates (whole words and beginnings, and trigrams,
/// which survive a typing error), one measure ranks them.
pub(super) fn find(conn: &Connection, words: &str, limit: usize) -> Result<Vec<TextHit>, SqlError> {
    let folded: String = fold(words).chars().take(256).collect();
    let terms: Vec<&str> = folded
        .split(|c: char| !c.is_alphanumeric())
        .filter(|term| !term.is_empty())
        .take(text_match::MAX_WORDS)
        .collect();
    if terms.is_empty() || limit == 0 {
        return Ok(Vec::new());
    }
    // Every term is quoted: what somebody types is never query syntax.
    let all: Vec<String> = terms.iter().map(|term| format!("\"{term}\" *")).collect();
    let mut ids = matching(conn, "track_words", &all.join(" AND "))?;
    if ids.len() < CANDIDATES {
        ids.extend(matching(conn, "track_words", &all.join(" OR "))?);
    }
    let trigrams: Vec<String> = terms
        .iter()
        .flat_map(|term| {
            let letters: Vec<char> = term.chars().collect();
            letters.windows(3).map(|three| format!("\"{}\"", three.iter().collect::<String>())).collect::<Vec<_>>()
        })
        .collect();
    if !trigrams.is_empty() {
        ids.extend(matching(conn, "track_trigrams", &trigrams.join(" OR "))?);
    }
    ids.sort_unstable();
    ids.dedup();
    let mut hits = measured(conn, &ids, &text_match::Query::new(&folded))?;
    hits.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.id.cmp(&b.id)));
    hits.truncate(limit);
    Ok(hits)
}

fn matching(conn: &Connection, table: &str, query: &str) -> Result<Vec<i64>, SqlError> {
    let mut statement = conn
        .prepare_cached(&format!("SELECT rowid FROM {table} WHERE {table} MATCH ?1 ORDER BY bm25({table}) LIMIT ?2"))?;
    let mut rows = statement.query(params![query, CANDIDATES])?;
    collect(&mut rows, |row| Ok(row.get(0)?))
}

fn measured(conn: &Connection, ids: &[i64], query: &text_match::Query) -> Result<Vec<TextHit>, SqlError> {
    let mut statement =
        conn.prepare_cached("SELECT id, name_folded FROM tracks WHERE id IN (SELECT value FROM rarray(?1))")?;
    let ids: Vec<rusqlite::types::Value> = ids.iter().map(|id| (*id).into()).collect();
    let mut rows = statement.query([std::rc::Rc::new(ids)])?;
    let hits = collect(&mut rows, |row| {
        let name: String = row.get(1)?;
        Ok(TextHit { id: row::track_id(row.get(0)?)?, score: query.score_name(&name) })
    })?;
    Ok(hits.into_iter().filter(|hit| hit.score >= text_match::WORTH_SHOWING).collect())
}
