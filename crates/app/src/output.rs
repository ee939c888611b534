//! What people and programs read on standard output.

use std::io::{ErrorKind, Write};

use comfy_table::{CellAlignment, Table, presets};
use serde::Serialize;
use soniquebay_domain::Track;
use soniquebay_search::{Answer, Found, Near};
use soniquebay_wire::TrackView;

/// Writes a line; a reader that went away (`| head`) is no error.
pub(crate) fn line(text: &str) -> anyhow::Result<()> {
    match writeln!(std::io::stdout(), "{text}") {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        other => Ok(other?),
    }
}

/// Tells a person something, on standard error. Whoever closed it does not want to know; that is no error either.
/// Control characters, as names of files may hold, are shown and not obeyed.
pub(crate) fn note(text: &str) {
    let shown = |c: char| if c.is_control() && c != '\n' { c.escape_default().to_string() } else { c.to_string() };
    let text: String = text.chars().map(shown).collect();
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// Writes one JSON value.
pub(crate) fn json(value: &impl Serialize) -> anyhow::Result<()> {
    line(&serde_json::to_string_pretty(value)?)
}

/// A table without lines, numbers to the right.
pub(crate) fn table(
    header: &[&str],
    right: &[usize],
    rows: impl IntoIterator<Item = Vec<String>>,
) -> anyhow::Result<()> {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(header.to_vec());
    for row in rows {
        table.add_row(row);
    }
    for index in right {
        if let Some(column) = table.column_mut(*index) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    line(&table.trim_fmt())
}

/// An answer, as `--json` writes it: `{"of", "space", "items": [{"track", "score", "why"}]}`.
#[derive(Serialize)]
pub(crate) struct AnswerJson {
    /// The track that was asked about, where one was.
    #[serde(skip_serializing_if = "Option::is_none")]
    of: Option<TrackView>,
    space: String,
    items: Vec<FoundJson>,
}

#[derive(Serialize)]
struct FoundJson {
    track: TrackView,
    score: f32,
    why: WhyJson,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    versions: Vec<i64>,
}

#[derive(Serialize)]
struct NearJson {
    number: &'static str,
    seed: f64,
    track: f64,
}

#[derive(Serialize)]
struct WhyJson {
    #[serde(skip_serializing_if = "Option::is_none")]
    words: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    numbers: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sound: Option<f32>,
    closest: Vec<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    near: Vec<NearJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    matched: Option<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    relaxed: Vec<&'static str>,
}

impl AnswerJson {
    /// The answer, and the track it is about, if any.
    pub(crate) fn new(of: Option<&Track>, answer: &Answer) -> Self {
        let item = |found: &Found| FoundJson {
            track: TrackView::from(&found.track),
            score: found.score,
            why: WhyJson {
                words: found.why.words,
                numbers: found.why.numbers,
                sound: found.why.sound,
                closest: found.why.closest.clone(),
                near: found.why.near.iter().map(near).collect(),
                matched: found.why.matched.map(|matched| matched.name()),
                relaxed: found.why.relaxed.clone(),
            },
            versions: found.versions.iter().map(|id| id.get()).collect(),
        };
        let items = answer.items.iter().map(item).collect();
        Self { of: of.map(TrackView::from), space: answer.space.to_string(), items }
    }
}

fn near(near: &Near) -> NearJson {
    NearJson { number: near.number, seed: near.seed, track: near.track }
}

/// An answer for a person.
pub(crate) fn answer(answer: &Answer) -> anyhow::Result<()> {
    table(
        &["", "score", "artist", "title", "genre", "year", "why"],
        &[0, 1, 5],
        answer.items.iter().enumerate().map(|(index, found)| {
            let mut why: Vec<String> = match found.why.matched {
                Some(matched) => vec![matched.name().to_owned()],
                None => found.why.closest.iter().map(|&fact| fact.to_owned()).collect(),
            };
            // Tempo and year are facts above, if they are near enough.
            let telling = found.why.near.iter().find(|near| !["tempo", "year"].contains(&near.number));
            why.extend(telling.map(|near| format!("near {}", near.number)));
            why.extend(
                found.why.relaxed.iter().map(|condition| format!("{} given up", condition.trim_end_matches("_range"))),
            );
            match found.versions.len() {
                0 => {}
                1 => why.push("+1 version".to_owned()),
                more => why.push(format!("+{more} versions")),
            }
            vec![
                (index + 1).to_string(),
                format!("{:.3}", found.score),
                cell(found.track.fields.artist.as_deref()),
                cell(found.track.fields.title.as_deref()),
                cell(found.track.fields.genre.as_deref()),
                found.track.fields.year.map(|year| year.to_string()).unwrap_or_default(),
                why.join(", "),
            ]
        }),
    )
}

/// A track in one line.
pub(crate) fn track_line(track: &Track) -> String {
    let fields = &track.fields;
    let details: Vec<String> =
        [fields.genre.clone(), fields.year.map(|year| year.to_string())].into_iter().flatten().collect();
    if details.is_empty() { track.name() } else { format!("{} ({})", track.name(), details.join(", ")) }
}

/// Bounded, so that one long title does not spoil a table.
fn cell(text: Option<&str>) -> String {
    const WIDEST: usize = 40;
    let text = text.unwrap_or_default();
    if text.chars().count() <= WIDEST {
        return text.to_owned();
    }
    let cut: String = text.chars().take(WIDEST - 1).collect();
    format!("{cut}…")
}
