use deadpool_postgres::GenericClient;
use soniquebay_domain::{TextHit, fold};

use super::connection::rows;
use super::error::SqlError;
use super::row;
use crate::text_match;

/// How many candidates each way of looking brings before they are compared letter by letter.
const CANDIDATES: i64 = 300;

/// Letters of a word that are kept for looking it up: PostgreSQL bounds a lexeme by 2,046 bytes.
const WORD_LETTERS: usize = 64;

/// Words and trigrams of a name that are kept: a thousand letters make no better candidate than these.
const MAX_TERMS: usize = 256;

/// What a name's words are looked up by.
pub(super) fn words(name: &str) -> Vec<String> {
    let mut words: Vec<String> =
        text_match::words(name).iter().take(MAX_TERMS).map(|word| word.chars().take(WORD_LETTERS).collect()).collect();
    words.sort_unstable();
    words.dedup();
    words
}

/// Every three letters that follow each other in a word: a typing error leaves most of them.
pub(super) fn trigrams(name: &str) -> Vec<String> {
    let mut trigrams = Vec::new();
    for word in text_match::words(name) {
        let letters: Vec<char> = word.chars().take(WORD_LETTERS).collect();
        trigrams.extend(letters.windows(3).map(|three| three.iter().collect::<String>()));
    }
    trigrams.truncate(MAX_TERMS);
    trigrams.sort_unstable();
    trigrams.dedup();
    trigrams
}

/// Tracks whose names hold these words. Two ways of looking bring candidates (whole words and beginnings, and trigrams,
/// which survive a typing error), one measure ranks them. Both are plain full text search over lexemes of our own making,
/// so that no extension is needed and no dictionary of the server's has a say.
pub(super) async fn find(client: &impl GenericClient, words: &str, limit: usize) -> Result<Vec<TextHit>, SqlError> {
    let folded: String = fold(words).chars().take(256).collect();
    let mut terms = text_match::words(&folded);
    terms.truncate(text_match::MAX_WORDS);
    if terms.is_empty() || limit == 0 {
        return Ok(Vec::new());
    }
    // Every term is quoted, and holds letters and digits alone: what somebody types is never query syntax.
    let beginnings: Vec<String> =
        terms.iter().map(|term| format!("'{}':*", term.chars().take(WORD_LETTERS).collect::<String>())).collect();
    let mut found = matching(client, "name_words", &beginnings.join(" & ")).await?;
    if (found.len() as i64) < CANDIDATES {
        found.extend(matching(client, "name_words", &beginnings.join(" | ")).await?);
    }
    let trigrams: Vec<String> = trigrams(&terms.join(" ")).iter().map(|three| format!("'{three}'")).collect();
    if !trigrams.is_empty() {
        found.extend(matching(client, "name_trigrams", &trigrams.join(" | ")).await?);
    }
    found.sort_unstable();
    found.dedup();
    let query = text_match::Query::new(&folded);
    let mut hits = Vec::new();
    for (id, name) in found {
        hits.push(TextHit { id: row::track_id(id)?, score: query.score_name(&name) });
    }
    hits.retain(|hit| hit.score >= text_match::WORTH_SHOWING);
    hits.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.id.cmp(&b.id)));
    hits.truncate(limit);
    Ok(hits)
}

async fn matching(
    client: &impl GenericClient,
    column: &'static str,
    query: &str,
) -> Result<Vec<(i64, String)>, SqlError> {
    let sql = format!(
        "SELECT id, name_folded FROM tracks WHERE {column} @@ $1::text::tsquery \
         ORDER BY ts_rank({column}, $1::text::tsquery, 1) DESC, id LIMIT {CANDIDATES}"
    );
    rows(client, &sql, &[&query]).await?.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
}
