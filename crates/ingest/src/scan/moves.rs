use std::collections::{HashMap, HashSet};
use std::path::Path;

use soniquebay_domain::{Catalog, FileState, StoreError, Track, TrackFields, TrackId, fold};

use super::walk::FoundFile;

/// Tracks loaded from the catalogue at once.
const LOAD_BATCH: usize = 500;
/// Seconds by which two readings of one song's length may differ.
const TOLERANCE: f64 = 2.0;

/// Tracks whose files are gone, found again by what a new file says of itself.
#[derive(Default)]
pub(super) struct Vanished {
    tracks: HashMap<TrackId, Remembered>,
    by_size: HashMap<i64, Vec<TrackId>>,
    by_registry: HashMap<String, Vec<TrackId>>,
    claimed: HashSet<TrackId>,
}

/// As little of a track as tells it from others: a whole library may have moved.
struct Remembered {
    file_name: String,
    mtime: Option<i64>,
    duration: Option<f64>,
    names: Names,
}

#[derive(PartialEq)]
struct Names([String; 3]);

impl Names {
    fn of(fields: &TrackFields) -> Self {
        Self([&fields.artist, &fields.title, &fields.album].map(|name| fold(name.as_deref().unwrap_or_default())))
    }
}

impl Vanished {
    pub(super) async fn load(catalog: &dyn Catalog, files: &[FileState]) -> Result<Self, StoreError> {
        let mut vanished = Self::default();
        for batch in files.chunks(LOAD_BATCH) {
            for track in catalog.tracks(batch.iter().map(|file| file.id).collect()).await? {
                vanished.remember(&track);
            }
        }
        Ok(vanished)
    }

    fn remember(&mut self, track: &Track) {
        let identity = &track.fields.identity;
        if let Some(size) = identity.file_size {
            self.by_size.entry(size).or_default().push(track.id);
        }
        for key in registry_keys(&track.fields) {
            self.by_registry.entry(key).or_default().push(track.id);
        }
        let remembered = Remembered {
            file_name: file_name(identity.path.as_deref().unwrap_or_default()),
            mtime: identity.file_mtime,
            duration: track.fields.duration,
            names: Names::of(&track.fields),
        };
        self.tracks.insert(track.id, remembered);
    }

    /// The track that this new file holds under another path, if any. Each is given away once.
    pub(super) fn claim(&mut self, file: &FoundFile, fields: &TrackFields) -> Option<TrackId> {
        let found = self.find(file, fields)?;
        self.claimed.insert(found);
        Some(found)
    }

    /// The tracks that were given away.
    pub(super) fn into_claimed(self) -> HashSet<TrackId> {
        self.claimed
    }

    fn find(&self, file: &FoundFile, fields: &TrackFields) -> Option<TrackId> {
        let names = Names::of(fields);
        let name = file_name(&file.path);
        let same_size = || self.free(self.by_size.get(&file.size));
        let same_names: Vec<TrackId> =
            same_size().filter(|(_, track)| track.names == names).map(|(id, _)| id).collect();
        if let Some(id) = self.choose(&same_names, &name) {
            return Some(id);
        }
        for key in registry_keys(fields) {
            let same_length = |track: &Remembered| is_near(track.duration, fields.duration);
            let same = self.free(self.by_registry.get(&key)).filter(|(_, track)| same_length(track));
            if let Some(id) = self.choose(&same.map(|(id, _)| id).collect::<Vec<_>>(), &name) {
                return Some(id);
            }
        }
        // Untagged files are named by their file name, which a rename changes; size and time stay.
        let is_same = |track: &Remembered| {
            track.mtime == Some(file.mtime)
                && is_near(track.duration, fields.duration)
                && Path::new(&track.file_name).extension() == Path::new(&name).extension()
        };
        let mut same = same_size().filter(|(_, track)| is_same(track));
        match (same.next(), same.next()) {
            (Some((id, _)), None) => Some(id),
            _ => None,
        }
    }

    fn free<'a>(&'a self, ids: Option<&'a Vec<TrackId>>) -> impl Iterator<Item = (TrackId, &'a Remembered)> {
        let free = ids.into_iter().flatten().filter(|id| !self.claimed.contains(id));
        free.filter_map(|id| self.tracks.get(id).map(|track| (*id, track)))
    }

    /// Copies of one song are told apart by their file names, as far as those were kept.
    fn choose(&self, ids: &[TrackId], name: &str) -> Option<TrackId> {
        let named = ids.iter().find(|id| self.tracks.get(id).is_some_and(|track| track.file_name == name));
        named.or(ids.first()).copied()
    }
}

fn registry_keys(fields: &TrackFields) -> impl Iterator<Item = String> {
    let musicbrainz = fields.identity.musicbrainz_id.as_deref().map(|id| format!("mbid {id}"));
    let isrc = fields.identity.isrc.as_deref().map(|code| format!("isrc {code}"));
    musicbrainz.into_iter().chain(isrc)
}

fn is_near(a: Option<f64>, b: Option<f64>) -> bool {
    a.zip(b).is_some_and(|(a, b)| (a - b).abs() <= TOLERANCE)
}

fn file_name(path: &str) -> String {
    path.rsplit('/').next().unwrap_or_default().to_owned()
}
