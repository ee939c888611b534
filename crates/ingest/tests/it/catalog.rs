use std::collections::BTreeMap;
use std::sync::Mutex;

use async_trait::async_trait;
use soniquebay_domain::{
    Applied, Catalog, CatalogCounts, ContentHash, FileState, Fingerprint, MetadataHash, Outcome, StoreError, Target,
    TextHit, Timestamp, Track, TrackFields, TrackId, TrackWrite, Tracks, WriteMode, fold,
};

/// A catalogue in memory, as far as ingest asks of one.
#[derive(Default)]
pub(crate) struct MemoryCatalog {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    tracks: BTreeMap<TrackId, TrackFields>,
    /// Rows that were written or removed.
    touched: usize,
}

impl MemoryCatalog {
    pub(crate) fn touched(&self) -> usize {
        self.state.lock().unwrap().touched
    }

    pub(crate) fn all(&self) -> Vec<(TrackId, TrackFields)> {
        self.state.lock().unwrap().tracks.clone().into_iter().collect()
    }

    /// The track of this title.
    pub(crate) fn titled(&self, title: &str) -> (TrackId, TrackFields) {
        let found = self.all().into_iter().find(|(_, fields)| fields.title.as_deref() == Some(title));
        found.unwrap_or_else(|| panic!("{title} is there"))
    }
}

fn is_same_song(a: &TrackFields, b: &TrackFields) -> bool {
    let names = |fields: &TrackFields| [&fields.artist, &fields.title, &fields.album].map(|n| n.as_deref().map(fold));
    let registered = |a: &Option<String>, b: &Option<String>| a.is_some() && a == b;
    let near = a.duration.zip(b.duration).is_none_or(|(a, b)| (a - b).abs() <= 2.0);
    registered(&a.identity.musicbrainz_id, &b.identity.musicbrainz_id)
        || registered(&a.identity.isrc, &b.identity.isrc)
        || (names(a) == names(b) && near)
}

impl State {
    fn find(&self, target: &Target, fields: &TrackFields) -> Result<Option<TrackId>, TrackId> {
        let by = |test: &dyn Fn(&TrackFields) -> bool| self.tracks.iter().find(|(_, t)| test(t)).map(|(id, _)| *id);
        let by_path = || by(&|t| t.identity.path.is_some() && t.identity.path == fields.identity.path);
        match target {
            Target::Existing { id, .. } if !self.tracks.contains_key(id) => Err(*id),
            Target::Existing { id, .. } => Ok(Some(*id)),
            Target::File => Ok(by_path()),
            Target::Recognised { id: Some(id) } => Ok(Some(*id)),
            Target::Recognised { id: None } => Ok(by_path().or_else(|| by(&|t| is_same_song(t, fields)))),
        }
    }

    fn apply(&mut self, write: &TrackWrite) -> Applied {
        let said = write.patch.apply(&TrackFields::default()).unwrap_or_default();
        let found = match self.find(&write.target, &said) {
            Ok(found) => found,
            Err(id) => return Applied::Missing(id),
        };
        let next = self.tracks.keys().last().map_or(1, |id| id.get() + 1);
        let id = found.unwrap_or_else(|| TrackId::new(next).unwrap());
        let before = self.tracks.get(&id).filter(|_| write.mode == WriteMode::Merge).cloned();
        let after = match write.patch.apply(&before.unwrap_or_default()) {
            Ok(after) => after,
            Err(error) => return Applied::Refused(error),
        };
        let outcome = match self.tracks.get(&id) {
            None => Outcome::Created,
            Some(was) if *was == after => Outcome::Unchanged,
            Some(_) => Outcome::Updated,
        };
        if outcome != Outcome::Unchanged {
            self.touched += 1;
            self.tracks.insert(id, after);
        }
        Applied::Done { id, outcome }
    }
}

#[async_trait]
impl Tracks for MemoryCatalog {
    async fn tracks(&self, ids: Vec<TrackId>) -> Result<Vec<Track>, StoreError> {
        let wanted = self.all().into_iter().filter(|(id, _)| ids.contains(id));
        let track = |(id, fields): (TrackId, TrackFields)| Track {
            id,
            version: 1,
            analysis: None,
            content_hash: ContentHash::of(&fields),
            metadata_hash: MetadataHash::of(&fields),
            created_at: Timestamp(0),
            updated_at: Timestamp(0),
            fields,
        };
        Ok(wanted.map(track).collect())
    }

    async fn fingerprints(&self, _after: i64, _limit: usize) -> Result<Vec<Fingerprint>, StoreError> {
        unreachable!("ingest compares nothing with vectors")
    }
}

#[async_trait]
impl Catalog for MemoryCatalog {
    async fn apply(&self, writes: Vec<TrackWrite>) -> Result<Vec<Applied>, StoreError> {
        let mut state = self.state.lock().unwrap();
        Ok(writes.iter().map(|write| state.apply(write)).collect())
    }

    async fn remove(&self, ids: Vec<TrackId>, _: Option<i64>) -> Result<usize, StoreError> {
        let mut state = self.state.lock().unwrap();
        let removed = ids.iter().filter(|id| state.tracks.remove(id).is_some()).count();
        state.touched += removed;
        Ok(removed)
    }

    async fn page(&self, _after: i64, _skip: usize, _limit: usize) -> Result<Vec<Track>, StoreError> {
        unreachable!("ingest pages nothing")
    }

    async fn find_text(&self, _words: String, _limit: usize) -> Result<Vec<TextHit>, StoreError> {
        unreachable!("ingest searches nothing")
    }

    async fn files_below(&self, folder: String) -> Result<Vec<FileState>, StoreError> {
        let below = |(id, fields): (TrackId, TrackFields)| {
            let path = fields.identity.path.filter(|path| path.starts_with(&format!("{folder}/")))?;
            Some(FileState { id, path, size: fields.identity.file_size, mtime: fields.identity.file_mtime })
        };
        Ok(self.all().into_iter().filter_map(below).collect())
    }

    async fn without_file(&self, fields: TrackFields) -> Result<Option<TrackId>, StoreError> {
        let free = |track: &TrackFields| track.identity.path.is_none() && is_same_song(track, &fields);
        Ok(self.all().into_iter().find(|(_, track)| free(track)).map(|(id, _)| id))
    }

    async fn counts(&self) -> Result<CatalogCounts, StoreError> {
        Ok(CatalogCounts { tracks: self.all().len() as u64, artists: 0 })
    }
}
