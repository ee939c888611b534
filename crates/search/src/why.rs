//! Why a track is an answer.

use soniquebay_domain::{Key, Track, TrackFields, dot, fold};

/// By which side of a typed search a track was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Matched {
    /// The words are in its names.
    Text,
    /// Its vector is near theirs.
    Meaning,
    /// Both.
    Both,
}

impl Matched {
    /// The name it has on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Meaning => "meaning",
            Self::Both => "both",
        }
    }
}

/// What speaks for an answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Why {
    /// The part of the cosine that comes from words. Unknown in spaces that we do not fill ourselves.
    pub words: Option<f32>,
    /// The part of the cosine that comes from measured numbers.
    pub numbers: Option<f32>,
    /// The part of the score that comes from sound, where that was asked for and the track has been heard.
    pub sound: Option<f32>,
    /// The facts that agree with a seed's: "same genre", "near tempo".
    pub closest: Vec<&'static str>,
    /// For a typed search, which side found it.
    pub matched: Option<Matched>,
    /// The conditions of the filter that it does not meet, as the wire names them, where they were given up.
    pub relaxed: Vec<&'static str>,
}

/// The parts of the cosine that words and numbers make. Both are unit vectors.
pub(crate) fn shares(query: &[f32], found: &[f32], text_dims: usize) -> (f32, f32) {
    let split = text_dims.min(query.len()).min(found.len());
    (dot(&query[..split], &found[..split]), dot(&query[split..], &found[split..]))
}

/// Whether two tracks share a fact.
type Agrees = fn(&TrackFields, &TrackFields) -> bool;

/// What `found` has in common with one of the seeds, the closest tie first.
pub(crate) fn closest(seeds: &[&Track], found: &Track) -> Vec<&'static str> {
    let common: [(&'static str, Agrees); 7] = [
        ("same artist", |a, b| same_text(a.artist.as_deref(), b.artist.as_deref())),
        ("same album", |a, b| {
            same_text(a.album.as_deref(), b.album.as_deref()) && same_text(release_artist(a), release_artist(b))
        }),
        ("same genre", same_genre),
        ("near year", |a, b| a.year.zip(b.year).is_some_and(|(a, b)| a.abs_diff(b) <= 2)),
        ("same decade", |a, b| a.year.zip(b.year).is_some_and(|(a, b)| a.div_euclid(10) == b.div_euclid(10))),
        ("near tempo", near_tempo),
        ("compatible key", |a, b| key(a).zip(key(b)).is_some_and(|(a, b)| a.is_compatible(b))),
    ];
    let found = found.counts();
    let seeds: Vec<_> = seeds.iter().map(|seed| seed.counts()).collect();
    let agrees = |test: Agrees| seeds.iter().any(|seed| test(seed, &found));
    common.into_iter().filter(|(_, test)| agrees(*test)).map(|(name, _)| name).collect()
}

fn same_text(a: Option<&str>, b: Option<&str>) -> bool {
    a.zip(b).is_some_and(|(a, b)| {
        let a = fold(a);
        !a.is_empty() && a == fold(b)
    })
}

/// "Greatest Hits" is the same album only when it is by the same people.
fn release_artist(track: &TrackFields) -> Option<&str> {
    track.album_artist.as_deref().or(track.artist.as_deref())
}

fn same_genre(a: &TrackFields, b: &TrackFields) -> bool {
    let genres = |t: &TrackFields| -> Vec<String> { t.genre.iter().chain(&t.genre_tags).map(|g| fold(g)).collect() };
    let of_b = genres(b);
    genres(a).iter().any(|genre| !genre.is_empty() && of_b.contains(genre))
}

/// Within 4 %, about what a mix can bend a tempo by unheard.
fn near_tempo(a: &TrackFields, b: &TrackFields) -> bool {
    a.features.bpm.zip(b.features.bpm).is_some_and(|(a, b)| (a - b).abs() <= 0.04 * a.max(b))
}

fn key(track: &TrackFields) -> Option<Key> {
    track.features.key.map(|tonic| Key { tonic, mode: track.features.mode })
}
