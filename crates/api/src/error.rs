//! Every error a client can meet: one table from code to status, one shape on the wire.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};
use soniquebay_domain::{EmbedError, FieldError, StoreError, TrackId};
use soniquebay_search::SearchError;
use soniquebay_wire::{ProblemView, StateView};

/// The kinds of errors. Their names on the wire are stable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Code {
    Unauthorized,
    ForbiddenScope,
    ForbiddenHost,
    ForbiddenOrigin,
    InvalidJson,
    InvalidTrack,
    InvalidVector,
    InvalidFilter,
    NoTrack,
    NoVector,
    NoFile,
    InvalidRange,
    VectorPending,
    VectorOutdated,
    SpaceInUse,
    Outdated,
    ModelMissing,
    Overloaded,
    RateLimited,
    Unavailable,
    TooLarge,
    UnsupportedMediaType,
    NotFound,
    MethodNotAllowed,
    Internal,
}

impl Code {
    const ALL: [Self; 25] = [
        Self::Unauthorized,
        Self::ForbiddenScope,
        Self::ForbiddenHost,
        Self::ForbiddenOrigin,
        Self::InvalidJson,
        Self::InvalidTrack,
        Self::InvalidVector,
        Self::InvalidFilter,
        Self::NoTrack,
        Self::NoVector,
        Self::NoFile,
        Self::InvalidRange,
        Self::VectorPending,
        Self::VectorOutdated,
        Self::SpaceInUse,
        Self::Outdated,
        Self::ModelMissing,
        Self::Overloaded,
        Self::RateLimited,
        Self::Unavailable,
        Self::TooLarge,
        Self::UnsupportedMediaType,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::Internal,
    ];

    /// The one of this name on the wire.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|code| code.name() == name)
    }

    /// Status, stable name, title.
    fn entry(self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Self::Unauthorized => (StatusCode::UNAUTHORIZED, "unauthorized", "A key is needed"),
            Self::ForbiddenScope => (StatusCode::FORBIDDEN, "forbidden_scope", "The key does not allow this"),
            Self::ForbiddenHost => (StatusCode::FORBIDDEN, "forbidden_host", "Not under this name"),
            Self::ForbiddenOrigin => (StatusCode::FORBIDDEN, "forbidden_origin", "Not from this page"),
            Self::InvalidJson => (StatusCode::BAD_REQUEST, "invalid_json", "The body is not JSON"),
            Self::InvalidTrack => (StatusCode::UNPROCESSABLE_ENTITY, "invalid_track", "The track is not acceptable"),
            Self::InvalidVector => (StatusCode::UNPROCESSABLE_ENTITY, "invalid_vector", "The vector is not acceptable"),
            Self::InvalidFilter => {
                (StatusCode::UNPROCESSABLE_ENTITY, "invalid_filter", "The question is not acceptable")
            }
            Self::NoTrack => (StatusCode::NOT_FOUND, "no_track", "There is no such track"),
            Self::NoFile => (StatusCode::NOT_FOUND, "no_file", "There is no such file"),
            Self::InvalidRange => (StatusCode::RANGE_NOT_SATISFIABLE, "invalid_range", "There is no such part"),
            Self::NoVector => (StatusCode::NOT_FOUND, "no_vector", "There is no such vector"),
            Self::VectorPending => (StatusCode::CONFLICT, "vector_pending", "The vector is not there yet"),
            Self::VectorOutdated => (StatusCode::CONFLICT, "vector_outdated", "The track has a newer version"),
            Self::SpaceInUse => (StatusCode::CONFLICT, "space_in_use", "The space is in use"),
            Self::Outdated => (StatusCode::PRECONDITION_FAILED, "outdated", "The track has changed meanwhile"),
            Self::ModelMissing => (StatusCode::SERVICE_UNAVAILABLE, "model_missing", "The model is not installed"),
            Self::Overloaded => (StatusCode::TOO_MANY_REQUESTS, "overloaded", "Too much at once"),
            Self::RateLimited => (StatusCode::TOO_MANY_REQUESTS, "rate_limited", "Too much from one caller"),
            Self::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "unavailable", "Not available now"),
            Self::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "too_large", "The body is too large"),
            Self::UnsupportedMediaType => {
                (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", "The body has another type")
            }
            Self::NotFound => (StatusCode::NOT_FOUND, "not_found", "There is nothing here"),
            Self::MethodNotAllowed => (StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "Not with this method"),
            Self::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "internal", "Something went wrong here"),
        }
    }

    /// What a client is answered; `errors` are the fields that are wrong.
    pub(crate) fn problem(self, detail: impl Into<String>, errors: Vec<FieldError>) -> ProblemView {
        let (status, name, title) = self.entry();
        ProblemView::new(status.as_u16(), title, name, detail).with_errors(errors)
    }

    /// The name it has on the wire.
    pub(crate) fn name(self) -> &'static str {
        self.entry().1
    }

    /// Its status as OpenAPI spells it, and what it means.
    pub(crate) fn described(self) -> (String, String) {
        let (status, name, title) = self.entry();
        (status.as_u16().to_string(), format!("`{name}`: {title}"))
    }
}

/// What a handler answers instead.
#[derive(Debug)]
pub(crate) struct ApiError {
    code: Code,
    detail: String,
    errors: Vec<FieldError>,
    more: Map<String, Value>,
    closing: bool,
    /// Seconds after which to try again.
    retry_after: Option<u64>,
}

impl ApiError {
    pub(crate) fn new(code: Code, detail: impl Into<String>) -> Self {
        let retry_after = match code {
            Code::Overloaded => Some(1),
            Code::Unavailable => Some(5),
            _ => None,
        };
        Self { code, detail: detail.into(), errors: Vec::new(), more: Map::new(), closing: false, retry_after }
    }

    /// One that names what is wrong, field by field.
    pub(crate) fn fields(code: Code, errors: Vec<FieldError>) -> Self {
        let detail = match errors.as_slice() {
            [only] => only.to_string(),
            all => format!("{} fields are wrong", all.len()),
        };
        Self { errors, ..Self::new(code, detail) }
    }

    /// The same, with another member in the answer.
    pub(crate) fn with(mut self, name: &str, value: Value) -> Self {
        self.more.insert(name.to_owned(), value);
        self
    }

    /// The same, ending the connection, so that whoever waits for one gets it.
    pub(crate) fn closing(self) -> Self {
        Self { closing: true, ..self }
    }

    /// The same, to be tried again after so many seconds.
    pub(crate) fn retry_after(self, seconds: u64) -> Self {
        Self { retry_after: Some(seconds), ..self }
    }

    /// What the client is told.
    pub(crate) fn told(self) -> (Code, String) {
        (self.code, self.detail)
    }

    pub(crate) fn no_track(id: TrackId) -> Self {
        Self::new(Code::NoTrack, format!("There is no track {id}."))
    }

    pub(crate) fn nothing_at(path: &str) -> Self {
        let path: String = path.chars().take(200).collect();
        Self::new(Code::NotFound, format!("There is nothing at {path}; /docs shows what there is."))
    }

    /// Tells the log what the client is not told.
    pub(crate) fn internal(error: &dyn std::fmt::Display) -> Self {
        tracing::error!(%error, "A request failed");
        Self::new(Code::Internal, "The server's log says what.")
    }

    pub(crate) fn unavailable(error: &dyn std::fmt::Display, detail: &str) -> Self {
        tracing::warn!(%error, "A request could not be served");
        Self::new(Code::Unavailable, detail)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let (status, ..) = self.code.entry();
        let view = self.code.problem(self.detail, self.errors);
        let mut body = serde_json::to_value(view).unwrap_or_default();
        if let Value::Object(members) = &mut body {
            members.extend(self.more);
        }
        let mut response = (status, Json(body)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if self.closing {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.code == Code::Unauthorized {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"soniquebay\""));
        }
        response
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NoTrack(id) => Self::no_track(id),
            StoreError::Outdated(id) => {
                Self::new(Code::VectorOutdated, error.to_string()).with("track_id", json!(id.get()))
            }
            StoreError::TooManySpaces(_) => Self::new(Code::InvalidVector, error.to_string()),
            StoreError::SpaceWanted(_) => Self::new(Code::SpaceInUse, error.to_string()),
            StoreError::Overloaded => Self::new(Code::Overloaded, error.to_string()),
            StoreError::Unavailable(_) => Self::unavailable(&error, "The database cannot be used now."),
            StoreError::Newer { .. } | StoreError::Corrupt { .. } => Self::internal(&error),
        }
    }
}

impl From<EmbedError> for ApiError {
    fn from(error: EmbedError) -> Self {
        match error {
            EmbedError::ModelMissing { .. } => Self::new(Code::ModelMissing, error.to_string()),
            EmbedError::Overloaded => Self::new(Code::Overloaded, error.to_string()),
            EmbedError::Unavailable(_) => Self::unavailable(&error, "The embedding service is not available now."),
            EmbedError::Refused(_) => Self::fields(Code::InvalidFilter, vec![FieldError::new("q", error.to_string())]),
            EmbedError::Failed(_) => Self::internal(&error),
        }
    }
}

impl From<SearchError> for ApiError {
    fn from(error: SearchError) -> Self {
        let detail = error.to_string();
        match error {
            SearchError::NoTrack(id) => Self::no_track(id),
            SearchError::Pending { id, state } => Self::new(Code::VectorPending, detail)
                .with("track_id", json!(id.get()))
                .with("state", json!(StateView::from(state))),
            SearchError::NoVector { .. } => Self::new(Code::NoVector, detail),
            SearchError::StillServing(..) => {
                Self::new(Code::SpaceInUse, format!("{detail}; even_serving=true drops it all the same"))
            }
            SearchError::UnknownBlocks(_) => {
                Self::fields(Code::InvalidFilter, vec![FieldError::new("numbers", detail)])
            }
            SearchError::UnknownSpace(_) => Self::fields(Code::InvalidFilter, vec![FieldError::new("space", detail)]),
            SearchError::WrongLength { spaces_with_that_length, .. } => {
                let names: Vec<String> = spaces_with_that_length.iter().map(ToString::to_string).collect();
                let hint = match names.is_empty() {
                    true => "no space has vectors of that length".to_owned(),
                    false => format!("spaces of that length: {}", names.join(", ")),
                };
                let error = FieldError::new("embedding", format!("{detail}; {hint}"));
                Self::fields(Code::InvalidVector, vec![error]).with("spaces", json!(names))
            }
            SearchError::UnknownWords(_) => Self::fields(Code::InvalidFilter, vec![FieldError::new("seeds", detail)]),
            SearchError::NoDirection => Self::fields(Code::InvalidVector, vec![FieldError::new("seeds", detail)]),
            SearchError::Embed(error) => error.into(),
            SearchError::Store(error) => error.into(),
        }
    }
}
