//! From a file to samples. What the decoding library says and does is turned into what a caller can act on: it may find an
//! unknown codec, a broken packet or none at all, it may loop in what is no audio, and it may panic.

mod demux;
mod names;

use std::sync::OnceLock;

use symphonia::core::codecs::audio::{AudioDecoder, AudioDecoderOptions};
use symphonia::core::codecs::registry::CodecRegistry;
use symphonia::core::errors::Error;

pub(crate) use demux::{Demuxer, Next};

use crate::AudioError;
use crate::limits::{Source, Watch};
use demux::caught;

/// More broken packets than this share, and what is left is not the piece.
const DAMAGED_SHARE: f64 = 0.1;

/// Samples of one packet.
pub(crate) struct Block<'a> {
    pub(crate) rate: u32,
    /// One slice a channel, all of one length, full scale at ±1. Nothing in them is infinite or NaN.
    pub(crate) channels: &'a [Vec<f32>],
}

pub(crate) struct Decoder<'a> {
    demuxer: Demuxer<'a>,
    decoder: Box<dyn AudioDecoder>,
    watch: &'a Watch<'a>,
    planes: Vec<Vec<f32>>,
    decoded: u64,
    damaged: u64,
    seconds: f64,
}

impl<'a> Decoder<'a> {
    pub(crate) fn open(
        source: Box<dyn Source + 'a>,
        hint: Option<&str>,
        watch: &'a Watch<'a>,
    ) -> Result<Self, AudioError> {
        let demuxer = Demuxer::open(source, hint, watch)?;
        let decoder = make(&demuxer, watch)?;
        Ok(Self { demuxer, decoder, watch, planes: Vec::new(), decoded: 0, damaged: 0, seconds: 0.0 })
    }

    /// The codec's name.
    pub(crate) fn codec(&self) -> &'static str {
        self.demuxer.codec()
    }

    /// Packets that could not be decoded, so far.
    pub(crate) fn damaged(&self) -> u64 {
        self.damaged
    }

    /// The next samples; `None` at the end of the file.
    ///
    /// # Errors
    /// Where the file breaks a limit, or is too damaged to be believed.
    pub(crate) fn next(&mut self) -> Result<Option<Block<'_>>, AudioError> {
        loop {
            self.watch.check()?;
            let packet = match self.demuxer.next()? {
                Next::Packet(packet) => packet,
                Next::Changed => {
                    self.decoder = make(&self.demuxer, self.watch)?;
                    continue;
                }
                Next::End => return self.end(),
            };
            let planes = &mut self.planes;
            let decoder = &mut self.decoder;
            let decoded = caught(|| {
                let buffer = decoder.decode(&packet)?;
                let (rate, frames, count) = (buffer.spec().rate(), buffer.frames(), buffer.num_planes());
                if count <= self.watch.limits.channels as usize {
                    buffer.copy_to_vecs_planar(planes);
                }
                Ok((rate, frames, count))
            });
            match decoded {
                Ok((_, 0, _)) => {}
                Ok((rate, frames, count)) => {
                    self.watch.limits.check_layout(Some(rate), Some(count))?;
                    self.decoded += 1;
                    self.count(frames, rate)?;
                    silence_what_is_no_number(&mut self.planes);
                    return Ok(Some(Block { rate, channels: &self.planes }));
                }
                Err(Error::DecodeError(_) | Error::IoError(_)) => self.damaged += 1,
                Err(Error::ResetRequired) => self.decoder.reset(),
                Err(error) => return Err(self.demuxer.explain(error)),
            }
        }
    }

    fn count(&mut self, frames: usize, rate: u32) -> Result<(), AudioError> {
        self.seconds += frames as f64 / f64::from(rate);
        let most = self.watch.limits.duration;
        if self.seconds > most {
            return Err(AudioError::OverLimit { what: format!("the audio is longer than {most} s") });
        }
        Ok(())
    }

    fn end(&self) -> Result<Option<Block<'_>>, AudioError> {
        let damaged = |what: String| Err(AudioError::Damaged { what });
        let (bad, all) = (self.damaged, self.decoded + self.damaged);
        if bad > 0 && bad as f64 > DAMAGED_SHARE * all as f64 {
            return damaged(format!("{bad} of {all} packets cannot be decoded"));
        }
        if self.decoded == 0 {
            return Err(AudioError::Empty);
        }
        match self.demuxer.promised_seconds() {
            Some(promised) if self.seconds < (1.0 - DAMAGED_SHARE) * promised - 0.2 => {
                damaged(format!("it ends after {:.1} of {promised:.1} s", self.seconds))
            }
            _ => Ok(None),
        }
    }
}

fn make(demuxer: &Demuxer<'_>, watch: &Watch<'_>) -> Result<Box<dyn AudioDecoder>, AudioError> {
    let params = demuxer.params();
    watch.limits.check_layout(params.sample_rate, params.channels.as_ref().map(|channels| channels.count()))?;
    let made = caught(|| codecs().make_audio_decoder(params, &AudioDecoderOptions::default()));
    made.map_err(|error| demuxer.explain(error))
}

fn codecs() -> &'static CodecRegistry {
    static CODECS: OnceLock<CodecRegistry> = OnceLock::new();
    CODECS.get_or_init(|| {
        let mut codecs = CodecRegistry::new();
        symphonia::default::register_enabled_codecs(&mut codecs);
        #[cfg(feature = "opus")]
        codecs.register_audio_decoder::<symphonia_adapter_libopus::OpusDecoder>();
        codecs
    })
}

/// Files of floating-point samples may hold anything; what is far beyond full scale is as little sound as NaN is.
fn silence_what_is_no_number(planes: &mut [Vec<f32>]) {
    for sample in planes.iter_mut().flatten() {
        if !sample.is_finite() || sample.abs() > 1e4 {
            *sample = 0.0;
        }
    }
}
