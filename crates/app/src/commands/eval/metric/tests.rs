use tokio_util::sync::CancellationToken;

use super::{Judge, SplitMix64, percentile};

fn judge(tracks: &[(&str, &str)]) -> Judge {
    let labels: Vec<String> = tracks.iter().map(|(_, label)| (*label).to_owned()).collect();
    Judge::new(tracks.iter().map(|(artist, _)| *artist), &labels)
}

/// Tracks on a line: the nearer, the closer.
fn precisions(judge: &Judge, k: usize, places: &[f32]) -> Vec<f64> {
    judge.precisions(k, &|a, b| -(places[a] - places[b]).abs(), &CancellationToken::new())
}

fn assert_close(found: &[f64], expected: &[f64]) {
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        assert!((found - expected).abs() < 1e-9, "{found} instead of {expected}");
    }
}

#[test]
fn a_set_counted_by_hand() {
    // A at 0 (x) and 1 (x), B at 1.5 (x) and 5 (y), C at 6 (y).
    let judge = judge(&[("a", "x"), ("a", "x"), ("b", "x"), ("b", "y"), ("c", "y")]);
    assert_eq!((judge.tracks(), judge.artists(), judge.labels()), (5, 3, 2));
    let places = [0.0, 1.0, 1.5, 5.0, 6.0];
    // The nearest of another artist: b1, b1, a2, c, b2.
    assert_close(&precisions(&judge, 1, &places), &[1.0, 1.0, 1.0, 1.0, 1.0]);
    // The two nearest: {b1, b2}, {b1, b2}, {a2, a1}, {c, a2}, {b2, b1}.
    assert_close(&precisions(&judge, 2, &places), &[0.5, 0.5, 1.0, 0.5, 0.5]);
}

#[test]
fn with_fewer_candidates_than_k_those_there_are_count() {
    let judge = judge(&[("a", "x"), ("a", "y"), ("b", "x"), ("c", "x")]);
    assert_close(&precisions(&judge, 10, &[0.0, 1.0, 2.0, 3.0]), &[1.0, 0.0, 2.0 / 3.0, 2.0 / 3.0]);
}

#[test]
fn ties_count_for_their_chance_whatever_the_order() {
    // From a: b is nearest, c, d and e tie for the second place, one of them good.
    let forth = judge(&[("a", "x"), ("b", "x"), ("c", "x"), ("d", "y"), ("e", "y")]);
    let back = judge(&[("a", "x"), ("b", "x"), ("e", "y"), ("d", "y"), ("c", "x")]);
    let places = [0.0, 1.0, 2.0, 2.0, 2.0];
    for judge in [forth, back] {
        assert!((precisions(&judge, 2, &places)[0] - (1.0 + 1.0 / 3.0) / 2.0).abs() < 1e-9);
    }
}

#[test]
fn chance_is_the_share_among_other_artists() {
    let judge = judge(&[("a", "x"), ("a", "x"), ("b", "x"), ("c", "y"), ("d", "y")]);
    let found = judge.precisions(2, &|_, _| 0.0, &CancellationToken::new());
    assert_close(&found, &[1.0 / 3.0, 1.0 / 3.0, 0.5, 0.25, 0.25]);
}

#[test]
fn many_blocks_agree_with_one_by_one() {
    let mut random = SplitMix64(7);
    let tracks: Vec<(String, String)> =
        (0..203).map(|_| (random.below(40).to_string(), random.below(5).to_string())).collect();
    let places: Vec<f32> = (0..203).map(|_| random.below(30) as f32).collect();
    let named: Vec<(&str, &str)> = tracks.iter().map(|(artist, label)| (artist.as_str(), label.as_str())).collect();
    let found = precisions(&judge(&named), 203, &places);
    for (track, found) in found.iter().enumerate() {
        let others: Vec<_> = named.iter().filter(|other| other.0 != named[track].0).collect();
        let good = others.iter().filter(|other| other.1 == named[track].1).count();
        assert!((found - good as f64 / others.len() as f64).abs() < 1e-9);
    }
}

#[test]
fn intervals_are_the_same_every_time() {
    let tracks: Vec<(String, &str)> = (0..200).map(|index| ((index / 4).to_string(), "x")).collect();
    let named: Vec<(&str, &str)> = tracks.iter().map(|(artist, label)| (artist.as_str(), *label)).collect();
    let judge = judge(&named);
    // Whole artists are good or bad, half of them each.
    let values: Vec<f64> = (0..200).map(|index| f64::from(index / 4 % 2)).collect();
    let estimate = judge.estimate(&values);
    assert_eq!(estimate, judge.estimate(&values));
    assert!((estimate.mean - 0.5).abs() < 1e-12);
    // By 50 artists the standard error is 0.07; by 200 tracks it would be half that.
    assert!((estimate.low - 0.36).abs() < 0.03 && (estimate.high - 0.64).abs() < 0.03, "{estimate:?}");
}

#[test]
fn a_constant_difference_has_no_width() {
    let judge = judge(&[("a", "x"), ("a", "x"), ("b", "x"), ("c", "x")]);
    let estimate = judge.estimate(&[0.25; 4]);
    assert_eq!((estimate.mean, estimate.low, estimate.high), (0.25, 0.25, 0.25));
}

#[test]
fn the_generator_is_splitmix64() {
    let mut random = SplitMix64(1_234_567);
    assert_eq!(random.next(), 6_457_827_717_110_365_317);
    assert_eq!(random.next(), 3_203_168_211_198_807_973);
}

#[test]
fn percentiles_lie_between_values() {
    assert_eq!(percentile(&[1.0, 2.0, 3.0], 0.25), 1.5);
    assert_eq!(percentile(&[1.0, 2.0, 3.0], 1.0), 3.0);
}
