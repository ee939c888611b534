use std::sync::LazyLock;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use soniquebay_domain::{Fingerprint, TrackId};
use soniquebay_wire::TrackView;
use utoipa::ToSchema;
use utoipa::openapi::{RefOr, Schema};

use crate::Services;
use crate::error::ApiError;
use crate::openapi::{ListParams, field_names, listed};
use crate::params::{MAX_LIMIT, Params};

static FIELDS: LazyLock<Vec<String>> = LazyLock::new(field_names::<TrackView>);

/// Some tracks, in the form that was asked for.
pub(crate) struct TrackList;

impl utoipa::PartialSchema for TrackList {
    fn schema() -> RefOr<Schema> {
        listed::<TrackView>()
    }
}

impl ToSchema for TrackList {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        TrackView::schemas(schemas);
    }
}

/// What [`Fingerprint`] tells. Whoever asks for no more spares us the tracks themselves.
const FINGERPRINT: [&str; 4] = ["id", "content_hash", "metadata_hash", "file_hash"];

/// Tracks by id
///
/// A bare array, or with `after` an object `{items, next}` whose `next` is the next page's `after`, null at the end. With
/// `ids`, those of them that exist.
#[utoipa::path(
    get, path = "/api/tracks", operation_id = "list_tracks", tag = "tracks",
    params(ListParams,
        ("ids" = Option<String>, Query, description = "These tracks, up to 1,000, with commas between; without `after`, `skip` and `limit`",
            example = "1,2,3"),
        ("limit" = Option<u32>, Query, description = "How many; 100 where left out", minimum = 1, maximum = 1000)),
    responses((status = 200, description = "The tracks", body = TrackList))
)]
pub(crate) async fn list_tracks(State(services): State<Services>, mut params: Params) -> Result<Response, ApiError> {
    let (ids, page, fields) = (params.ids(MAX_LIMIT), params.page(MAX_LIMIT), params.fields(&FIELDS));
    params.finish()?;
    let after = page.after.unwrap_or(0);
    if ids.is_none() && page.skip == 0 && fields.as_ref().is_some_and(|names| are_among(names, &FINGERPRINT)) {
        let found = services.catalog.fingerprints(after, page.limit).await?;
        let next = next(&found, page.limit, |one| one.track_id);
        let items = found.iter().map(fingerprint).collect();
        return Ok(answer_page(items, fields.as_deref(), page.after, next));
    }
    let (tracks, next) = match ids {
        Some(ids) => {
            let mut tracks = services.catalog.tracks(ids).await?;
            tracks.sort_by_key(|track| track.id);
            (tracks, None)
        }
        None => {
            let tracks = services.catalog.page(after, page.skip, page.limit).await?;
            let next = next(&tracks, page.limit, |track| track.id);
            (tracks, next)
        }
    };
    let items = tracks.iter().map(|track| serde_json::to_value(TrackView::from(track)));
    let items = items.collect::<Result<_, _>>().map_err(|error| ApiError::internal(&error))?;
    Ok(answer_page(items, fields.as_deref(), page.after, next))
}

fn fingerprint(of: &Fingerprint) -> Value {
    let mut print = json!({
        "id": of.track_id.get(), "content_hash": of.content_hash.as_str(), "metadata_hash": of.metadata_hash.as_str(),
    });
    if let Some(file) = &of.file_hash {
        print["file_hash"] = file.as_str().into();
    }
    print
}

/// Whether these fields are all among those.
pub(crate) fn are_among(fields: &[String], those: &[&str]) -> bool {
    fields.iter().all(|field| those.contains(&field.as_str()))
}

/// Where the next page begins: behind the last of a full one.
pub(crate) fn next<T>(page: &[T], limit: usize, id: impl Fn(&T) -> TrackId) -> Option<TrackId> {
    page.last().filter(|_| page.len() == limit).map(id)
}

/// The form that the client's way of paging asks for, with only the named fields. One that is unknown of an item is absent
/// from it.
pub(crate) fn answer_page(
    mut items: Vec<Value>,
    fields: Option<&[String]>,
    after: Option<i64>,
    next: Option<TrackId>,
) -> Response {
    if let Some(fields) = fields {
        for item in items.iter_mut().filter_map(Value::as_object_mut) {
            item.retain(|name, _| fields.contains(name));
        }
    }
    match after {
        Some(_) => Json(json!({ "items": items, "next": next.map(TrackId::get) })).into_response(),
        None => Json(items).into_response(),
    }
}
