//! What is heard in sounds of which everything is known.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends where it fails")]

use std::f64::consts::TAU;
use std::io::Cursor;

use soniquebay_audio::{Analysis, Limits, SOUND_DIMS, analyze};

const RATE: u32 = 22_050;

fn wav(samples: &[f64], rate: u32) -> Vec<u8> {
    let data: Vec<u8> = samples.iter().flat_map(|x| ((x.clamp(-1.0, 1.0) * 32_767.0) as i16).to_le_bytes()).collect();
    let mut bytes = b"RIFF".to_vec();
    bytes.extend((36 + data.len() as u32).to_le_bytes());
    bytes.extend(b"WAVEfmt \x10\0\0\0\x01\0\x01\0");
    bytes.extend(rate.to_le_bytes());
    bytes.extend((2 * rate).to_le_bytes());
    bytes.extend(b"\x02\0\x10\0data");
    bytes.extend((data.len() as u32).to_le_bytes());
    bytes.extend(data);
    bytes
}

fn hear(samples: &[f64]) -> Analysis {
    analyze(Box::new(Cursor::new(wav(samples, RATE))), Some("wav"), &Limits::default(), &|| false).unwrap()
}

fn seconds(count: f64, sample: impl FnMut(f64) -> f64) -> Vec<f64> {
    (0..(count * f64::from(RATE)) as u64).map(|n| n as f64 / f64::from(RATE)).map(sample).collect()
}

/// White noise, always the same.
fn noise() -> impl FnMut(f64) -> f64 {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    move |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) as f64 / (1u64 << 52) as f64 - 1.0
    }
}

/// Pink enough: white noise through a leaky sum, with some of itself.
fn pink() -> impl FnMut(f64) -> f64 {
    let mut white = noise();
    let (mut slow, mut slower) = (0.0, 0.0);
    move |t| {
        let x = white(t);
        slow = 0.97 * slow + 0.03 * x;
        slower = 0.997 * slower + 0.003 * x;
        0.1 * x + 0.8 * slow + 2.0 * slower
    }
}

/// Chords of a I IV V I (or i iv V i), one a bar, struck each beat, over their root in the bass.
fn cadence(bpm: f64, tonic: i32, minor: bool, count: f64) -> Vec<f64> {
    let third = if minor { 3 } else { 4 };
    let chords = [[0, third, 7], [5, 5 + third, 12], [7, 11, 14], [0, third, 7]];
    seconds(count, |t| {
        let beat = t * bpm / 60.0;
        let chord = chords[(beat / 4.0) as usize % 4];
        let tone = |semitones: i32| {
            let hertz = 440.0 * 2f64.powf(f64::from(semitones + tonic - 9) / 12.0);
            (1..=4)
                .map(|harmonic| (TAU * hertz * f64::from(harmonic) * t).sin() / f64::from(harmonic * harmonic))
                .sum::<f64>()
        };
        let struck = (-4.0 * (beat.fract() * 60.0 / bpm)).exp();
        let click = if beat.fract() < 0.02 { 0.3 * (TAU * 3_000.0 * t).sin() } else { 0.0 };
        0.08 * struck * (chord.iter().map(|tone_of| tone(*tone_of)).sum::<f64>() + 1.5 * tone(chord[0] - 24)) + click
    })
}

#[test]
fn silence_has_a_length_and_nothing_else() {
    let heard = hear(&seconds(12.0, |_| 0.0));
    assert_eq!((heard.tempo, heard.key, heard.loudness, heard.energy, &heard.sound), (None, None, None, None, &None));
    assert!((heard.duration - 12.0).abs() < 0.01 && (heard.silence_start - 12.0).abs() < 0.01);
}

#[test]
fn noise_has_neither_key_nor_tempo() {
    for length in [3.0, 8.0, 15.0, 40.0, 90.0] {
        let (mut white, mut pink) = (noise(), pink());
        for (name, heard) in
            [("white", hear(&seconds(length, |t| 0.3 * white(t)))), ("pink", hear(&seconds(length, |t| 0.5 * pink(t))))]
        {
            assert_eq!(heard.key, None, "{name}, {length} s");
            assert_eq!(heard.tempo, None, "{name}, {length} s");
            assert!(heard.loudness.is_some() && heard.sound.is_some());
        }
    }
}

#[test]
fn a_held_tone_has_no_tempo() {
    let heard = hear(&seconds(20.0, |t| 0.3 * (TAU * 440.0 * t).sin()));
    assert_eq!(heard.tempo, None);
}

#[test]
fn keys_are_heard_in_all_keys() {
    for tonic in 0..12 {
        for minor in [false, true] {
            let key = hear(&cadence(110.0, tonic, minor, 20.0)).key.unwrap();
            let named = (i32::from(key.tonic.semitones()), key.mode.name());
            assert_eq!(named, (tonic, if minor { "minor" } else { "major" }), "confidence {}", key.confidence);
        }
    }
}

#[test]
fn tempi_are_heard() {
    for bpm in [82.0, 96.0, 110.0, 124.0, 140.0, 160.0] {
        let tempo = hear(&cadence(bpm, 0, false, 24.0)).tempo.unwrap();
        let ratio = tempo.value / bpm;
        let is_multiple = [0.5, 1.0, 2.0].iter().any(|multiple| (ratio / multiple - 1.0).abs() < 0.015);
        assert!(is_multiple, "{} for {bpm}", tempo.value);
    }
}

#[test]
fn loudness_is_that_of_the_standard() {
    // EBU Tech 3341, case 1: a sine of 1 kHz at −23 dBFS in both channels is −23 LUFS; in one channel 3 LU less.
    let level = 10f64.powf(-23.0 / 20.0);
    let heard = hear(&seconds(20.0, |t| level * (TAU * 1_000.0 * t).sin()));
    assert!((heard.loudness.unwrap().value + 26.0).abs() < 0.1, "{:?}", heard.loudness);
    assert!(heard.loudness_range.unwrap().value < 0.2);
}

#[test]
fn silence_at_both_ends_is_measured() {
    let heard = hear(&seconds(8.0, |t| if (1.5..6.0).contains(&t) { 0.4 * (TAU * 440.0 * t).sin() } else { 0.0 }));
    assert!((heard.silence_start - 1.5).abs() < 0.01, "{}", heard.silence_start);
    assert!((heard.silence_end - 2.0).abs() < 0.01, "{}", heard.silence_end);
}

#[test]
fn bright_dull_struck_and_held_are_told_apart() {
    let dull = hear(&seconds(10.0, |t| 0.3 * (TAU * 200.0 * t).sin()));
    let bright = hear(&seconds(10.0, |t| 0.3 * (TAU * 4_000.0 * t).sin()));
    assert!((bright.brightness.unwrap().value / 4_000.0 - 1.0).abs() < 0.1, "{:?}", bright.brightness);
    assert!((dull.brightness.unwrap().value / 200.0 - 1.0).abs() < 0.25, "{:?}", dull.brightness);
    let mut white = noise();
    let drum = hear(&seconds(10.0, |t| 0.8 * white(t) * (-60.0 * (t * 2.0).fract() / 2.0).exp()));
    assert!(drum.percussive.unwrap().value > 0.4, "{:?}", drum.percussive);
    assert!(dull.percussive.unwrap().value < 0.02, "{:?}", dull.percussive);
    assert!((drum.onset_rate.unwrap().value - 2.0).abs() < 0.15, "{:?}", drum.onset_rate);
    assert!((drum.tempo.unwrap().value / 120.0).log2().fract().abs() < 0.03, "{:?}", drum.tempo);
}

fn cosine(a: &Analysis, b: &Analysis) -> f32 {
    a.sound.iter().flatten().zip(b.sound.iter().flatten()).map(|(a, b)| a * b).sum()
}

#[test]
fn sound_vectors_know_loudness_little_key_not_and_tempo_well() {
    let piece = hear(&cadence(100.0, 0, false, 20.0));
    let sound = piece.sound.as_ref().unwrap();
    assert_eq!(sound.len(), SOUND_DIMS);
    let higher = hear(&cadence(100.0, 2, false, 20.0));
    let faster = hear(&cadence(130.0, 0, false, 20.0));
    let softer = hear(&cadence(100.0, 0, false, 20.0).iter().map(|x| 0.5 * x).collect::<Vec<_>>());
    assert!(cosine(&piece, &piece) > 0.9999);
    assert!(cosine(&piece, &softer) > 0.97, "{}", cosine(&piece, &softer));
    assert!(
        cosine(&piece, &faster) < cosine(&piece, &higher),
        "{} {}",
        cosine(&piece, &faster),
        cosine(&piece, &higher)
    );
}

#[test]
fn the_sample_rate_changes_little() {
    let samples = cadence(100.0, 4, true, 16.0);
    let original = hear(&samples);
    // Read at twice the rate, each sample twice: the same sound up to 11 kHz, and images above.
    let doubled: Vec<f64> = samples.windows(2).flat_map(|pair| [pair[0], 0.5 * (pair[0] + pair[1])]).collect();
    let bytes = wav(&doubled, 2 * RATE);
    let other = analyze(Box::new(Cursor::new(bytes)), Some("wav"), &Limits::default(), &|| false).unwrap();
    assert!((original.tempo.unwrap().value / other.tempo.unwrap().value - 1.0).abs() < 0.01);
    assert_eq!(original.key.map(|key| (key.tonic, key.mode)), other.key.map(|key| (key.tonic, key.mode)));
    assert!(cosine(&original, &other) > 0.98, "{}", cosine(&original, &other));
}
