use std::path::{Path, PathBuf};

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use soniquebay_domain::{TrackId, audio_type};
use soniquebay_wire::ProblemView;
use tower::ServiceExt;
use tower_http::services::ServeFile;

use crate::Services;
use crate::error::{ApiError, Code};
use crate::extract::TrackPath;

/// A track's file
///
/// As it lies on the library's disk, streamed; in parts where `Range` asks for one.
#[utoipa::path(
    get, path = "/api/tracks/{id}/audio", operation_id = "get_audio", tag = "tracks",
    params(("id" = i64, Path, description = "Which track", minimum = 1, example = 123),
        ("range" = Option<String>, Header, nullable = false, description = "The part that is wanted",
            example = "bytes=0-65535")),
    responses(
        (status = 200, description = "The whole file", body = Vec<u8>, content_type = "audio/*"),
        (status = 206, description = "The part that was asked for", body = Vec<u8>, content_type = "audio/*"),
        (status = 404, description = "`no_track`, or `no_file`: it has none, or it is not there", body = ProblemView,
            content_type = "application/problem+json"),
        (status = 416, description = "`invalid_range`: the file has no such part", body = ProblemView,
            content_type = "application/problem+json"),
    )
)]
pub(crate) async fn get_audio(
    State(services): State<Services>,
    TrackPath(id): TrackPath,
    mut request: Request,
) -> Result<Response, ApiError> {
    if request.headers().get(header::RANGE).is_some_and(|range| !is_one_part(range)) {
        // What is no part that we give is not asked for: the whole file is always right (RFC 9110, 14.2).
        request.headers_mut().remove(header::RANGE);
    }
    let track = services.catalog.tracks(vec![id]).await?.pop().ok_or_else(|| ApiError::no_track(id))?;
    let path = track.fields.identity.path.ok_or_else(|| no_file(id, "it has no file"))?;
    let (file, kind) = audible(Path::new(&path)).await.map_err(|reason| no_file(id, reason))?;
    let served = ServeFile::new(&file).oneshot(request.map(|_| Body::empty())).await;
    let mut response = match served {
        Ok(response) => response.map(Body::new),
        Err(never) => match never {},
    };
    match response.status() {
        StatusCode::NOT_FOUND => return Err(no_file(id, "its file is not there")),
        StatusCode::RANGE_NOT_SATISFIABLE => {
            let mut problem = ApiError::new(Code::InvalidRange, "The file has no such part.").into_response();
            let length = response.headers_mut().remove(header::CONTENT_RANGE);
            problem.headers_mut().extend(length.map(|length| (header::CONTENT_RANGE, length)));
            return Ok(problem);
        }
        status if status.is_server_error() => {
            return Err(ApiError::internal(&format!("the file of track {id} cannot be read")));
        }
        _ => {}
    }
    if response.headers().contains_key(header::CONTENT_TYPE) {
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    }
    Ok(response)
}

/// Whether a range is one part in bytes, "bytes=0-499", "bytes=500-" or "bytes=-500", with numbers that a file may have.
fn is_one_part(range: &HeaderValue) -> bool {
    let is_place = |text: &str| text.len() < 19 && text.bytes().all(|byte| byte.is_ascii_digit());
    let part = range.to_str().ok().and_then(|range| range.strip_prefix("bytes=")).and_then(|part| part.split_once('-'));
    part.is_some_and(|(first, last)| is_place(first) && is_place(last) && !(first.is_empty() && last.is_empty()))
}

/// The file itself and its media type, where this is a file that is taken for audio, under its own name and under that of
/// what a link leads to: whoever may write tracks must not read other files by them.
async fn audible(path: &Path) -> Result<(PathBuf, &'static str), &'static str> {
    if !path.is_absolute() || audio_type(path).is_none() {
        return Err("what it names is no audio file");
    }
    let file = tokio::fs::canonicalize(path).await.map_err(|_| "its file is not there")?;
    let kind = audio_type(&file).ok_or("what it names is no audio file")?;
    let about = tokio::fs::metadata(&file).await.map_err(|_| "its file is not there")?;
    // A pipe would be waited for, a device read without end.
    if about.is_file() { Ok((file, kind)) } else { Err("what it names is no regular file") }
}

fn no_file(id: TrackId, reason: &str) -> ApiError {
    ApiError::new(Code::NoFile, format!("Track {id}: {reason}."))
}
