use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use anyhow::{Context, anyhow, bail, ensure};
use serde_json::{Map, Value};
use soniquebay_domain::TrackFields;
use soniquebay_wire::parse_track;

/// Bytes in a line.
const LINE_BYTES: usize = 64 * 1024;

/// Every track is compared with every other one: beyond this a sample says as much, in minutes instead of hours.
const MOST_TRACKS: usize = 50_000;

/// Tracks and, apart from them, what each is hidden as.
#[derive(Debug, Default)]
pub(super) struct Labelled {
    pub(super) tracks: Vec<TrackFields>,
    pub(super) labels: Vec<String>,
}

/// Reads labelled tracks; blank lines are passed over.
///
/// # Errors
/// At the first line that is wrong: a measure over what happened to be readable would be no measure.
pub(super) fn read(file: &Path) -> anyhow::Result<Labelled> {
    let name = file.display();
    let reader = BufReader::new(File::open(file).with_context(|| format!("{name} cannot be read"))?);
    read_lines(reader).with_context(|| name.to_string())
}

fn read_lines(reader: impl BufRead) -> anyhow::Result<Labelled> {
    let mut labelled = Labelled::default();
    each_object(reader, |fields| {
        let (track, label) = read_track(fields)?;
        ensure!(
            labelled.tracks.len() < MOST_TRACKS,
            "more than {MOST_TRACKS} tracks: each is compared with all others, so give a random sample of whole artists"
        );
        labelled.tracks.push(track);
        labelled.labels.push(label);
        Ok(())
    })?;
    ensure!(!labelled.tracks.is_empty(), "there are no tracks in it");
    Ok(labelled)
}

/// Hands over the JSON object of each line; blank lines are passed over.
///
/// # Errors
/// At the first line that holds none, or that `read` refuses; its number is told.
pub(super) fn each_object(
    mut reader: impl BufRead,
    mut read: impl FnMut(Map<String, Value>) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut bytes = Vec::new();
    for number in 1u64.. {
        bytes.clear();
        let limit = LINE_BYTES as u64 + 1;
        if reader.by_ref().take(limit).read_until(b'\n', &mut bytes)? == 0 {
            break;
        }
        let object = object(&bytes, number == 1).and_then(|object| object.map_or(Ok(()), &mut read));
        object.with_context(|| format!("line {number}"))?;
    }
    Ok(())
}

fn object(bytes: &[u8], is_first: bool) -> anyhow::Result<Option<Map<String, Value>>> {
    let line = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    ensure!(line.len() <= LINE_BYTES, "longer than {LINE_BYTES} bytes");
    let text = std::str::from_utf8(line).context("is no UTF-8")?;
    let text = if is_first { text.trim_start_matches('\u{feff}') } else { text };
    if text.trim().is_empty() {
        return Ok(None);
    }
    match serde_json::from_str(text) {
        Ok(Value::Object(fields)) => Ok(Some(fields)),
        Ok(_) => bail!("is no JSON object"),
        // The parser sees one line at a time, so that its own line number is always 1.
        Err(error) => bail!("is no JSON: {}", error.to_string().replace("at line 1 column", "at column")),
    }
}

/// The label is taken out before anything else sees the track, so that it can reach neither text nor numbers.
fn read_track(mut fields: Map<String, Value>) -> anyhow::Result<(TrackFields, String)> {
    let label = match fields.remove("label") {
        Some(Value::String(label)) if !label.trim().is_empty() => label.trim().to_owned(),
        Some(Value::Null) | None => bail!("label: missing"),
        Some(_) => bail!("label: must be a text that is not empty"),
    };
    let record = parse_track(fields).map_err(|errors| {
        let reasons: Vec<String> = errors.iter().map(ToString::to_string).collect();
        anyhow!(reasons.join("; "))
    })?;
    let track = record.patch.apply(&TrackFields::default())?;
    ensure!(track.artist.is_some(), "artist: missing: only other artists' tracks count as neighbours");
    Ok((track, label))
}

#[cfg(test)]
mod tests {
    use soniquebay_domain::TrackFields;
    use soniquebay_embed::{Template, measure};

    use super::read_lines;

    const TRACK: &str =
        r#""title": "Jóga", "artist": "Björk", "genre": "Electronic", "year": 1997, "bpm": 86, "key": "C#""#;

    fn failure(text: &str) -> String {
        format!("{:#}", read_lines(text.as_bytes()).unwrap_err())
    }

    #[test]
    fn the_label_reaches_neither_text_nor_numbers() {
        let with = |label: &str| {
            let line = format!(r#"{{{TRACK}, "label": "{label}"}}"#);
            let mut labelled = read_lines(line.as_bytes()).unwrap();
            assert_eq!(labelled.labels, [label]);
            labelled.tracks.remove(0)
        };
        let (one, other) = (with("zydeco"), with("1998"));
        assert_eq!(one, other);
        assert!(!format!("{one:?}").contains("zydeco"));
        assert_ne!(one, TrackFields::default());
        for template in Template::ALL {
            assert!(!format!("{:?}", template.describe(&one)).contains("zydeco"));
        }
        assert_eq!(measure(&one), measure(&other));
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        let good = format!(r#"{{{TRACK}, "label": "x"}}"#);
        for (bad, reason) in [
            ("{".to_owned(), "line 3: is no JSON: EOF while parsing an object at column 1"),
            ("[]".to_owned(), "line 3: is no JSON object"),
            (format!("{{{TRACK}}}"), "line 3: label: missing"),
            (format!(r#"{{{TRACK}, "label": 7}}"#), "line 3: label: must be a text that is not empty"),
            (r#"{"artist": "A", "label": "x"}"#.to_owned(), "line 3: title: missing: a track needs a title"),
            (
                r#"{"title": "A", "artist": " ", "label": "x"}"#.to_owned(),
                "line 3: artist: missing: only other artists' tracks count as neighbours",
            ),
            ("x".repeat(70_000), "line 3: longer than 65536 bytes"),
        ] {
            assert_eq!(failure(&format!("\u{feff}{good}\r\n\n{bad}\n{good}")), reason);
        }
        assert!(failure(&good.replace("1997", "\"soon\"")).starts_with("line 1: year: "));
        assert_eq!(failure("\n"), "there are no tracks in it");
    }
}
