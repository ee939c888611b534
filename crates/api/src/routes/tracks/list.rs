use std::sync::LazyLock;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
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

/// Tracks by id
///
/// A bare array, or with `after` an object `{items, next}` whose `next` is the next page's `after`, null at the end.
#[utoipa::path(
    get, path = "/api/tracks", operation_id = "list_tracks", tag = "tracks",
    params(ListParams, ("limit" = Option<u32>, Query, description = "How many; 100 where left out", minimum = 1,
        maximum = 1000)),
    responses((status = 200, description = "The tracks", body = TrackList))
)]
pub(crate) async fn list_tracks(State(services): State<Services>, mut params: Params) -> Result<Response, ApiError> {
    let (page, fields) = (params.page(MAX_LIMIT), params.fields(&FIELDS));
    params.finish()?;
    let tracks = services.catalog.page(page.after.unwrap_or(0), page.skip, page.limit).await?;
    let next = (tracks.len() == page.limit).then(|| tracks.last().map(|track| track.id.get())).flatten();
    let items = tracks.iter().map(|track| serde_json::to_value(TrackView::from(track)));
    let mut items: Vec<Value> = items.collect::<Result<_, _>>().map_err(|error| ApiError::internal(&error))?;
    if let Some(fields) = &fields {
        keep_fields(&mut items, fields);
    }
    Ok(answer_page(items, page.after, next))
}

/// Leaves only the named fields. One that is unknown of an item is absent from it.
pub(crate) fn keep_fields(items: &mut [Value], fields: &[String]) {
    for item in items.iter_mut().filter_map(Value::as_object_mut) {
        item.retain(|name, _| fields.contains(name));
    }
}

/// The form that the client's way of paging asks for.
pub(crate) fn answer_page(items: Vec<Value>, after: Option<i64>, next: Option<i64>) -> Response {
    match after {
        Some(_) => Json(json!({ "items": items, "next": next })).into_response(),
        None => Json(items).into_response(),
    }
}
