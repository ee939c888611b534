use std::time::Duration;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::{FromRequest, Request, State};
use futures_util::StreamExt;
use serde::Serialize;
use serde_json::{Map, Value};
use soniquebay_domain::{Applied, FieldError, Outcome, Priority, Target, TrackWrite, WriteMode};
use soniquebay_wire::{FieldProblem, ProblemView, parse_track};
use utoipa::ToSchema;

use crate::Services;
use crate::error::{ApiError, Code};
use crate::extract::{JsonBody, is_lines, media_type};
use crate::openapi::TrackInput;

/// Tracks in one JSON array.
const ARRAY_TRACKS: usize = 1000;
/// Bytes of one line of NDJSON.
const LINE_BYTES: usize = 64 * 1024;
/// Lines that are written in one transaction.
const LINES_AT_ONCE: usize = 500;
/// Failures that an answer lists; more are only counted.
const LISTED: usize = 1000;
/// How long an import may send nothing.
const SILENCE: Duration = Duration::from_secs(30);

/// What became of the tracks.
#[derive(Default, Serialize, ToSchema)]
pub(crate) struct BatchReport {
    /// New tracks.
    created: usize,
    /// Known tracks that changed.
    updated: usize,
    /// Known tracks that were so already.
    unchanged: usize,
    /// How many were refused.
    failed_count: usize,
    /// The first thousand that were refused.
    failed: Vec<Failed>,
    /// Numbers that were a little out of range and are kept at its end; the first thousand.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    clamped: Vec<Failed>,
    /// The id of each track in order, null where it was refused. Not for NDJSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    ids: Option<Vec<Option<i64>>>,
}

/// A track that was refused, or of which numbers were moved.
#[derive(Serialize, ToSchema)]
pub(crate) struct Failed {
    /// Its place, from 0; of NDJSON, the line's.
    index: usize,
    /// What is wrong with it.
    errors: Vec<FieldProblem>,
}

/// Create or update many tracks
///
/// A JSON array of up to 1,000, or NDJSON (`application/x-ndjson`) of any length with a track on each line. Each is
/// recognised as a single one is; one that is wrong does not hold the others back.
#[utoipa::path(
    post, path = "/api/tracks/batch", operation_id = "write_tracks", tag = "tracks",
    request_body(content(
        (Vec<TrackInput> = "application/json"),
        (String = "application/x-ndjson", example = "{\"title\": \"A\"}\n{\"title\": \"B\"}\n"),
    )),
    responses(
        (status = 200, description = "What became of each", body = BatchReport),
        (status = 422, description = "`invalid_track`: no array, or too long a one", body = ProblemView,
            content_type = "application/problem+json"),
    )
)]
pub(crate) async fn write_tracks(
    State(services): State<Services>,
    request: Request,
) -> Result<Json<BatchReport>, ApiError> {
    let report = match media_type(request.headers()).as_str() {
        lines if is_lines(lines) => write_lines(&services, request.into_body()).await?,
        "" | "application/json" => write_array(&services, JsonBody::from_request(request, &services).await?).await?,
        other => {
            let detail = format!("{other:?} is not read here: send application/json or application/x-ndjson.");
            return Err(ApiError::new(Code::UnsupportedMediaType, detail));
        }
    };
    Ok(Json(report))
}

async fn write_array(services: &Services, body: JsonBody) -> Result<BatchReport, ApiError> {
    let tracks: Vec<Value> = body.read_array(Code::InvalidTrack)?;
    if tracks.len() > ARRAY_TRACKS {
        let detail = format!("{} tracks: at most {ARRAY_TRACKS} at once, or any number as NDJSON.", tracks.len());
        return Err(ApiError::new(Code::InvalidTrack, detail));
    }
    let mut report = BatchReport { ids: Some(vec![None; tracks.len()]), ..BatchReport::default() };
    let mut writes = Vec::new();
    for (index, track) in tracks.into_iter().enumerate() {
        read(track, index, &mut writes, &mut report);
    }
    apply(services, writes, &mut report).await?;
    Ok(report)
}

async fn write_lines(services: &Services, body: Body) -> Result<BatchReport, ApiError> {
    let mut report = BatchReport::default();
    let mut lines = Lines::default();
    let mut writes = Vec::new();
    let mut frames = body.into_data_stream();
    loop {
        let next = match tokio::time::timeout(SILENCE, frames.next()).await.map(Option::transpose) {
            Ok(Ok(frame)) => Ok(frame),
            Ok(Err(_)) => Err((Code::InvalidJson, "The body ended before it was complete".to_owned())),
            Err(_) => Err((Code::Unavailable, format!("Nothing came for {} s", SILENCE.as_secs()))),
        };
        let frame = match next {
            Ok(frame) => frame,
            Err((code, reason)) => {
                apply_lines(services, writes, &mut report).await?;
                return Err(report.cut_short(code, &reason));
            }
        };
        let is_last = frame.is_none();
        lines.take(frame, |index, line| {
            match line {
                Ok(line) => match serde_json::from_slice(line) {
                    Ok(track) => read(track, index, &mut writes, &mut report),
                    Err(error) => report.fail(index, vec![FieldError::new("", format!("no JSON: {error}"))]),
                },
                Err(()) => {
                    let reason = format!("the line has more than {LINE_BYTES} bytes");
                    report.fail(index, vec![FieldError::new("", reason)]);
                }
            };
        });
        while writes.len() >= LINES_AT_ONCE || (is_last && !writes.is_empty()) {
            let rest = writes.split_off(writes.len().min(LINES_AT_ONCE));
            apply_lines(services, std::mem::replace(&mut writes, rest), &mut report).await?;
        }
        if is_last {
            return Ok(report);
        }
    }
}

/// The same of lines: where the database fails, what it had taken before is told with the error.
async fn apply_lines(
    services: &Services,
    writes: Vec<(usize, TrackWrite)>,
    report: &mut BatchReport,
) -> Result<(), ApiError> {
    let first = writes.first().map_or(0, |(index, _)| *index);
    let Err(error) = apply(services, writes, report).await else { return Ok(()) };
    let (code, reason) = error.told();
    Err(report.cut_short(code, &format!("{} from index {first} on", reason.trim_end_matches('.'))))
}

fn read(track: Value, index: usize, writes: &mut Vec<(usize, TrackWrite)>, report: &mut BatchReport) {
    let Value::Object(fields) = track else {
        return report.fail(index, vec![FieldError::new("", "is no object")]);
    };
    let fields: Map<String, Value> = fields;
    match parse_track(fields) {
        Ok(record) => {
            if !record.clamped.is_empty() && report.clamped.len() < LISTED {
                report
                    .clamped
                    .push(Failed { index, errors: record.clamped.into_iter().map(FieldProblem::from).collect() });
            }
            let target = Target::Recognised { id: record.id };
            let write = TrackWrite { target, mode: WriteMode::Merge, patch: record.patch, priority: Priority::Bulk };
            writes.push((index, write));
        }
        Err(errors) => report.fail(index, errors),
    }
}

async fn apply(
    services: &Services,
    writes: Vec<(usize, TrackWrite)>,
    report: &mut BatchReport,
) -> Result<(), ApiError> {
    if writes.is_empty() {
        return Ok(());
    }
    let (indexes, writes): (Vec<usize>, Vec<TrackWrite>) = writes.into_iter().unzip();
    for (index, applied) in indexes.into_iter().zip(services.catalog.apply(writes).await?) {
        match applied {
            Applied::Done { id, outcome } => {
                match outcome {
                    Outcome::Created => report.created += 1,
                    Outcome::Updated => report.updated += 1,
                    Outcome::Unchanged => report.unchanged += 1,
                }
                if let Some(slot) = report.ids.as_mut().and_then(|ids| ids.get_mut(index)) {
                    *slot = Some(id.get());
                }
            }
            Applied::Refused(error) => report.fail(index, vec![error]),
            Applied::Missing(_) | Applied::Outdated { .. } => {
                report.fail(index, vec![FieldError::new("id", "was changed at the same moment; send it again")]);
            }
        }
    }
    Ok(())
}

impl BatchReport {
    /// Says of an import that ended early what became of the lines before.
    fn cut_short(&self, code: Code, reason: &str) -> ApiError {
        let Self { created, updated, unchanged, failed_count, .. } = self;
        let detail = format!(
            "{reason}; of the lines before it: {created} created, {updated} updated, {unchanged} unchanged, \
             {failed_count} refused."
        );
        ApiError::new(code, detail)
    }

    fn fail(&mut self, index: usize, errors: Vec<FieldError>) {
        self.failed_count += 1;
        if self.failed.len() < LISTED {
            self.failed.push(Failed { index, errors: errors.into_iter().map(FieldProblem::from).collect() });
        }
    }
}

/// What some editors write before the first line.
const BOM: &[u8] = "\u{feff}".as_bytes();

/// Cuts a stream into lines and holds no more than one of them.
#[derive(Default)]
struct Lines {
    partial: Vec<u8>,
    /// The line at hand has grown too long: what is left of it is thrown away.
    overlong: bool,
    number: usize,
}

impl Lines {
    /// Takes more bytes, or the end, and gives each line that is complete: its place and bytes, or that it was too
    /// long. Blank lines are counted and not given.
    fn take(&mut self, frame: Option<Bytes>, mut give: impl FnMut(usize, Result<&[u8], ()>)) {
        let is_end = frame.is_none();
        let frame = frame.unwrap_or_default();
        let mut parts = frame.split(|byte| *byte == b'\n').peekable();
        while let Some(part) = parts.next() {
            if self.overlong || self.partial.len() + part.len() > LINE_BYTES {
                self.overlong = true;
                self.partial.clear();
            } else {
                self.partial.extend_from_slice(part);
            }
            if self.number == 0 && self.partial.starts_with(BOM) {
                self.partial.drain(..BOM.len());
            }
            if parts.peek().is_none() && !is_end {
                return;
            }
            if self.overlong {
                give(self.number, Err(()));
            } else if !self.partial.trim_ascii().is_empty() {
                give(self.number, Ok(self.partial.trim_ascii()));
            }
            self.partial.clear();
            self.overlong = false;
            self.number += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Bytes;

    use super::{LINE_BYTES, Lines};

    #[test]
    fn lines_are_cut_wherever_frames_end() {
        let text = b"\xef\xbb\xbfone\n\ntw\xc3\xb6\r\n  \nthree";
        for size in 1..text.len() {
            let (mut lines, mut found) = (Lines::default(), Vec::new());
            let frames = text.chunks(size).map(|part| Some(Bytes::copy_from_slice(part))).chain([None]);
            for frame in frames {
                lines.take(frame, |number, line| found.push((number, line.unwrap().to_vec())));
            }
            let expected = [(0, b"one".to_vec()), (2, "twö".as_bytes().to_vec()), (4, b"three".to_vec())];
            assert_eq!(found, expected, "{size}");
        }
    }

    #[test]
    fn a_line_without_end_is_not_held() {
        let (mut lines, mut found) = (Lines::default(), Vec::new());
        for _ in 0..100 {
            lines.take(Some(Bytes::from(vec![b'x'; LINE_BYTES / 3])), |_, _| panic!("no line ends here"));
            assert!(lines.partial.len() <= LINE_BYTES);
        }
        lines.take(Some(Bytes::from_static(b"\nok\n")), |number, line| found.push((number, line.is_ok())));
        assert_eq!(found, [(0, false), (1, true)]);
    }
}
