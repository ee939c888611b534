//! The description of the API: what the handlers do not say themselves.

mod examples;
mod shapes;

use std::collections::BTreeMap;

use axum::body::Bytes;
use axum::extract::Request;
use axum::http::{Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Router, middleware, response::Response};
use serde::Deserialize;
use soniquebay_domain::Scope;
use soniquebay_wire::{FilterInput, ProblemView};
use utoipa::openapi::header::Header;
use utoipa::openapi::path::{Operation, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{Object, Type};
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme,
};
use utoipa::openapi::{ContentBuilder, OpenApi as Description, Ref, RefOr, ResponseBuilder, Server};
use utoipa::{IntoParams, OpenApi, ToSchema};
use utoipa_swagger_ui::{Config, SwaggerUi};

use crate::access::required;
use crate::conditional::is_conditional;
use crate::error::{ApiError, Code};

pub(crate) use shapes::{field_names, listed};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "SoniqueBay",
        description = "Keeps a vector for every track of a music library and answers what is like what. \
            A trailing slash is optional everywhere. Errors are RFC 9457 problems with a stable `code`.",
        license(name = "MIT OR Apache-2.0")
    ),
    components(schemas(ProblemView, FilterInput)),
    tags(
        (name = "tracks", description = "The library: what is known of each track."),
        (name = "vectors", description = "Vectors by track and space."),
        (name = "search", description = "What is like what."),
        (name = "jobs", description = "The work that keeps vectors right."),
        (name = "service", description = "How the service does.")
    )
)]
struct Base;

const KEYS: &str = "Made by `soniquebay keys create NAME --scope read|write|admin`. Each scope allows what those before it \
    do. On a machine where no key was ever made, its own programs need none.";

/// The description that routes are added to.
pub(crate) fn base(version: &str) -> Description {
    let mut description = Base::openapi();
    version.clone_into(&mut description.info.version);
    description
}

/// Name of the two ways to show a key.
const BY_BEARER: &str = "bearer";
const BY_HEADER: &str = "header";

/// Adds what follows from the routes, so that handlers name only their own: errors, what a key must allow, where this is.
pub(crate) fn complete(description: &mut Description, base_path: &str) {
    let components = description.components.get_or_insert_default();
    let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some(KEYS)).build();
    components.add_security_scheme(BY_BEARER, SecurityScheme::Http(bearer));
    let header = ApiKeyValue::with_description("X-API-Key", KEYS);
    components.add_security_scheme(BY_HEADER, SecurityScheme::ApiKey(ApiKey::Header(header)));
    if !base_path.is_empty() {
        description.servers = Some(vec![Server::new(base_path)]);
    }
    for (path, item) in &mut description.paths.paths {
        if let Some(read) = item.get.as_mut().filter(|_| is_conditional(path)) {
            tell_of_etag(read);
        }
        let operations = [
            (Method::GET, &mut item.get),
            (Method::POST, &mut item.post),
            (Method::PUT, &mut item.put),
            (Method::PATCH, &mut item.patch),
            (Method::DELETE, &mut item.delete),
        ];
        for (method, operation) in operations {
            if let Some(operation) = operation {
                add_to(operation, required(&method, Some(path)));
            }
        }
    }
}

/// What a read says and takes of its version, see [`crate::conditional`].
fn tell_of_etag(read: &mut Operation) {
    const ASKED: &str = "if-none-match";
    let unchanged = ResponseBuilder::new().description("What If-None-Match names is still so").build();
    read.responses.responses.entry("304".to_owned()).or_insert(RefOr::T(unchanged));
    if let Some(RefOr::T(answer)) = read.responses.responses.get_mut("200") {
        let mut etag = Header::new(Object::with_type(Type::String));
        etag.description = Some("The version of this answer".to_owned());
        answer.headers.entry("etag".to_owned()).or_insert(RefOr::T(etag));
    }
    let parameters = read.parameters.get_or_insert_default();
    if !parameters.iter().any(|known| matches!(known, RefOr::T(known) if known.name.eq_ignore_ascii_case(ASKED))) {
        let asked = ParameterBuilder::new()
            .name(ASKED)
            .parameter_in(ParameterIn::Header)
            .description(Some("ETags of answers that the client has"))
            .schema(Some(Object::with_type(Type::String)));
        parameters.push(RefOr::T(asked.build()));
    }
}

fn add_to(operation: &mut Operation, scope: Option<Scope>) {
    let mut codes = vec![
        Code::ForbiddenHost,
        Code::ForbiddenOrigin,
        Code::Overloaded,
        Code::RateLimited,
        Code::Internal,
        Code::Unavailable,
    ];
    let ways = scope.map_or_else(Vec::new, |scope| {
        codes.extend([Code::Unauthorized, Code::ForbiddenScope]);
        [BY_BEARER, BY_HEADER].map(|way| SecurityRequirement::new(way, [scope.name()])).to_vec()
    });
    operation.security = Some(ways);
    if operation.request_body.is_some() {
        codes.extend([Code::InvalidJson, Code::TooLarge, Code::UnsupportedMediaType]);
    }
    let parameters = operation.parameters.as_deref().unwrap_or_default();
    if parameters.iter().any(|p| matches!(p, RefOr::T(p) if p.parameter_in != ParameterIn::Header))
        || operation.request_body.is_some()
    {
        codes.push(Code::InvalidFilter);
    }
    let mut problems: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (status, description) in codes.into_iter().map(Code::described) {
        problems.entry(status).or_default().push(description);
    }
    for (status, descriptions) in problems {
        let description = descriptions.join("; ");
        operation.responses.responses.entry(status).or_insert_with(|| {
            let problem = Ref::from_schema_name("ProblemView");
            let content = ContentBuilder::new().schema(Some(RefOr::Ref(problem))).build();
            let response = ResponseBuilder::new().description(description).content("application/problem+json", content);
            RefOr::T(response.build())
        });
    }
}

/// `/openapi.json`, and `/docs` showing it from files in this binary.
pub(crate) fn routes(description: &Description) -> Result<Router, serde_json::Error> {
    let mut whole = serde_json::to_value(description)?;
    examples::add(&mut whole)?;
    let json = Bytes::from(serde_json::to_vec(&whole)?);
    let answer = move || {
        let json = json.clone();
        async move { ([(header::CONTENT_TYPE, "application/json")], json).into_response() as Response }
    };
    // Relative to the page, which may be shown below any path. Without `none` the page sends the description to a validator on the internet.
    let config = Config::from("../openapi.json").validator_url("none").try_it_out_enabled(true);
    Ok(Router::new().route("/openapi.json", get(answer)).merge(
        Router::new().merge(SwaggerUi::new("/docs").config(config)).layer(middleware::from_fn(say_nothing_is_there)),
    ))
}

/// The pages answer nothing at all for what they have not.
async fn say_nothing_is_there(request: Request, next: Next) -> Response {
    let path = request.uri().path().to_owned();
    let response = next.run(request).await;
    match response.status() {
        StatusCode::NOT_FOUND => ApiError::nothing_at(&path).into_response(),
        _ => response,
    }
}

/// A track as it is sent. Further names are accepted as aliases; unknown fields are kept under `extra`. Numbers may be
/// sent as texts.
#[derive(ToSchema)]
#[schema(example = json!({
    "title": "Jóga", "artist": "Björk", "album": "Homogenic", "genre": "Electronic", "year": 1997,
    "duration": 305.2, "bpm": 80, "key": "Eb major", "tags": ["strings"], "path": "/music/bjork/joga.flac"
}))]
#[expect(dead_code, reason = "describes what parse_track reads")]
pub(crate) struct TrackInput {
    /// The caller's id, above 0; the library gives one where it is left out.
    #[schema(minimum = 1, maximum = 9007199254740991i64)]
    id: Option<i64>,
    /// Name of the track. A new track needs one.
    #[schema(max_length = 1024)]
    title: Option<String>,
    /// Who performs it; also `artist_name`, `track_artist`.
    #[schema(max_length = 1024)]
    artist: Option<String>,
    /// The release it is on; also `album_title`.
    #[schema(max_length = 1024)]
    album: Option<String>,
    /// Who the release is by, where it differs.
    #[schema(max_length = 1024)]
    album_artist: Option<String>,
    /// Main genre; also `genre_main`.
    #[schema(max_length = 1024)]
    genre: Option<String>,
    /// Further genres; also `genres`.
    #[schema(schema_with = shapes::one_or_many)]
    genre_tags: Option<Vec<String>>,
    /// Moods; also `moods`, `synthetic_tags`.
    #[schema(schema_with = shapes::one_or_many)]
    mood_tags: Option<Vec<String>>,
    /// Free tags.
    #[schema(schema_with = shapes::one_or_many)]
    tags: Option<Vec<String>>,
    /// Year of release; a date will do.
    #[schema(minimum = 1000, maximum = 2200)]
    year: Option<i32>,
    /// Seconds.
    #[schema(minimum = 0, maximum = 86400)]
    duration: Option<f64>,
    /// Beats a minute.
    #[schema(minimum = 20, maximum = 999)]
    bpm: Option<f64>,
    /// By name ("F# minor"), Camelot ("11A") or Open Key ("4m").
    key: Option<String>,
    /// "major" or "minor"; also `scale`.
    mode: Option<String>,
    /// 0 to 1.
    #[schema(minimum = 0, maximum = 1)]
    danceability: Option<f64>,
    /// 0 to 1.
    #[schema(minimum = 0, maximum = 1)]
    energy: Option<f64>,
    /// 0 to 1; also `mood_happy`.
    #[schema(minimum = 0, maximum = 1)]
    valence: Option<f64>,
    /// 0 to 1; also `acoustic`.
    #[schema(minimum = 0, maximum = 1)]
    acousticness: Option<f64>,
    /// 0 to 1; also `instrumental`.
    #[schema(minimum = 0, maximum = 1)]
    instrumentalness: Option<f64>,
    /// dB below full scale, about −60 to 0.
    #[schema(minimum = -100, maximum = 20)]
    loudness: Option<f64>,
    /// Kilobits a second.
    #[schema(minimum = 0, maximum = 40000000)]
    bitrate: Option<i64>,
    /// Path of the audio file.
    #[schema(max_length = 4096)]
    path: Option<String>,
    /// MusicBrainz recording id.
    #[schema(max_length = 1024)]
    musicbrainz_id: Option<String>,
    /// International Standard Recording Code.
    #[schema(max_length = 1024)]
    isrc: Option<String>,
}

/// The filter as parameters.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes what Params::filter reads")]
pub(crate) struct FilterParams {
    /// A genre, or several of which the track must have one.
    genre: Option<Vec<String>>,
    /// Whether the genres that are part of these pass too: "rock" then stands for "hard rock" and all the others.
    include_subgenres: Option<bool>,
    /// Tags or moods, all of which the track must have.
    tags: Option<Vec<String>>,
    /// First year of release.
    #[param(minimum = -1e9, maximum = 1e9)]
    year_min: Option<f64>,
    /// Last year of release.
    #[param(minimum = -1e9, maximum = 1e9)]
    year_max: Option<f64>,
    /// Fewest beats a minute.
    #[param(minimum = -1e9, maximum = 1e9)]
    bpm_min: Option<f64>,
    /// Most beats a minute.
    #[param(minimum = -1e9, maximum = 1e9)]
    bpm_max: Option<f64>,
    /// Whether tracks of half and of double such a tempo pass too.
    bpm_octaves: Option<bool>,
    /// Shortest, in seconds.
    #[param(minimum = -1e9, maximum = 1e9)]
    duration_min: Option<f64>,
    /// Longest, in seconds.
    #[param(minimum = -1e9, maximum = 1e9)]
    duration_max: Option<f64>,
    /// A key; harmonically compatible ones pass too.
    key: Option<String>,
    /// Leave out the artists of the seeds.
    exclude_same_artist: Option<bool>,
    /// Artists to leave out.
    exclude_artists: Option<Vec<String>>,
    /// Tracks to leave out, with commas between.
    exclude_track_ids: Option<String>,
    /// At most so many tracks of one artist.
    #[param(value_type = Option<i64>, minimum = 1, maximum = 4294967295i64)]
    max_per_artist: Option<u32>,
    /// Only files below this folder.
    path_prefix: Option<String>,
    /// Whether conditions may be given up where too few tracks meet all of them: the key first, then tempo, duration, tags,
    /// years and genre. `why.relaxed` tells which ones a track does not meet.
    relax: Option<bool>,
    /// Whether versions of one recording (remastered, live, on a compilation) are answered once.
    fold: Option<bool>,
    /// The space to search, `model/dims/revision`; the serving one where left out.
    space: Option<String>,
    /// How many; 10 where left out.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
}

/// Part of a list.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes what Params::page reads")]
pub(crate) struct ListParams {
    /// Only ids above this one; the answer then is `{items, next}`.
    #[param(minimum = 0)]
    after: Option<i64>,
    /// So many are left out at the start.
    #[param(value_type = Option<i64>, minimum = 0, maximum = 4294967295i64)]
    skip: Option<u32>,
    /// Only these fields, with commas between.
    fields: Option<String>,
}
