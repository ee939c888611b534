//! What a file may cost, and the watch over it: every read passes it, as one call of a demuxer may read without end.

use std::io::{self, Read, Seek, SeekFrom};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use symphonia::core::io::MediaSource;

use crate::AudioError;

/// Where a file's bytes come from.
pub trait Source: Read + Seek + Send + Sync {}

impl<T: Read + Seek + Send + Sync> Source for T {}

/// Bounds of one file. What is beyond them ends in a typed error.
#[derive(Clone, Debug)]
pub struct Limits {
    /// From the call to its answer.
    pub time: Duration,
    /// Bytes read, again counted when read again.
    pub bytes: u64,
    /// Seconds of audio.
    pub duration: f64,
    /// Channels.
    pub channels: u32,
    /// The lowest sample rate, in Hz.
    pub lowest_rate: u32,
    /// The highest sample rate, in Hz.
    pub highest_rate: u32,
}

impl Default for Limits {
    /// Ten minutes, 16 GB, 24 hours of audio, 16 channels, 4 to 768 kHz.
    fn default() -> Self {
        Self {
            time: Duration::from_secs(600),
            bytes: 16 << 30,
            duration: 24.0 * 3600.0,
            channels: 16,
            lowest_rate: 4_000,
            highest_rate: 768_000,
        }
    }
}

impl Limits {
    /// # Errors
    /// [`AudioError::OverLimit`] where the rate or the channels are out of bounds.
    pub(crate) fn check_layout(&self, rate: Option<u32>, channels: Option<usize>) -> Result<(), AudioError> {
        let over = |what: String| Err(AudioError::OverLimit { what });
        if let Some(rate) = rate.filter(|rate| !(self.lowest_rate..=self.highest_rate).contains(rate)) {
            return over(format!(
                "a sample rate of {rate} Hz is not between {} and {} Hz",
                self.lowest_rate, self.highest_rate
            ));
        }
        match channels {
            Some(0) => Err(AudioError::Damaged { what: "it says that it has no channel".to_owned() }),
            Some(channels) if channels > self.channels as usize => {
                over(format!("{channels} channels are more than {}", self.channels))
            }
            _ => Ok(()),
        }
    }
}

/// What ended the reading, where that was neither the file's end nor its fault.
#[derive(Clone, Copy, Debug)]
enum Verdict {
    Stopped,
    Late,
    Long,
}

/// Looks at the clock, at the caller's word to stop and at the number of bytes.
pub(crate) struct Watch<'a> {
    pub(crate) limits: &'a Limits,
    stop: &'a (dyn Fn() -> bool + Sync),
    deadline: Instant,
    bytes: AtomicU64,
    verdict: OnceLock<Verdict>,
}

impl<'a> Watch<'a> {
    pub(crate) fn new(limits: &'a Limits, stop: &'a (dyn Fn() -> bool + Sync)) -> Self {
        let now = Instant::now();
        let deadline = now.checked_add(limits.time).unwrap_or(now + Duration::from_secs(86_400));
        Self { limits, stop, deadline, bytes: AtomicU64::new(0), verdict: OnceLock::new() }
    }

    /// # Errors
    /// What ended it, from then on.
    pub(crate) fn check(&self) -> Result<(), AudioError> {
        let verdict = self.verdict.get().copied().or_else(|| {
            let found = if (self.stop)() {
                Some(Verdict::Stopped)
            } else if Instant::now() >= self.deadline {
                Some(Verdict::Late)
            } else if self.bytes.load(Ordering::Relaxed) > self.limits.bytes {
                Some(Verdict::Long)
            } else {
                None
            };
            found.map(|found| *self.verdict.get_or_init(|| found))
        });
        match verdict {
            None => Ok(()),
            Some(Verdict::Stopped) => Err(AudioError::Interrupted),
            Some(Verdict::Late) => Err(AudioError::TimedOut { limit: self.limits.time }),
            Some(Verdict::Long) => {
                Err(AudioError::OverLimit { what: format!("the file has more than {} bytes", self.limits.bytes) })
            }
        }
    }
}

/// A source that is watched.
pub(crate) struct WatchedSource<'a> {
    source: Box<dyn Source + 'a>,
    length: Option<u64>,
    watch: &'a Watch<'a>,
}

impl<'a> WatchedSource<'a> {
    /// Goes back to the start.
    pub(crate) fn new(mut source: Box<dyn Source + 'a>, watch: &'a Watch<'a>) -> Result<Self, AudioError> {
        // What has no end cannot tell its length, and is read without seeking.
        let length = source.seek(SeekFrom::End(0)).ok();
        source.rewind()?;
        Ok(Self { source, length, watch })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.length == Some(0)
    }
}

impl Read for WatchedSource<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.watch.check().map_err(io::Error::other)?;
        let read = self.source.read(buffer)?;
        self.watch.bytes.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

impl Seek for WatchedSource<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.source.seek(to)
    }
}

impl MediaSource for WatchedSource<'_> {
    fn is_seekable(&self) -> bool {
        self.length.is_some()
    }

    fn byte_len(&self) -> Option<u64> {
        self.length
    }
}
