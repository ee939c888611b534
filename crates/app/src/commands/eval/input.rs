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

    /// The twelve numbers of a track of which this is said.
    fn numbers(said: &str) -> [f32; 12] {
        let line = format!(r#"{{"title": "T", "artist": "A", "label": "x", {said}}}"#);
        measure(&read_lines(line.as_bytes()).unwrap().tracks[0])
    }

    #[test]
    fn the_same_said_in_another_way_makes_the_same_numbers() {
        for (plain, others) in [
            (r#""bpm": 123.5"#, &[r#""bpm": "123.5""#, r#""tempo": 123.5"#][..]),
            (r#""year": 1999"#, &[r#""year": "1999""#, r#""year": "1999-05-01""#, r#""year": 1999.0"#]),
            (r#""duration": 215"#, &[r#""duration": "215.0""#]),
            (
                r#""key": "F#", "mode": "minor""#,
                &[
                    r#""key": "Gb", "scale": "minor""#,
                    r#""key": "F# minor""#,
                    r#""key": "Gbm""#,
                    r#""camelot_key": "11A""#,
                    r#""key": "11a""#,
                    r#""key": "4m""#,
                    r#""key": 6, "mode": 0"#,
                ],
            ),
            (r#""valence": 0.7"#, &[r#""mood_happy": 0.7"#, r#""valence": "0.7""#]),
            (r#""acousticness": 0.7"#, &[r#""acoustic": 0.7"#]),
            (r#""instrumentalness": 0.7"#, &[r#""instrumental": 0.7"#]),
            (
                r#""energy": 0.7"#,
                &[
                    r#""mood_aggressive": 0.7"#,
                    r#""mood_party": 0.7"#,
                    r#""mood_relaxed": 0.3"#,
                    r#""mood_aggressive": 0.9, "mood_party": 0.8, "mood_relaxed": 0.6"#,
                ],
            ),
            // Stored, and no number of ours; nothing known.
            (r#""tonal": 0.9"#, &[r#""bitrate": 320"#, r#""bpm": 0"#, r#""bpm": null, "key": """#, r#""key": -1"#]),
        ] {
            for other in others {
                assert_eq!(numbers(plain), numbers(other), "{plain} and {other}");
            }
        }
    }

    #[test]
    fn values_of_another_unit_are_refused_and_named() {
        for (said, field) in [
            (r#""duration": 2150000"#, "duration"),
            (r#""bpm": 123500"#, "bpm"),
            (r#""bpm": "fast""#, "bpm"),
            (r#""energy": 70"#, "energy"),
            (r#""danceability": -1"#, "danceability"),
            (r#""loudness": 100"#, "loudness"),
            (r#""year": 99"#, "year"),
            (r#""key": "H sharp-ish""#, "key"),
        ] {
            let line = format!(r#"{{"title": "T", "artist": "A", "label": "x", {said}}}"#);
            assert!(failure(&line).starts_with(&format!("line 1: {field}: ")), "{said}: {}", failure(&line));
        }
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
