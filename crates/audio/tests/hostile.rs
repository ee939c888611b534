//! Files that are not what they seem: each ends in an answer or a typed error, in bounded time and memory.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends where it fails")]

use std::fs;
use std::io::{self, Cursor, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use proptest::prelude::*;
use soniquebay_audio::{Analysis, AudioError, Limits, analyze, audio_hash};

const FIXTURES: [&str; 12] = [
    "mp3-44100-2.mp3",
    "mp3-44100-1-vbr.mp3",
    "mp2-48000-2.mp2",
    "flac-44100-2.flac",
    "flac-16000-1.oga",
    "vorbis-44100-2.ogg",
    "opus-48000-2.opus",
    "aac-44100-2.m4a",
    "aac-48000-1.aac",
    "alac-44100-2.m4a",
    "adpcm-11025-1.wav",
    "pcm-8000-2.aiff",
];

fn fixture(name: &str) -> Vec<u8> {
    fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)).unwrap()
}

fn limits() -> Limits {
    Limits { time: Duration::from_secs(20), ..Limits::default() }
}

fn analyze_bytes(bytes: Vec<u8>, name: &str) -> Result<Analysis, AudioError> {
    analyze(Box::new(Cursor::new(bytes)), name.rsplit('.').next(), &limits(), &|| false)
}

/// What a program may rely on, whatever the file.
fn check(result: &Result<Analysis, AudioError>) {
    match result {
        Ok(heard) => {
            assert!(heard.duration.is_finite() && heard.duration > 0.0);
            let all = [heard.tempo, heard.loudness, heard.energy, heard.brightness, heard.percussive, heard.onset_rate];
            for measure in all.into_iter().flatten() {
                assert!(measure.value.is_finite() && (0.0..=1.0).contains(&measure.confidence), "{measure:?}");
            }
            let length: f32 = heard.sound.iter().flatten().map(|x| x * x).sum();
            assert!(heard.sound.is_none() || (length - 1.0).abs() < 1e-4, "{length}");
        }
        Err(error) => {
            assert!(!error.to_string().is_empty());
            assert!(!matches!(error, AudioError::TimedOut { .. } | AudioError::Interrupted), "{error}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_file_with_wrong_bytes_is_answered(
        which in 0..FIXTURES.len(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..24),
        headers_only in any::<bool>(),
    ) {
        let mut bytes = fixture(FIXTURES[which]);
        // Headers are a small part of a file, and decide the most.
        let reach = if headers_only { bytes.len().min(600) } else { bytes.len() };
        for (at, byte) in changes {
            bytes[at.index(reach)] = byte;
        }
        check(&analyze_bytes(bytes.clone(), FIXTURES[which]));
        let hash = audio_hash(Box::new(Cursor::new(bytes)), None, &limits(), &|| false);
        let in_time = !matches!(hash, Err(AudioError::TimedOut { .. }));
        prop_assert!(in_time);
    }

    #[test]
    fn a_file_that_is_cut_off_or_put_together_is_answered(
        which in 0..FIXTURES.len(),
        from in any::<prop::sample::Index>(),
        to in any::<prop::sample::Index>(),
        other in 0..FIXTURES.len(),
    ) {
        let bytes = fixture(FIXTURES[which]);
        let cut = bytes[..to.index(bytes.len())].to_vec();
        check(&analyze_bytes(cut.clone(), FIXTURES[which]));
        let tail = fixture(FIXTURES[other]);
        check(&analyze_bytes([&cut, &tail[from.index(tail.len())..]].concat(), FIXTURES[which]));
    }
}

/// A WAV file of `frames` frames, made as it is read.
struct Wave {
    header: Vec<u8>,
    length: Option<u64>,
    at: u64,
    sample: fn(u64) -> u8,
}

impl Wave {
    fn new(rate: u32, channels: u16, length: Option<u64>, sample: fn(u64) -> u8) -> Self {
        let data = length.map_or(u32::MAX - 36, |length| u32::try_from(length).unwrap_or(u32::MAX - 36));
        let mut header = b"RIFF".to_vec();
        header.extend((data.saturating_add(36)).to_le_bytes());
        header.extend(b"WAVEfmt ");
        header.extend(16u32.to_le_bytes());
        header.extend(1u16.to_le_bytes());
        header.extend(channels.to_le_bytes());
        header.extend(rate.to_le_bytes());
        header.extend(rate.saturating_mul(u32::from(channels)).to_le_bytes());
        header.extend(channels.to_le_bytes());
        header.extend(8u16.to_le_bytes());
        header.extend(b"data");
        header.extend(data.to_le_bytes());
        Self { header, length, at: 0, sample }
    }
}

impl Read for Wave {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let start = self.header.len() as u64;
        let end = self.length.map_or(u64::MAX, |length| start + length);
        let count = buffer.len().min((end - self.at.min(end)) as usize);
        for byte in &mut buffer[..count] {
            *byte = usize::try_from(self.at)
                .ok()
                .and_then(|at| self.header.get(at).copied())
                .unwrap_or_else(|| (self.sample)(self.at - start));
            self.at += 1;
        }
        Ok(count)
    }
}

impl Seek for Wave {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let end = self.length.map(|length| length + self.header.len() as u64);
        self.at = match (to, end) {
            (SeekFrom::Start(at), _) => at,
            (SeekFrom::Current(by), _) => self.at.saturating_add_signed(by),
            (SeekFrom::End(by), Some(end)) => end.saturating_add_signed(by),
            (SeekFrom::End(_), None) => return Err(io::ErrorKind::Unsupported.into()),
        };
        Ok(self.at)
    }
}

fn buzz(at: u64) -> u8 {
    ((at * 7) % 200) as u8
}

#[test]
fn impossible_layouts_are_refused() {
    for (rate, channels) in [(1, 1), (10_000_000, 1), (44_100, 100), (44_100, u16::MAX)] {
        let wave = Wave::new(rate, channels, Some(200_000), buzz);
        let error = analyze(Box::new(wave), Some("wav"), &limits(), &|| false).unwrap_err();
        assert!(
            matches!(error, AudioError::OverLimit { .. } | AudioError::Damaged { .. }),
            "{rate} {channels}: {error}"
        );
        assert!(error.is_permanent());
    }
    for (rate, channels) in [(0, 1), (44_100, 0)] {
        let wave = Wave::new(rate, channels, Some(200_000), buzz);
        assert!(analyze(Box::new(wave), Some("wav"), &limits(), &|| false).is_err());
    }
}

#[test]
fn a_stream_without_end_ends_where_the_limits_say() {
    let endless = || Box::new(Wave::new(8_000, 1, None, buzz));
    let short = Limits { duration: 60.0, ..limits() };
    let error = analyze(endless(), Some("wav"), &short, &|| false).unwrap_err();
    assert!(matches!(&error, AudioError::OverLimit { what } if what.contains("60 s")), "{error}");
    let small = Limits { bytes: 1_000_000, ..limits() };
    let error = analyze(endless(), Some("wav"), &small, &|| false).unwrap_err();
    assert!(matches!(&error, AudioError::OverLimit { what } if what.contains("bytes")), "{error}");
    let error = audio_hash(endless(), Some("wav"), &small, &|| false).unwrap_err();
    assert!(matches!(error, AudioError::OverLimit { .. }), "{error}");
}

#[test]
fn time_is_up_and_stop_is_stop() {
    let start = Instant::now();
    let hurried = Limits { time: Duration::from_millis(200), ..limits() };
    let error = analyze(Box::new(Wave::new(8_000, 1, None, buzz)), Some("wav"), &hurried, &|| false).unwrap_err();
    assert!(matches!(error, AudioError::TimedOut { .. }) && !error.is_permanent(), "{error}");
    let asked = AtomicU64::new(0);
    let stop = || asked.fetch_add(1, Ordering::Relaxed) > 20;
    let error = analyze(Box::new(Wave::new(8_000, 1, None, buzz)), Some("wav"), &limits(), &stop).unwrap_err();
    assert!(matches!(error, AudioError::Interrupted) && !error.is_permanent(), "{error}");
    // A file of another kind, without end and without a single frame: no call may read for ever.
    struct Junk;
    impl Read for Junk {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            buffer.fill(0x5a);
            Ok(buffer.len())
        }
    }
    impl Seek for Junk {
        fn seek(&mut self, _: SeekFrom) -> io::Result<u64> {
            Ok(0)
        }
    }
    assert!(analyze(Box::new(Junk), Some("mp3"), &hurried, &|| false).is_err());
    assert!(start.elapsed() < Duration::from_secs(20));
}

#[test]
fn a_file_that_ends_early_is_damaged_and_a_broken_packet_is_not() {
    let flac = fixture("flac-44100-2.flac");
    let error = analyze_bytes(flac[..flac.len() / 2].to_vec(), "x.flac").unwrap_err();
    assert!(matches!(&error, AudioError::Damaged { what } if what.contains("ends after")), "{error}");
    let mut mp3 = fixture("mp3-44100-2.mp3");
    let middle = mp3.len() / 2;
    mp3[middle..middle + 40].fill(0x55);
    let heard = analyze_bytes(mp3, "x.mp3").unwrap();
    assert!(heard.duration > 1.0);
}

#[test]
fn ten_hours_need_no_more_memory_than_a_minute() {
    let peak = |seconds: u64| {
        // A process of its own: the peak of this one is other tests'.
        let answer = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "one_long_file", "--nocapture", "--test-threads", "1"])
            .env("SONIQUEBAY_TEST_SECONDS", seconds.to_string())
            .output()
            .unwrap();
        assert!(answer.status.success(), "{}", String::from_utf8_lossy(&answer.stderr));
        let said = String::from_utf8_lossy(&answer.stdout).into_owned();
        said.lines().find_map(|line| line.split("peak kB ").nth(1)).unwrap().trim().parse::<u64>().unwrap()
    };
    let (short, long) = (peak(60), peak(36_000));
    assert!(long < 40_000, "ten hours took {long} kB");
    assert!(long < short + 4_000, "a minute took {short} kB, ten hours {long} kB");
}

#[test]
#[ignore = "ten_hours_need_no_more_memory_than_a_minute runs it in a process of its own"]
fn one_long_file() {
    let seconds: u64 = std::env::var("SONIQUEBAY_TEST_SECONDS").unwrap().parse().unwrap();
    // A tone that changes every second, struck twice a second.
    let sample = |at: u64| {
        let (second, within) = (at / 8_000, at % 4_000);
        let loud = 100_u64.saturating_sub(within / 30);
        let high = within * (3 + second % 5) / 64 % 2;
        (128 + high * loud - loud / 2) as u8
    };
    let wave = Wave::new(8_000, 1, Some(8_000 * seconds), sample);
    let limits = Limits { time: Duration::from_secs(300), ..Limits::default() };
    let heard = analyze(Box::new(wave), Some("wav"), &limits, &|| false).unwrap();
    assert!((heard.duration - seconds as f64).abs() < 1.0);
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let peak =
        status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap().trim().trim_end_matches(" kB").to_owned();
    println!("peak kB {peak}");
}
