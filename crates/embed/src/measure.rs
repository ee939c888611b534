use std::f64::consts::PI;

use soniquebay_domain::{Features, Mode, TrackFields};

/// How many numbers describe a track beside its words.
pub const NUMBERS: usize = 12;

/// Their names, in their order.
pub const NAMES: [&str; NUMBERS] = [
    "tempo",
    "key (fifths, cosine)",
    "key (fifths, sine)",
    "mode",
    "danceability",
    "energy",
    "valence",
    "acousticness",
    "instrumentalness",
    "loudness",
    "duration",
    "year",
];

/// The twelve numbers of a track, each about −3 to 3 (the year −4.5 to 4.5), 0 where unknown.
///
/// Every constant is fixed: the same track has the same numbers in every library and every batch. Centres and spreads are
/// what popular music has on the whole (Spotify's audio features); how they were chosen is told in docs/quality.md.
pub fn measure(track: &TrackFields) -> [f32; NUMBERS] {
    let features = &track.features;
    let (key_cosine, key_sine) = key(features);
    let share = |value: Option<f64>| value.map(|v| v.clamp(0.0, 1.0));
    let linear = |value: Option<f64>, centre: f64, spread: f64| bounded(value.map(|v| (v - centre) / spread));
    let positive = |value: Option<f64>| value.filter(|v| *v > 0.0);
    [
        // Octaves from 120 BPM.
        bounded(positive(features.bpm).map(|bpm| (bpm / 120.0).log2() / 0.35)),
        key_cosine,
        key_sine,
        // Half as wide as the others: a mode is often named wrongly.
        match features.mode {
            Some(Mode::Major) => 0.5,
            Some(Mode::Minor) => -0.5,
            None => 0.0,
        },
        linear(share(features.danceability), 0.55, 0.13),
        linear(share(features.energy), 0.60, 0.25),
        linear(share(features.valence), 0.45, 0.25),
        // Most music is either electric or acoustic: the log odds spread both ends.
        bounded(share(features.acousticness).map(|x| (((x + 0.01) / (1.01 - x)).ln() + 1.0) / 2.0)),
        // Most music has a voice and lies next to 0: only a logarithm tells degrees apart there.
        bounded(share(features.instrumentalness).map(|x| ((x + 0.001).log10() + 2.0) * 1.1)),
        linear(features.loudness, -9.0, 5.0),
        bounded(positive(track.duration).map(|seconds| (seconds / 220.0).ln() / 0.35)),
        // Finer for late years, of which every library holds more. Half as wide again as the others: it is all that tells
        // tracks of a genre apart where no sound was analysed.
        1.5 * bounded(
            track
                .year
                .filter(|year| *year > 0)
                .map(|year| 4.0 * (40.0 / f64::from(2050i32.saturating_sub(year).max(1))).ln()),
        ),
    ]
}

/// A point on the circle of fifths: neighbours mix well, and a minor key lies where its relative major does.
/// Small, because a key says less of a track's kind than the other numbers do.
fn key(features: &Features) -> (f32, f32) {
    const RADIUS: f64 = 0.4;
    let Some(tonic) = features.key else { return (0.0, 0.0) };
    let major = match features.mode {
        Some(Mode::Minor) => tonic.semitones() + 3,
        _ => tonic.semitones(),
    };
    let angle = PI / 6.0 * f64::from(u32::from(major) * 7 % 12);
    ((RADIUS * angle.cos()) as f32, (RADIUS * angle.sin()) as f32)
}

fn bounded(value: Option<f64>) -> f32 {
    value.filter(|v| !v.is_nan()).map_or(0.0, |v| v.clamp(-3.0, 3.0) as f32)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use soniquebay_domain::{Features, Key, Mode, TrackFields};

    use super::{NUMBERS, measure};

    fn with(change: impl FnOnce(&mut TrackFields)) -> [f32; NUMBERS] {
        let mut track = TrackFields::default();
        change(&mut track);
        measure(&track)
    }

    fn in_key(name: &str) -> (f32, f32) {
        let key = Key::parse(name).unwrap();
        let numbers = with(|t| (t.features.key, t.features.mode) = (Some(key.tonic), key.mode));
        (numbers[1], numbers[2])
    }

    #[test]
    fn unknown_is_neutral() {
        assert_eq!(measure(&TrackFields::default()), [0.0; NUMBERS]);
    }

    #[test]
    fn keys_lie_on_the_circle_of_fifths() {
        assert_eq!(in_key("C#"), in_key("Db"));
        assert_eq!(in_key("A minor"), in_key("C major"));
        let distance = |a: (f32, f32), b: (f32, f32)| (a.0 - b.0).hypot(a.1 - b.1);
        let fifth = distance(in_key("C"), in_key("G"));
        assert!((fifth - distance(in_key("C"), in_key("F"))).abs() < 1e-6);
        for far in ["D", "E", "F#", "C#", "B"] {
            assert!(distance(in_key("C"), in_key(far)) > fifth * 1.5, "{far}");
        }
    }

    #[test]
    fn values_from_the_specification() {
        let numbers = with(|t| {
            t.year = Some(2010);
            t.duration = Some(220.0);
            t.features = Features { bpm: Some(120.0), energy: Some(0.85), loudness: Some(-9.0), ..Features::default() };
        });
        assert_eq!((numbers[0], numbers[5], numbers[9], numbers[10], numbers[11]), (0.0, 1.0, 0.0, 0.0, 0.0));
        assert!((with(|t| t.features.acousticness = Some(0.5))[7] - 0.5).abs() < 1e-6);
        assert!((with(|t| t.features.instrumentalness = Some(0.009))[8]).abs() < 1e-6);
        assert_eq!(with(|t| t.year = Some(1900))[11], -4.5);
        assert_eq!(with(|t| t.year = Some(9999))[11], 4.5);
    }

    #[test]
    fn a_relative_minor_differs_from_its_major_by_mode_alone() {
        for (major, minor) in [("C", "Am"), ("G", "Em"), ("Eb", "Cm"), ("F#", "D# minor"), ("8B", "8A"), ("1d", "1m")] {
            let of = |name: &str| {
                let key = Key::parse(name).unwrap();
                with(|t| (t.features.key, t.features.mode) = (Some(key.tonic), key.mode.or(Some(Mode::Major))))
            };
            let (major, minor) = (of(major), of(minor));
            assert_eq!((major[1], major[2]), (minor[1], minor[2]));
            assert_eq!((major[3], minor[3]), (0.5, -0.5));
        }
    }

    #[test]
    fn shares_beyond_their_ends_count_as_the_ends() {
        let of = |x: f64| {
            with(|t| {
                t.features = Features {
                    danceability: Some(x),
                    energy: Some(x),
                    valence: Some(x),
                    acousticness: Some(x),
                    instrumentalness: Some(x),
                    ..Features::default()
                };
            })
        };
        assert_eq!((of(-0.5), of(7.0)), (of(0.0), of(1.0)));
    }

    #[test]
    fn zero_and_below_are_unknown_where_they_mean_nothing() {
        let numbers = with(|t| {
            (t.year, t.duration, t.features.bpm) = (Some(0), Some(0.0), Some(-1.0));
        });
        assert_eq!(numbers, [0.0; NUMBERS]);
    }

    /// Sets the one field that a number is made of, for all but key and mode.
    fn set(track: &mut TrackFields, number: usize, value: f64) {
        let features = &mut track.features;
        match number {
            0 => features.bpm = Some(value),
            4 => features.danceability = Some(value),
            5 => features.energy = Some(value),
            6 => features.valence = Some(value),
            7 => features.acousticness = Some(value),
            8 => features.instrumentalness = Some(value),
            9 => features.loudness = Some(value),
            10 => track.duration = Some(value),
            _ => track.year = Some(value as i32),
        }
    }

    proptest! {
        #[test]
        fn more_is_never_less_and_moves_no_other_number(
            number in prop::sample::select(vec![0usize, 4, 5, 6, 7, 8, 9, 10, 11]),
            a in 0.0f64..1.0,
            b in 0.0f64..1.0,
        ) {
            // The span in which each is found.
            let (from, to) = match number {
                0 => (20.0, 400.0),
                9 => (-60.0, 5.0),
                10 => (1.0, 7200.0),
                11 => (1900.0, 2100.0),
                _ => (0.0, 1.0),
            };
            let of = |x: f64| with(|t| set(t, number, from + x * (to - from)));
            let (less, more) = (of(a.min(b)), of(a.max(b)));
            prop_assert!(less[number] <= more[number]);
            for other in (0..NUMBERS).filter(|other| *other != number) {
                prop_assert_eq!((less[other], more[other]), (0.0, 0.0));
            }
        }

        #[test]
        fn whatever_comes_stays_bounded(x in any::<f64>(), year in any::<i32>()) {
            let numbers = with(|t| {
                t.year = Some(year);
                t.duration = Some(x);
                t.features = Features {
                    bpm: Some(x), danceability: Some(x), energy: Some(x), valence: Some(x), acousticness: Some(x),
                    instrumentalness: Some(x), loudness: Some(x), ..Features::default()
                };
            });
            prop_assert!(numbers[..11].iter().all(|n| n.is_finite() && n.abs() <= 3.0) && numbers[11].abs() <= 4.5);
        }
    }
}
