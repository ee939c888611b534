use std::sync::Arc;

use async_trait::async_trait;
use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::Value;
use soniquebay_api::{
    Access, AccessSettings, Operations, Services, catalog_check, combined_router, coverage, index_check, model_check,
};
use soniquebay_broker::bus::LocalBus;
use soniquebay_domain::{
    Database, EmbedError, Keys, Space, SystemClock, TrackFields, TrackId, Tracks, Vector, VectorWrite, Vectorizer,
};
use soniquebay_search::{MemoryIndex, Recommender, Serving, TrackStates};
use soniquebay_store::sqlite::SqliteStore;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

/// A whole API over a database of its own.
pub(crate) struct App {
    pub(crate) router: Router,
    pub(crate) services: Services,
    /// Where its keys are kept.
    pub(crate) keys: Arc<dyn Keys>,
    _folder: TempDir,
}

/// An answer, read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) bytes: Vec<u8>,
}

impl App {
    pub(crate) async fn new() -> Self {
        Self::with_model(true).await
    }

    pub(crate) async fn with_model(model_there: bool) -> Self {
        Self::over(model_there, false, None).await
    }

    /// A recommender over a mirror.
    pub(crate) async fn mirror(library: Option<Arc<dyn Tracks>>) -> Self {
        Self::over(true, true, library).await
    }

    async fn over(model_there: bool, mirror: bool, library: Option<Arc<dyn Tracks>>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&folder.path().join("test.db"), Arc::new(SystemClock)).await.unwrap();
        let store = if mirror { store.mirror() } else { store };
        store.want_spaces(vec![space()]).await.unwrap();
        let store = Arc::new(store);
        let vectorizer = Arc::new(Compass { space: space(), model_there });
        let recommender = Recommender {
            catalog: store.clone(),
            vectors: store.clone(),
            index: Arc::new(MemoryIndex::new(store.clone())),
            vectorizers: vec![vectorizer],
            serving: Serving::new(store.clone(), space(), Vec::new()),
            sound: None,
        };
        let recommender = Arc::new(recommender);
        let checks = [
            catalog_check(store.clone()),
            model_check(recommender.vectorizers.clone()),
            index_check(recommender.clone()),
        ];
        let operations = Operations {
            queue: store.clone(),
            bus: Arc::new(LocalBus::new(16)),
            standing: coverage(store.clone(), store.clone(), space()),
            checks: Arc::new(checks),
            counters: Arc::new(|| "counted_elsewhere 1\n".to_owned()),
            shutdown: CancellationToken::new(),
            access: Access::loopback(),
            version: "0.0.0-test",
        };
        let states = TrackStates { vectors: store.clone(), queue: store.clone(), space: space() };
        let states = Some(Arc::new(states));
        let keys = store.clone();
        let sound_states = TrackStates { vectors: store.clone(), queue: store.clone(), space: sound() };
        let services = Services {
            catalog: store.clone(),
            analyses: store.clone(),
            vectors: store,
            mirror,
            library,
            recommender,
            states,
            sound_states: Some(Arc::new(sound_states)),
            operations,
        };
        Self { router: combined_router(services.clone()), services, keys, _folder: folder }
    }

    /// The same, for whom these settings let in.
    pub(crate) fn reached(self, settings: impl FnOnce(&mut AccessSettings)) -> Self {
        let mut asked = AccessSettings { keys: Some(Arc::clone(&self.keys)), ..AccessSettings::default() };
        settings(&mut asked);
        let access = Access::new(asked);
        self.behind(|mut services| {
            services.operations.access = Arc::clone(&access);
            combined_router(services)
        })
    }

    /// The same services behind another router.
    pub(crate) fn behind(self, router: impl Fn(Services) -> Router) -> Self {
        Self { router: router(self.services.clone()), ..self }
    }

    /// A track, with its vector in the serving space.
    pub(crate) async fn add(&self, track: Value, vector: [f32; 3]) -> i64 {
        let created = self.post("/api/tracks", &track).await;
        assert!(created.status.is_success(), "{created:?}");
        let id = created.json()["id"].as_i64().unwrap();
        self.set_vector(id, vector).await;
        id
    }

    pub(crate) async fn set_vector(&self, id: i64, vector: [f32; 3]) {
        let (track_id, vector) = (TrackId::new(id).unwrap(), Vector::new(vector.to_vec()).unwrap());
        let write = VectorWrite::new(track_id, space(), vector, None);
        self.services.vectors.put(vec![write]).await.unwrap();
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        let bytes = response.into_body().collect().await.unwrap().to_bytes().to_vec();
        Answer { status, headers, bytes }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(Request::get(path).body(Body::empty()).unwrap()).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.send(Request::delete(path).body(Body::empty()).unwrap()).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send_json(Method::POST, path, body).await
    }

    pub(crate) async fn send_json(&self, method: Method, path: &str, body: &Value) -> Answer {
        self.send_text(method, path, "application/json", body.to_string()).await
    }

    pub(crate) async fn send_text(&self, method: Method, path: &str, kind: &str, body: impl Into<Body>) -> Answer {
        let request = Request::builder().method(method).uri(path).header("content-type", kind);
        self.send(request.body(body.into()).unwrap()).await
    }
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.bytes.clone()).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// Checks that this is a problem of this kind, and gives it.
    #[track_caller]
    pub(crate) fn problem(&self, status: u16, code: &str) -> Value {
        assert_eq!(self.header("content-type"), "application/problem+json", "{}", String::from_utf8_lossy(&self.bytes));
        let problem = self.json();
        assert_eq!((self.status.as_u16(), problem["code"].as_str()), (status, Some(code)), "{problem}");
        assert_eq!(problem["status"], status);
        for member in ["type", "title", "detail"] {
            assert!(problem[member].as_str().is_some_and(|text| !text.is_empty()), "{member}: {problem}");
        }
        problem
    }
}

pub(crate) fn sound() -> Space {
    Space::sound(3, "ears-1").unwrap()
}

pub(crate) fn space() -> Space {
    Space::new("compass", 3, "1").unwrap()
}

/// "warm" lies along x, everything else along y; the third number is measured.
struct Compass {
    space: Space,
    model_there: bool,
}

#[async_trait]
impl Vectorizer for Compass {
    fn space(&self) -> &Space {
        &self.space
    }

    fn text_dims(&self) -> usize {
        2
    }

    async fn vectorize(&self, _tracks: Vec<TrackFields>) -> Result<Vec<Vector>, EmbedError> {
        Err(EmbedError::Failed("no worker runs here".into()))
    }

    async fn vectorize_query(&self, words: String) -> Result<Vector, EmbedError> {
        self.health().await?;
        assert!(!words.contains("panic"), "a bug in a handler");
        let [x, y] = if words.contains("warm") { [1.0, 0.0] } else { [0.0, 1.0] };
        Vector::new(vec![x, y, 0.0]).map_err(|error| EmbedError::Failed(error.to_string()))
    }

    async fn health(&self) -> Result<(), EmbedError> {
        match self.model_there {
            true => Ok(()),
            false => Err(EmbedError::ModelMissing { model: "compass".into() }),
        }
    }
}
