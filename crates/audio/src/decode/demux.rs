//! From a file to packets.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use symphonia::core::codecs::audio::AudioCodecParameters;
use symphonia::core::codecs::audio::well_known::{CODEC_ID_ALAC, CODEC_ID_FLAC};
use symphonia::core::common::Limit;
use symphonia::core::errors::{self, Error};
use symphonia::core::formats::probe::Hint;
use symphonia::core::formats::well_known::FORMAT_ID_ISOMP4;
use symphonia::core::formats::{FormatOptions, FormatReader, TrackType};
use symphonia::core::io::MediaSourceStream;
use symphonia::core::meta::MetadataOptions;
use symphonia::core::packet::Packet;

use super::names;
use crate::AudioError;
use crate::limits::{Source, Watch, WatchedSource};

/// Tags are not what we came for: of one, no more than this is kept.
const TAG_BYTES: usize = 64 * 1024;
/// As many bytes tell what kind of file it is.
const START: usize = 64;

/// What comes next in a file.
pub(crate) enum Next {
    Packet(Packet),
    /// Another stream begins: chained Ogg files have several. It needs a decoder of its own.
    Changed,
    End,
}

pub(crate) struct Demuxer<'a> {
    format: Box<dyn FormatReader + 'a>,
    track: u32,
    params: AudioCodecParameters,
    /// Seconds of audio that the file says it has; none once that is not told of the whole file.
    promised: Option<f64>,
    watch: &'a Watch<'a>,
}

impl<'a> Demuxer<'a> {
    pub(crate) fn open(
        mut source: Box<dyn Source + 'a>,
        hint: Option<&str>,
        watch: &'a Watch<'a>,
    ) -> Result<Self, AudioError> {
        let mut start = Vec::with_capacity(START);
        source.rewind()?;
        std::io::Read::read_to_end(&mut std::io::Read::take(&mut source, START as u64), &mut start)?;
        let source = WatchedSource::new(source, watch)?;
        if start.is_empty() || source.is_empty() {
            return Err(AudioError::Empty);
        }
        if let Some(name) = names::foreign_format(&start) {
            return Err(AudioError::Unsupported { what: name.to_owned() });
        }
        let stream = MediaSourceStream::new(Box::new(source), Default::default());
        let tags = MetadataOptions::default()
            .limit_tag_bytes(Limit::Maximum(TAG_BYTES))
            .limit_visual_bytes(Limit::Maximum(TAG_BYTES));
        let probe = symphonia::default::get_probe();
        let format = caught(|| probe.probe(&Hint::new(), stream, FormatOptions::default(), tags))
            .map_err(|error| not_opened(error, hint, watch))?;
        let mut demuxer = Self { format, track: 0, params: AudioCodecParameters::new(), promised: None, watch };
        demuxer.select_track()?;
        Ok(demuxer)
    }

    fn select_track(&mut self) -> Result<(), AudioError> {
        let unsupported = |what: &str| AudioError::Unsupported { what: what.to_owned() };
        let track = self.format.default_track(TrackType::Audio);
        let track = track.or_else(|| self.format.first_track(TrackType::Audio));
        let track = track.ok_or_else(|| unsupported("a file without an audio track"))?;
        let params = track.codec_params.as_ref().and_then(|params| params.audio());
        self.params = params.cloned().ok_or_else(|| unsupported("an unknown codec"))?;
        self.track = track.id;
        let rate = self.params.sample_rate.filter(|rate| *rate > 0);
        // An MP3 guesses its length, and what is written to a pipe as WAV claims the most that there can be.
        let knows = matches!(self.params.codec, CODEC_ID_FLAC | CODEC_ID_ALAC)
            || self.format.format_info().format == FORMAT_ID_ISOMP4;
        let frames = track.num_frames.filter(|_| knows);
        self.promised = frames.zip(rate).map(|(frames, rate)| frames as f64 / f64::from(rate));
        Ok(())
    }

    pub(crate) fn params(&self) -> &AudioCodecParameters {
        &self.params
    }

    pub(crate) fn codec(&self) -> &'static str {
        names::codec_name(&self.params)
    }

    pub(super) fn promised_seconds(&self) -> Option<f64> {
        self.promised
    }

    /// # Errors
    /// Where the file cannot be read on, or its structure is broken. A file that is cut off ends there.
    pub(crate) fn next(&mut self) -> Result<Next, AudioError> {
        loop {
            self.watch.check()?;
            let format = &mut self.format;
            match caught(|| format.next_packet()) {
                Ok(Some(packet)) if packet.track_id == self.track => return Ok(Next::Packet(packet)),
                Ok(Some(_)) => {}
                Ok(None) => return Ok(Next::End),
                Err(Error::ResetRequired) => {
                    self.select_track()?;
                    self.promised = None;
                    return Ok(Next::Changed);
                }
                Err(Error::IoError(error)) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
                    self.watch.check()?;
                    return Ok(Next::End);
                }
                Err(error) => return Err(self.explain(error)),
            }
        }
    }

    /// What an error of the decoding library means for this file.
    pub(super) fn explain(&self, error: Error) -> AudioError {
        let name = || match self.params.channels.as_ref().map_or(0, |channels| channels.count()) {
            // Some decoders take stereo at most.
            channels if channels > 2 => format!("{} with {channels} channels", self.codec()),
            _ => self.codec().to_owned(),
        };
        explain(error, name, self.watch)
    }
}

/// A panic of the decoding library is what it is for us: a file that cannot be decoded.
pub(super) fn caught<T>(work: impl FnOnce() -> errors::Result<T>) -> errors::Result<T> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| Err(panicked(panic.as_ref())))
}

fn panicked(panic: &(dyn Any + Send)) -> Error {
    let said = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    // As an IO error of a kind that nothing else has, since the library's own errors hold no text.
    Error::IoError(std::io::Error::new(
        std::io::ErrorKind::InvalidData,
        format!("the decoder broke down: {}", said.unwrap_or("for no reason that it told")),
    ))
}

fn explain(error: Error, name: impl FnOnce() -> String, watch: &Watch<'_>) -> AudioError {
    if let Err(verdict) = watch.check() {
        return verdict;
    }
    let damaged = |what: &str| AudioError::Damaged { what: what.to_owned() };
    match error {
        Error::IoError(error) => match error.kind() {
            std::io::ErrorKind::UnexpectedEof => damaged("it is cut off"),
            std::io::ErrorKind::InvalidData => damaged(&error.to_string()),
            _ => AudioError::Io(error),
        },
        Error::DecodeError(what) | Error::LimitError(what) => damaged(what),
        Error::SeekError(_) => damaged("it points beyond its end"),
        Error::Unsupported(what) => AudioError::Unsupported { what: format!("{} ({what})", name()) },
        _ => damaged("its streams change where none may"),
    }
}

/// A file that no demuxer takes is damaged if its name says that one should.
fn not_opened(error: Error, hint: Option<&str>, watch: &Watch<'_>) -> AudioError {
    let known = hint.is_some_and(names::is_known_extension);
    let name = || hint.map_or_else(|| "an unknown format".to_owned(), |hint| format!(".{hint}"));
    match (explain(error, name, watch), hint) {
        (AudioError::Unsupported { .. }, Some(hint)) if known => {
            AudioError::Damaged { what: format!("there is no {hint} in it") }
        }
        (AudioError::Unsupported { .. }, Some(hint)) => {
            AudioError::Unsupported { what: format!("a file of type .{hint}") }
        }
        (AudioError::Unsupported { .. }, None) => AudioError::Unsupported { what: "an unknown format".to_owned() },
        (error, _) => error,
    }
}
