//! Which recording a file holds, whatever its tags say.

use std::fmt;

use sha2::{Digest, Sha256};

use crate::AudioError;
use crate::decode::{Demuxer, Next};
use crate::limits::{Limits, Source, Watch};

/// Fingerprint of the encoded audio alone: the first 128 bits of a SHA-256 over its packets.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AudioHash(String);

impl AudioHash {
    /// Takes a hash as it was stored: 32 hexadecimal digits.
    pub fn parse(text: &str) -> Option<Self> {
        let is_hex = text.len() == 32 && text.bytes().all(|b| b.is_ascii_hexdigit());
        is_hex.then(|| Self(text.to_ascii_lowercase()))
    }

    /// The 32 hexadecimal digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AudioHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Reads the packets and decodes none: a file that was moved or tagged anew has the same hash, another encoding of the
/// same recording has another. What cannot be decoded may have a hash too.
///
/// # Errors
/// As [`analyze`](crate::analyze).
pub fn audio_hash<'a>(
    source: Box<dyn Source + 'a>,
    hint: Option<&str>,
    limits: &'a Limits,
    stop: &'a (dyn Fn() -> bool + Sync),
) -> Result<AudioHash, AudioError> {
    let watch = Watch::new(limits, stop);
    // The demuxer borrows the watch: it must go first.
    let result = hash_packets(source, hint, &watch);
    drop(watch);
    result
}

fn hash_packets<'w>(
    source: Box<dyn Source + 'w>,
    hint: Option<&str>,
    watch: &'w Watch<'w>,
) -> Result<AudioHash, AudioError> {
    let mut demuxer = Demuxer::open(source, hint, watch)?;
    let mut hash = Sha256::new();
    hash.update(demuxer.codec().as_bytes());
    let mut packets = 0u64;
    loop {
        match demuxer.next()? {
            Next::Packet(packet) => {
                // With its length, so that no two ways to cut the same bytes are one.
                hash.update((packet.data.len() as u64).to_le_bytes());
                hash.update(&packet.data);
                packets += 1;
            }
            Next::Changed => hash.update(demuxer.codec().as_bytes()),
            Next::End if packets == 0 => return Err(AudioError::Empty),
            Next::End => break,
        }
    }
    let digest = hash.finalize();
    Ok(AudioHash(digest[..16].iter().map(|byte| format!("{byte:02x}")).collect()))
}
