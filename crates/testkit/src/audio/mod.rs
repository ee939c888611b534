//! Small audio files with real tags. MP3, FLAC, WAV and AIFF are whole files of silence; Ogg Vorbis, Opus and M4A have
//! true containers and headers, and next to no audio in them: a decoder that wants sound needs other files.

mod flac;
mod m4a;
mod mp3;
mod ogg;
mod pcm;

use std::fs;
use std::io;
use std::path::Path;

use lofty::config::WriteOptions;
use lofty::file::FileType;
use lofty::tag::{ItemKey, ItemValue, Tag, TagExt, TagItem};

/// A format of audio files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AudioFormat {
    /// MPEG-1 layer III, tagged with ID3v2.
    Mp3,
    /// FLAC, tagged with Vorbis comments.
    Flac,
    /// Vorbis in Ogg.
    Ogg,
    /// Opus in Ogg.
    Opus,
    /// AAC in MP4, tagged with iTunes atoms.
    M4a,
    /// PCM in RIFF, tagged with ID3v2.
    Wav,
    /// PCM in IFF, tagged with ID3v2.
    Aiff,
}

impl AudioFormat {
    /// All of them.
    pub const ALL: [Self; 7] = [Self::Mp3, Self::Flac, Self::Ogg, Self::Opus, Self::M4a, Self::Wav, Self::Aiff];

    /// The usual extension of its files.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Mp3 => "mp3",
            Self::Flac => "flac",
            Self::Ogg => "ogg",
            Self::Opus => "opus",
            Self::M4a => "m4a",
            Self::Wav => "wav",
            Self::Aiff => "aiff",
        }
    }

    fn file_type(self) -> FileType {
        match self {
            Self::Mp3 => FileType::Mpeg,
            Self::Flac => FileType::Flac,
            Self::Ogg => FileType::Vorbis,
            Self::Opus => FileType::Opus,
            Self::M4a => FileType::Mp4,
            Self::Wav => FileType::Wav,
            Self::Aiff => FileType::Aiff,
        }
    }

    fn body(self, seconds: f64) -> Vec<u8> {
        match self {
            Self::Mp3 => mp3::silence(seconds),
            Self::Flac => flac::silence(seconds),
            Self::Ogg => ogg::vorbis(seconds),
            Self::Opus => ogg::opus(seconds),
            Self::M4a => m4a::silence(seconds),
            Self::Wav => pcm::wav(seconds),
            Self::Aiff => pcm::aiff(seconds),
        }
    }
}

/// What a file says of itself. Empty fields are not written.
#[derive(Clone, Debug)]
#[allow(missing_docs, reason = "the fields are a track's")]
pub struct TrackTags {
    pub title: String,
    pub artist: String,
    pub album: String,
    pub album_artist: String,
    pub genres: Vec<String>,
    pub moods: Vec<String>,
    /// "1999" or "1999-05-01".
    pub date: String,
    /// Whole beats a minute: some formats hold no more.
    pub bpm: Option<u32>,
    pub key: String,
    pub musicbrainz_id: String,
    pub isrc: String,
    /// Length of the audio, to about a tenth of a second.
    pub seconds: f64,
}

impl Default for TrackTags {
    fn default() -> Self {
        Self {
            title: String::new(),
            artist: String::new(),
            album: String::new(),
            album_artist: String::new(),
            genres: Vec::new(),
            moods: Vec::new(),
            date: String::new(),
            bpm: None,
            key: String::new(),
            musicbrainz_id: String::new(),
            isrc: String::new(),
            seconds: 2.0,
        }
    }
}

/// Writes an audio file, in place of one that may be there. The folder must exist.
///
/// # Errors
/// Where the file cannot be written.
pub fn write_track(path: &Path, format: AudioFormat, tags: &TrackTags) -> io::Result<()> {
    fs::write(path, format.body(tags.seconds))?;
    let tag = tag(format, tags);
    if tag.is_empty() {
        return Ok(());
    }
    tag.save_to_path(path, WriteOptions::default()).map_err(io::Error::other)
}

/// Writes a WAV file with something to hear in it: a chord on `hz`, and a beat `bpm` times a minute.
///
/// # Errors
/// Where the file cannot be written.
pub fn write_music(path: &Path, tags: &TrackTags, hz: f64, bpm: f64) -> io::Result<()> {
    fs::write(path, pcm::music(tags.seconds, hz, bpm))?;
    tag(AudioFormat::Wav, tags).save_to_path(path, WriteOptions::default()).map_err(io::Error::other)
}

fn tag(format: AudioFormat, tags: &TrackTags) -> Tag {
    let mut tag = Tag::new(format.file_type().primary_tag_type());
    let bpm = tags.bpm.map(|bpm| bpm.to_string()).unwrap_or_default();
    let texts = [
        (ItemKey::TrackTitle, &tags.title),
        (ItemKey::TrackArtist, &tags.artist),
        (ItemKey::AlbumTitle, &tags.album),
        (ItemKey::AlbumArtist, &tags.album_artist),
        (ItemKey::RecordingDate, &tags.date),
        (ItemKey::Bpm, &bpm),
        (ItemKey::IntegerBpm, &bpm),
        (ItemKey::InitialKey, &tags.key),
        (ItemKey::MusicBrainzRecordingId, &tags.musicbrainz_id),
        (ItemKey::Isrc, &tags.isrc),
    ];
    let lists = [(ItemKey::Genre, &tags.genres), (ItemKey::Mood, &tags.moods)];
    let items = lists.into_iter().flat_map(|(key, values)| values.iter().map(move |value| (key, value)));
    for (key, value) in texts.into_iter().filter(|(_, value)| !value.is_empty()).chain(items) {
        // Not every format has a place for every item; the others are left out.
        let _ = tag.push(TagItem::new(key, ItemValue::Text(value.clone())));
    }
    tag
}
