use std::fmt;

use sha2::{Digest, Sha256};

use crate::{Identity, TrackFields};

macro_rules! hash_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(String);

        impl $name {
            /// Takes a hash as it was stored or sent: 32 hexadecimal digits.
            pub fn parse(text: &str) -> Option<Self> {
                let is_hex = text.len() == 32 && text.bytes().all(|b| b.is_ascii_hexdigit());
                is_hex.then(|| Self(text.to_ascii_lowercase()))
            }

            /// The 32 hexadecimal digits.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

hash_type! {
    /// Fingerprint of the fields that vectors are made of: text, numbers, features. The first 128 bits of a SHA-256,
    /// independent of any template, so that a template can change without touching the catalogue.
    ContentHash
}
hash_type! {
    /// Fingerprint of the fields that filters use. The first 128 bits of a SHA-256.
    MetadataHash
}

/// Fields are written with their names and lengths, so that no two different tracks spell the same bytes.
struct FieldHasher(Sha256);

impl FieldHasher {
    fn new(domain: &str) -> Self {
        let mut hasher = Self(Sha256::new());
        hasher.text("", Some(domain));
        hasher
    }

    fn text(&mut self, name: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.bytes(name, value.as_bytes());
        }
    }

    fn list(&mut self, name: &str, values: &[String]) {
        for value in values {
            self.bytes(name, value.as_bytes());
        }
    }

    fn number(&mut self, name: &str, value: Option<f64>) {
        if let Some(value) = value {
            // -0.0 equals 0.0 and must hash alike.
            self.bytes(name, &(value + 0.0).to_le_bytes());
        }
    }

    fn bytes(&mut self, name: &str, value: &[u8]) {
        self.0.update((name.len() as u64).to_le_bytes());
        self.0.update(name.as_bytes());
        self.0.update((value.len() as u64).to_le_bytes());
        self.0.update(value);
    }

    fn finish(self) -> String {
        let digest = self.0.finalize();
        digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect()
    }
}

fn shared(hasher: &mut FieldHasher, track: &TrackFields) {
    hasher.text("title", track.title.as_deref());
    hasher.text("artist", track.artist.as_deref());
    hasher.text("album", track.album.as_deref());
    hasher.text("genre", track.genre.as_deref());
    hasher.list("genre_tags", &track.genre_tags);
    hasher.list("mood_tags", &track.mood_tags);
    hasher.list("tags", &track.tags);
    hasher.number("year", track.year.map(f64::from));
    hasher.number("duration", track.duration);
    hasher.number("bpm", track.features.bpm);
    hasher.number("key", track.features.key.map(|key| f64::from(key.semitones())));
    hasher.text("mode", track.features.mode.map(crate::Mode::name));
}

impl ContentHash {
    /// The fingerprint of what `track`'s vectors are made of.
    pub fn of(track: &TrackFields) -> Self {
        let mut hasher = FieldHasher::new("content-1");
        shared(&mut hasher, track);
        hasher.text("album_artist", track.album_artist.as_deref());
        hasher.number("danceability", track.features.danceability);
        hasher.number("energy", track.features.energy);
        hasher.number("valence", track.features.valence);
        hasher.number("acousticness", track.features.acousticness);
        hasher.number("instrumentalness", track.features.instrumentalness);
        hasher.number("loudness", track.features.loudness);
        Self(hasher.finish())
    }
}

impl ContentHash {
    /// The fingerprint of what a track's sound is made of: its file, as far as size and moment of its last change tell,
    /// wherever it lies. Nothing for a track without a file. Databases make it the same way, of its columns.
    pub fn of_file(identity: &Identity) -> Option<Self> {
        identity.path.as_ref()?;
        let (size, mtime) = (identity.file_size.unwrap_or(0), identity.file_mtime.unwrap_or(0));
        Some(Self(format!("{size:016x}{mtime:016x}")))
    }
}

impl MetadataHash {
    /// The fingerprint of what filters can ask of `track`.
    pub fn of(track: &TrackFields) -> Self {
        let mut hasher = FieldHasher::new("metadata-1");
        shared(&mut hasher, track);
        hasher.text("path", track.identity.path.as_deref());
        Self(hasher.finish())
    }
}

#[cfg(test)]
mod tests {
    use super::{ContentHash, MetadataHash};
    use crate::TrackFields;

    fn track() -> TrackFields {
        TrackFields { title: Some("Jóga".into()), artist: Some("Björk".into()), ..TrackFields::default() }
    }

    #[test]
    fn a_moved_file_keeps_its_content() {
        let mut moved = track();
        moved.identity.path = Some("/music/joga.flac".into());
        assert_eq!(ContentHash::of(&track()), ContentHash::of(&moved));
        assert_ne!(MetadataHash::of(&track()), MetadataHash::of(&moved));
    }

    #[test]
    fn a_moved_file_sounds_the_same_and_a_changed_one_may_not() {
        let mut track = track();
        assert_eq!(ContentHash::of_file(&track.identity), None);
        track.identity = crate::Identity {
            path: Some("/a".into()),
            file_size: Some(10),
            file_mtime: Some(-1),
            ..crate::Identity::default()
        };
        let before = ContentHash::of_file(&track.identity).unwrap();
        assert_eq!(before.as_str(), "000000000000000affffffffffffffff");
        track.identity.path = Some("/b".into());
        assert_eq!(ContentHash::of_file(&track.identity), Some(before.clone()));
        track.identity.file_mtime = Some(0);
        assert_ne!(ContentHash::of_file(&track.identity), Some(before));
    }

    #[test]
    fn fields_do_not_run_into_each_other() {
        let mut other = track();
        other.title = Some("JógaBjörk".into());
        other.artist = None;
        assert_ne!(ContentHash::of(&track()), ContentHash::of(&other));
        let mut zero = track();
        zero.features.energy = Some(0.0);
        assert_ne!(ContentHash::of(&track()), ContentHash::of(&zero), "unknown is not zero");
        let mut negative = zero.clone();
        negative.features.energy = Some(-0.0);
        assert_eq!(ContentHash::of(&zero), ContentHash::of(&negative));
    }

    #[test]
    fn a_hash_is_read_back() {
        let hash = ContentHash::of(&track());
        assert_eq!(ContentHash::parse(hash.as_str()), Some(hash));
        assert_eq!(ContentHash::parse("short"), None);
    }
}
