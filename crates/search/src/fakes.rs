//! A library in memory and a vectorizer without a model, for this crate's own tests.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};

use async_trait::async_trait;
use soniquebay_domain::{
    Applied, Catalog, CatalogCounts, Change, ContentHash, EmbedError, Facts, FileState, Fingerprint, MetadataHash,
    Outcome, Space, SpaceCoverage, SpaceSize, StoreError, StoredVector, Target, TextHit, Timestamp, Track, TrackFields,
    TrackId, TrackPatch, TrackState, TrackWrite, Tracks, Vector, VectorChanges, VectorStore, VectorWrite, Vectorizer,
    Vectors, fold,
};

#[derive(Default)]
struct State {
    tracks: BTreeMap<TrackId, Track>,
    vectors: BTreeMap<(Space, TrackId), Vector>,
    log: Vec<(Space, TrackId)>,
}

/// Catalogue and vectors in maps.
#[derive(Default)]
pub(crate) struct Library {
    state: Mutex<State>,
}

impl Library {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// A track with these fields (title "t<id>" unless given) and, where wanted, its vector.
    pub(crate) fn add(&self, id: i64, fields: &[(&str, &str)], space: &Space, vector: Option<&[f32]>) {
        let mut patch = TrackPatch { title: Change::Set(format!("t{id}")), ..TrackPatch::default() };
        for (name, value) in fields {
            let text = Change::Set((*value).to_owned());
            match *name {
                "title" => patch.title = text,
                "artist" => patch.artist = text,
                "album" => patch.album = text,
                "genre" => patch.genre = text,
                "year" => patch.year = Change::Set(value.parse().unwrap()),
                "bpm" => patch.bpm = Change::Set(value.parse().unwrap()),
                "energy" => patch.energy = Change::Set(value.parse().unwrap()),
                "loudness" => patch.loudness = Change::Set(value.parse().unwrap()),
                "duration" => patch.duration = Change::Set(value.parse().unwrap()),
                other => panic!("{other}"),
            }
        }
        let id = TrackId::new(id).unwrap();
        self.write(Some(id), &patch);
        if let Some(vector) = vector {
            self.set(id, space, Vector::new(vector.to_vec()).unwrap());
        }
    }

    /// A track's vector in a second space.
    pub(crate) fn hear(&self, id: i64, space: &Space, vector: &[f32]) {
        self.set(TrackId::new(id).unwrap(), space, Vector::new(vector.to_vec()).unwrap());
    }

    fn set(&self, id: TrackId, space: &Space, vector: Vector) {
        let mut state = self.state();
        state.vectors.insert((space.clone(), id), vector);
        state.log.push((space.clone(), id));
    }

    fn write(&self, id: Option<TrackId>, patch: &TrackPatch) -> TrackId {
        let mut state = self.state();
        let next = state.tracks.keys().last().map_or(1, |last| last.get() + 1);
        let id = id.unwrap_or(TrackId::new(next).unwrap());
        let before = state.tracks.get(&id).map(|t| t.fields.clone()).unwrap_or_default();
        let fields = patch.apply(&before).unwrap();
        let track = Track {
            id,
            version: 1,
            analysis: None,
            content_hash: ContentHash::of(&fields),
            metadata_hash: MetadataHash::of(&fields),
            fields,
            created_at: Timestamp(0),
            updated_at: Timestamp(0),
        };
        state.tracks.insert(id, track);
        // Filter data changed: every index must hear of it.
        let spaces: Vec<Space> = state.vectors.keys().filter(|key| key.1 == id).map(|key| key.0.clone()).collect();
        state.log.extend(spaces.into_iter().map(|space| (space, id)));
        id
    }
}

#[async_trait]
impl Tracks for Library {
    async fn tracks(&self, ids: Vec<TrackId>) -> Result<Vec<Track>, StoreError> {
        Ok(ids.iter().filter_map(|id| self.state().tracks.get(id).cloned()).collect())
    }

    async fn fingerprints(&self, after: i64, limit: usize) -> Result<Vec<Fingerprint>, StoreError> {
        Ok(self.page(after, 0, limit).await?.iter().map(Fingerprint::from).collect())
    }
}

#[async_trait]
impl Catalog for Library {
    async fn apply(&self, writes: Vec<TrackWrite>) -> Result<Vec<Applied>, StoreError> {
        let write = |write: TrackWrite| {
            let id = match write.target {
                Target::Existing { id, .. } => Some(id),
                Target::Recognised { id } => id,
                Target::File => None,
            };
            Applied::Done { id: self.write(id, &write.patch), outcome: Outcome::Created }
        };
        Ok(writes.into_iter().map(write).collect())
    }

    async fn remove(&self, ids: Vec<TrackId>, _: Option<i64>) -> Result<usize, StoreError> {
        let mut state = self.state();
        let gone: Vec<_> = state.vectors.keys().filter(|key| ids.contains(&key.1)).cloned().collect();
        for key in gone {
            state.vectors.remove(&key);
            state.log.push(key);
        }
        Ok(ids.iter().filter(|id| state.tracks.remove(id).is_some()).count())
    }

    async fn page(&self, after: i64, skip: usize, limit: usize) -> Result<Vec<Track>, StoreError> {
        let state = self.state();
        Ok(state.tracks.values().filter(|t| t.id.get() > after).skip(skip).take(limit).cloned().collect())
    }

    /// Every track whose names hold one of the words, by how many they hold.
    async fn find_text(&self, words: String, limit: usize) -> Result<Vec<TextHit>, StoreError> {
        let folded = fold(&words);
        let words: Vec<&str> = folded.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).collect();
        let score = |track: &Track| {
            let fields = &track.fields;
            let names = [&fields.title, &fields.artist, &fields.album].map(|n| fold(n.as_deref().unwrap_or_default()));
            let names: Vec<&str> = names.iter().flat_map(|name| name.split(' ')).collect();
            words.iter().filter(|word| names.contains(word)).count() as f32 / words.len() as f32
        };
        let state = self.state();
        let mut hits: Vec<_> = state.tracks.values().map(|t| TextHit { id: t.id, score: score(t) }).collect();
        hits.retain(|hit| hit.score > 0.0);
        hits.sort_by(|a, b| b.score.total_cmp(&a.score));
        hits.truncate(limit);
        Ok(hits)
    }

    async fn files_below(&self, _folder: String) -> Result<Vec<FileState>, StoreError> {
        Ok(Vec::new())
    }

    async fn without_file(&self, _fields: TrackFields) -> Result<Option<TrackId>, StoreError> {
        Ok(None)
    }

    async fn counts(&self) -> Result<CatalogCounts, StoreError> {
        Ok(CatalogCounts { tracks: self.state().tracks.len() as u64, artists: 0 })
    }
}

fn stored(state: &State, space: &Space, id: TrackId, vector: &Vector) -> StoredVector {
    let track = &state.tracks[&id];
    StoredVector {
        track_id: id,
        space: space.clone(),
        vector: vector.clone(),
        content_hash: track.content_hash.clone(),
        metadata_hash: track.metadata_hash.clone(),
        updated_at: Timestamp(0),
    }
}

#[async_trait]
impl Vectors for Library {
    async fn put(&self, writes: Vec<VectorWrite>) -> Result<(), StoreError> {
        for write in writes {
            self.set(write.track_id, &write.space, write.vector);
        }
        Ok(())
    }

    async fn vectors(&self, space: &Space, ids: Vec<TrackId>) -> Result<Vec<StoredVector>, StoreError> {
        let state = self.state();
        let of = |id: &TrackId| state.vectors.get(&(space.clone(), *id)).map(|v| stored(&state, space, *id, v));
        Ok(ids.iter().filter_map(of).collect())
    }

    async fn spaces(&self) -> Result<Vec<SpaceSize>, StoreError> {
        let sizes = self.coverage().await?.into_iter();
        Ok(sizes.map(|of| SpaceSize { space: of.space, wanted: of.wanted, vectors: of.ready + of.stale }).collect())
    }

    async fn vector_fingerprints(
        &self,
        space: &Space,
        after: i64,
        limit: usize,
    ) -> Result<Vec<Fingerprint>, StoreError> {
        Ok(self.vector_page(space, after, 0, limit).await?.iter().map(Fingerprint::from).collect())
    }

    async fn forget(&self, ids: Vec<TrackId>) -> Result<usize, StoreError> {
        self.remove(ids, None).await
    }
}

#[async_trait]
impl VectorStore for Library {
    async fn vector_page(
        &self,
        space: &Space,
        after: i64,
        skip: usize,
        limit: usize,
    ) -> Result<Vec<StoredVector>, StoreError> {
        let state = self.state();
        let all = state.vectors.iter().filter(|(key, _)| key.0 == *space && key.1.get() > after);
        Ok(all.skip(skip).take(limit).map(|(key, vector)| stored(&state, space, key.1, vector)).collect())
    }

    async fn coverage(&self) -> Result<Vec<SpaceCoverage>, StoreError> {
        let state = self.state();
        let mut spaces: Vec<SpaceCoverage> = Vec::new();
        for (space, _) in state.vectors.keys() {
            match spaces.last_mut().filter(|last| last.space == *space) {
                Some(last) => last.ready += 1,
                None => {
                    let wanted = space.model() != "external";
                    spaces.push(SpaceCoverage { space: space.clone(), wanted, ready: 1, stale: 0 });
                }
            }
        }
        Ok(spaces)
    }

    async fn remove_vector(&self, space: &Space, id: TrackId) -> Result<bool, StoreError> {
        let mut state = self.state();
        state.log.push((space.clone(), id));
        Ok(state.vectors.remove(&(space.clone(), id)).is_some())
    }

    async fn drop_space(&self, space: &Space) -> Result<u64, StoreError> {
        let mut state = self.state();
        let gone: Vec<_> = state.vectors.keys().filter(|key| key.0 == *space).cloned().collect();
        for key in &gone {
            state.vectors.remove(key);
            state.log.push(key.clone());
        }
        Ok(gone.len() as u64)
    }

    async fn states(&self, space: &Space, ids: Vec<TrackId>) -> Result<Vec<(TrackId, TrackState)>, StoreError> {
        let state = self.state();
        let of = |id: TrackId| match state.vectors.contains_key(&(space.clone(), id)) {
            true => (id, TrackState::Ready),
            false => (id, TrackState::Pending),
        };
        Ok(ids.into_iter().filter(|id| state.tracks.contains_key(id)).map(of).collect())
    }

    async fn changes(&self, space: &Space, sequence: i64, limit: usize) -> Result<VectorChanges, StoreError> {
        let state = self.state();
        let since = state.log.iter().enumerate().skip(sequence as usize).filter(|(_, entry)| entry.0 == *space);
        let mut changes = VectorChanges::default();
        for (index, entry) in since.take(limit) {
            let sequence = index as i64 + 1;
            match state.vectors.get(entry) {
                Some(vector) => {
                    let facts = Facts::of(&state.tracks[&entry.1].fields);
                    changes.stored(sequence, entry.1, vector.as_slice().iter().copied(), facts).unwrap();
                }
                None => changes.removed(sequence, entry.1),
            }
        }
        Ok(changes)
    }
}

/// Two words' worth of meaning and one number: "warm" points to x, everything else to y.
pub(crate) struct Compass {
    pub(crate) space: Space,
    pub(crate) model_missing: bool,
    pub(crate) away: bool,
}

#[async_trait]
impl Vectorizer for Compass {
    fn space(&self) -> &Space {
        &self.space
    }

    fn text_dims(&self) -> usize {
        2
    }

    /// Energy, loudness, duration and year, no further than three spreads.
    fn numbers(&self, track: &TrackFields) -> Vec<(&'static str, f32)> {
        let mapped = |value: Option<f64>, middle: f64, spread: f64| {
            value.map_or(0.0, |v| ((v - middle) / spread).clamp(-3.0, 3.0) as f32)
        };
        vec![
            ("energy", mapped(track.features.energy, 0.5, 0.25)),
            ("loudness", mapped(track.features.loudness, -10.0, 5.0)),
            ("duration", mapped(track.duration, 220.0, 100.0)),
            ("year", mapped(track.year.map(f64::from), 2000.0, 10.0)),
        ]
    }

    async fn vectorize(&self, _tracks: Vec<TrackFields>) -> Result<Vec<Vector>, EmbedError> {
        Err(EmbedError::Failed("not asked for".into()))
    }

    async fn vectorize_query(&self, words: String) -> Result<Vector, EmbedError> {
        self.health().await?;
        let [x, y] = if words.contains("warm") { [1.0, 0.0] } else { [0.0, 1.0] };
        Vector::new(vec![x, y, 0.0]).map_err(|error| EmbedError::Failed(error.to_string()))
    }

    async fn health(&self) -> Result<(), EmbedError> {
        match (self.model_missing, self.away) {
            (true, _) => Err(EmbedError::ModelMissing { model: "compass".into() }),
            (_, true) => Err(EmbedError::Unavailable("nobody answers".into())),
            _ => Ok(()),
        }
    }
}
