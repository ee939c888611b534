//! From vectors as clients send them to what is stored.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use soniquebay_domain::{StoreError, Track, TrackFields, TrackId, VectorWrite};
use soniquebay_wire::{TrackRecord, VectorRecord, untitled};

use crate::Services;
use crate::error::{ApiError, Code};

/// Why vectors were not stored: which of them, and what is told.
pub(super) struct Refused {
    /// Its place in what was sent, where one is to blame.
    pub(super) index: Option<usize>,
    pub(super) error: ApiError,
}

impl From<ApiError> for Refused {
    fn from(error: ApiError) -> Self {
        Self { index: None, error }
    }
}

/// Stores vectors, all or none.
///
/// A library's own store knows its tracks and takes no other's word. A mirror keeps what it is told of a track; where nobody
/// told, and it does not know the track either, it asks the library, or calls it untitled where there is none to be asked.
pub(super) async fn store(services: &Services, records: Vec<VectorRecord>) -> Result<(), Refused> {
    let ids: Vec<TrackId> = records.iter().map(|record| record.track_id).collect();
    let at = |id: TrackId| ids.iter().position(|other| *other == id);
    let mut writes = Vec::with_capacity(records.len());
    // By track: in one batch, vectors of several spaces may come with one word on their track.
    let (mut heard, mut unheard) = (Known::new(), HashSet::new());
    for (index, record) in records.into_iter().enumerate() {
        let VectorRecord { track_id, space, vector, content_hash, version, metadata } = record;
        let mut write = VectorWrite::new(track_id, space, vector, content_hash);
        if services.mirror {
            let told = metadata.map(TrackRecord::into_fields).transpose();
            let refuse = |error| ApiError::fields(Code::InvalidVector, vec![error]);
            write.told = told.map_err(|error| Refused { index: Some(index), error: refuse(error) })?.map(Arc::new);
            write.version = version;
            match &write.told {
                Some(told) => _ = heard.insert(track_id, (Arc::clone(told), version)),
                None => _ = unheard.insert(track_id),
            }
        }
        writes.push(write);
    }
    unheard.retain(|id| !heard.contains_key(id));
    heard.extend(learn(services, unheard).await?);
    for write in writes.iter_mut().filter(|write| write.told.is_none()) {
        if let Some((told, version)) = heard.get(&write.track_id) {
            // The version is that of what is told, not that of what the vector was made from: its hash says that.
            (write.told, write.version) = (Some(Arc::clone(told)), *version);
        }
    }
    services.vectors.put(writes).await.map_err(|error| {
        let index = match error {
            StoreError::NoTrack(id) | StoreError::Outdated(id) => at(id),
            _ => None,
        };
        Refused { index, error: error.into() }
    })
}

type Known = HashMap<TrackId, (Arc<TrackFields>, Option<i64>)>;

/// What a mirror is to keep of tracks of which it was not told, where it does not know them already. One that the library
/// does not know stays out, and the store refuses it.
async fn learn(services: &Services, mut ids: HashSet<TrackId>) -> Result<Known, ApiError> {
    if ids.is_empty() {
        return Ok(Known::new());
    }
    for known in services.catalog.tracks(ids.iter().copied().collect()).await? {
        ids.remove(&known.id);
    }
    let Some(library) = services.library.as_ref().filter(|_| !ids.is_empty()) else {
        return Ok(ids.into_iter().map(|id| (id, (Arc::new(untitled()), None))).collect());
    };
    let found = library.tracks(ids.into_iter().collect()).await.map_err(|error| {
        tracing::warn!(%error, "The library was not asked about a track");
        ApiError::new(Code::Unavailable, "The library that knows the track cannot be asked now.")
    })?;
    let told = |track: Track| (track.id, (Arc::new(track.counts().into_owned()), Some(track.version)));
    Ok(found.into_iter().map(told).collect())
}
