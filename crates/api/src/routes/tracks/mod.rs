//! `/api/tracks`.

mod analysis;
mod audio;
mod batch;
mod create;
mod delete;
mod features;
mod find;
mod get;
mod list;
mod similar;
mod update;
mod version;

pub(crate) use list::{answer_page, are_among, next};

use soniquebay_domain::{Applied, FieldError, TrackId, TrackWrite};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::Services;
use crate::error::{ApiError, Code};

/// What the library answers.
pub(crate) fn library() -> OpenApiRouter<Services> {
    OpenApiRouter::new()
        .routes(routes!(list::list_tracks, create::create_track))
        .routes(routes!(batch::write_tracks))
        .routes(routes!(find::find_tracks))
        .routes(routes!(get::get_track, update::replace_track, update::update_track, delete::delete_track))
        .routes(routes!(features::set_features))
        .routes(routes!(analysis::set_analysis))
        .routes(routes!(audio::get_audio))
        .merge(crate::routes::analysis::routes())
}

/// What the recommender answers about a track.
pub(crate) fn recommender() -> OpenApiRouter<Services> {
    OpenApiRouter::new().routes(routes!(similar::similar_tracks))
}

/// Writes one track.
async fn write_one(services: &Services, write: TrackWrite) -> Result<(TrackId, soniquebay_domain::Outcome), ApiError> {
    match services.catalog.apply(vec![write]).await?.pop() {
        Some(Applied::Done { id, outcome }) => Ok((id, outcome)),
        Some(Applied::Refused(error)) => Err(ApiError::fields(Code::InvalidTrack, vec![error])),
        Some(Applied::Missing(id)) => Err(ApiError::no_track(id)),
        Some(Applied::Outdated { id, version }) => Err(version::outdated(id, version)),
        None => Err(ApiError::internal(&"a write had no answer")),
    }
}

/// The id in a body must be the one in the path, if it is there at all.
fn check_id(in_path: TrackId, in_body: Option<TrackId>) -> Result<(), ApiError> {
    match in_body.filter(|id| *id != in_path) {
        Some(id) => {
            let error = FieldError::new("id", format!("{id} is not the track of the path, {in_path}"));
            Err(ApiError::fields(Code::InvalidTrack, vec![error]))
        }
        None => Ok(()),
    }
}
