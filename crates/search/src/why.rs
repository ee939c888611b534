//! Why a track is an answer.

use soniquebay_domain::{Key, Track, TrackFields, Vectorizer, dot, fold};

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
    /// The measured numbers that are nearest a seed's, the most telling first.
    pub near: Vec<Near>,
    /// For a typed search, which side found it.
    pub matched: Option<Matched>,
    /// The conditions of the filter that it does not meet, as the wire names them, where they were given up.
    pub relaxed: Vec<&'static str>,
}

/// A measured number that a track shares with a seed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Near {
    /// Which: "energy", "loudness".
    pub number: &'static str,
    /// What the seed has, in the unit of the track's field.
    pub seed: f64,
    /// What the track has.
    pub track: f64,
}

/// Numbers further apart than this, in spreads of popular music, are not near.
const NEAR: f32 = 0.3;

/// Numbers that are told of one track.
const TOLD: usize = 3;

/// What a track says of one number.
type Says = fn(&TrackFields) -> Option<f64>;

/// Whether two such may be called near.
type IsNear = fn(f64, f64) -> bool;

/// The numbers that have a field of their own, with what it says. Key and mode are told as a compatible key. Those without
/// bounds are compared as they are too: vectors hold them as far as popular music goes, and all beyond as the same.
const NUMBERS: [(&str, Says, IsNear); 9] = [
    ("tempo", |track| track.features.bpm, is_near_tempo),
    ("danceability", |track| track.features.danceability, |_, _| true),
    ("energy", |track| track.features.energy, |_, _| true),
    ("valence", |track| track.features.valence, |_, _| true),
    ("acousticness", |track| track.features.acousticness, |_, _| true),
    ("instrumentalness", |track| track.features.instrumentalness, |_, _| true),
    ("loudness", |track| track.features.loudness, |a, b| (a - b).abs() <= 1.5),
    ("duration", |track| track.duration, |a, b| (a - b).abs() <= 0.1 * a.max(b)),
    ("year", |track| track.year.map(f64::from), |a, b| (a - b).abs() <= NEAR_YEARS),
];

/// Years apart that are near.
const NEAR_YEARS: f64 = 2.0;

/// The numbers of `found` that are nearest those of one of the seeds. Of those that are near, the first are the ones in which
/// both are least like the rest of music: that two tracks are equally far from the middle says more than that both lie in it.
pub(crate) fn near(seeds: &[&Track], found: &Track, measures: Option<&dyn Vectorizer>) -> Vec<Near> {
    let Some(measures) = measures else { return Vec::new() };
    let mapped = |track: &Track| measures.numbers(&track.counts());
    let (here, seeds): (_, Vec<_>) = (mapped(found), seeds.iter().map(|seed| (seed, mapped(seed))).collect());
    let at = |of: &[(&'static str, f32)], name: &str| of.iter().find(|(known, _)| *known == name).map(|(_, x)| *x);
    let mut near: Vec<(f32, Near)> = Vec::new();
    for (number, read, is_near) in NUMBERS {
        let Some((track, x)) = read(&found.counts()).zip(at(&here, number)) else { continue };
        let of_seeds = seeds.iter().filter_map(|(seed, of)| read(&seed.counts()).zip(at(of, number)));
        let near_ones = of_seeds.filter(|(seed, _)| is_near(*seed, track));
        let Some((seed, y)) = near_ones.min_by(|a, b| (a.1 - x).abs().total_cmp(&(b.1 - x).abs())) else { continue };
        let apart = (x - y).abs();
        if apart <= NEAR {
            near.push((x.abs().min(y.abs()) - apart, Near { number, seed, track }));
        }
    }
    near.sort_by(|a, b| b.0.total_cmp(&a.0));
    near.truncate(TOLD);
    near.into_iter().map(|(_, near)| near).collect()
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
        ("near year", |a, b| a.year.zip(b.year).is_some_and(|(a, b)| f64::from(a.abs_diff(b)) <= NEAR_YEARS)),
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

fn near_tempo(a: &TrackFields, b: &TrackFields) -> bool {
    a.features.bpm.zip(b.features.bpm).is_some_and(|(a, b)| is_near_tempo(a, b))
}

/// Within 4 %, about what a mix can bend a tempo by unheard.
fn is_near_tempo(a: f64, b: f64) -> bool {
    (a - b).abs() <= 0.04 * a.max(b)
}

fn key(track: &TrackFields) -> Option<Key> {
    track.features.key.map(|tonic| Key { tonic, mode: track.features.mode })
}
