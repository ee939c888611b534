//! A library and a recommender behind real HTTP: ours, one as the Python API is, and some that fail.

mod faults;
mod ours;
mod python;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use serde_json::{Map, Value, json};
use soniquebay_api::{Access, Limits, Operations, Services, coverage};
use soniquebay_broker::bus::LocalBus;
use soniquebay_domain::{
    Database, EmbedError, Features, Identity, Mode, PitchClass, Space, TrackFields, TrackId, Vector, VectorWrite,
    Vectorizer,
};
use soniquebay_http::BaseUrl;
use soniquebay_search::{MemoryIndex, Recommender, Serving, TrackStates};
use soniquebay_store::remote::{Patience, RemoteLibrary, RemoteVectors};
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::{Fixture, space};

/// A server on loopback, until this is dropped.
pub(crate) struct Served {
    pub(crate) address: SocketAddr,
    _stop: DropGuard,
}

impl Served {
    pub(crate) async fn new(router: Router) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let stopped = stop.clone().cancelled_owned();
        tokio::spawn(soniquebay_api::serve(listener, router, Limits::default(), stopped));
        Self { address, _stop: stop.drop_guard() }
    }

    /// Our own API over a store.
    pub(crate) async fn ours(store: Arc<dyn Database>, mirror: bool) -> Self {
        let recommender = Recommender {
            catalog: store.clone(),
            vectors: store.clone(),
            index: Arc::new(MemoryIndex::new(store.clone())),
            vectorizers: vec![Arc::new(NoModel(space()))],
            serving: Serving::new(store.clone(), space(), Vec::new()),
            sound: None,
        };
        let operations = Operations {
            queue: store.clone(),
            bus: Arc::new(LocalBus::default()),
            standing: coverage(store.clone(), store.clone(), space()),
            checks: Arc::new([]),
            counters: Arc::new(String::new),
            shutdown: CancellationToken::new(),
            access: Access::loopback(),
            version: "0.0.0-test",
        };
        let services = Services {
            catalog: store.clone(),
            vectors: store.clone(),
            mirror,
            library: None,
            recommender: Arc::new(recommender),
            states: Some(Arc::new(TrackStates { vectors: store.clone(), queue: store.clone(), space: space() })),
            sound_states: None,
            analyses: store,
            operations,
        };
        Self::new(soniquebay_api::combined_router(services)).await
    }

    pub(crate) fn library(&self) -> RemoteLibrary {
        library(self.address)
    }

    pub(crate) fn vectors(&self) -> RemoteVectors {
        RemoteVectors::new(url(self.address), None, patience())
    }
}

pub(crate) fn library(address: SocketAddr) -> RemoteLibrary {
    RemoteLibrary::new(url(address), None, patience())
}

pub(crate) fn url(address: SocketAddr) -> BaseUrl {
    BaseUrl::parse(&format!("http://{address}"), 1).unwrap()
}

pub(crate) fn patience() -> Patience {
    let milliseconds = Duration::from_millis;
    Patience { request: milliseconds(5000), first_wait: milliseconds(5), tries: 3, ..Patience::default() }
}

pub(crate) async fn mirror() -> (Arc<dyn Database>, Fixture) {
    let fixture = Fixture::sqlite().await;
    (fixture.mirror.clone(), fixture)
}

pub(crate) fn id(id: i64) -> TrackId {
    TrackId::new(id).unwrap()
}

pub(crate) fn ids(range: std::ops::RangeInclusive<i64>) -> Vec<TrackId> {
    range.map(id).collect()
}

/// A track of which everything is known.
pub(crate) fn full(n: i64) -> TrackFields {
    let extra: Map<String, Value> =
        json!({"label": "Own \"ü\"", "nested": {"a": [1, 2.5, null]}, "title": 7}).as_object().unwrap().clone();
    TrackFields {
        title: Some(format!("Jóga {n} – \\ \u{1F3B5}")),
        artist: Some("Björk".into()),
        album: Some("Homogenic".into()),
        album_artist: Some("Various".into()),
        genre: Some("Electronic".into()),
        genre_tags: vec!["Art Pop".into(), "Trip, Hop".into()],
        mood_tags: vec!["calm".into()],
        tags: vec!["strings; many".into()],
        year: Some(1997),
        duration: Some(305.123_456_789),
        features: Features {
            bpm: Some(80.1),
            key: Some(PitchClass::from_semitones(3)),
            mode: Some(Mode::Major),
            danceability: Some(0.1),
            energy: Some(1.0 / 3.0),
            valence: Some(0.0),
            acousticness: Some(1.0),
            instrumentalness: Some(1e-7),
            loudness: Some(-7.3),
        },
        bitrate: Some(320),
        identity: Identity {
            path: Some(format!("/music/Björk/ {n}.flac ")),
            file_size: Some(i64::MAX),
            file_mtime: Some(1_640_995_200_123_456_789),
            musicbrainz_id: Some(format!("{n:08}-aaaa")),
            isrc: None,
        },
        extra,
    }
}

pub(crate) fn write(n: i64, numbers: [f32; 4]) -> VectorWrite {
    let vector = Vector::new(numbers.to_vec()).unwrap();
    let fields = full(n);
    VectorWrite {
        version: Some(1),
        content_hash: Some(soniquebay_domain::ContentHash::of(&fields)),
        told: Some(Arc::new(fields)),
        ..VectorWrite::new(id(n), space(), vector, None)
    }
}

struct NoModel(Space);

#[async_trait]
impl Vectorizer for NoModel {
    fn space(&self) -> &Space {
        &self.0
    }

    fn text_dims(&self) -> usize {
        self.0.dims()
    }

    async fn vectorize(&self, _tracks: Vec<TrackFields>) -> Result<Vec<Vector>, EmbedError> {
        self.health().await.map(|()| Vec::new())
    }

    async fn vectorize_query(&self, _words: String) -> Result<Vector, EmbedError> {
        Err(EmbedError::ModelMissing { model: "none".into() })
    }

    async fn health(&self) -> Result<(), EmbedError> {
        Err(EmbedError::ModelMissing { model: "none".into() })
    }
}
