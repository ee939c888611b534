//! What a row says of a track: its columns hold what counts, and `filled` names those that were measured.

use serde_json::{Map, Value};
use soniquebay_domain::{
    Analysis, AudioHash, ContentHash, FILLABLE, Measured, MetadataHash, Space, Track, TrackFields, tagged,
};

/// What is written of a track.
pub(crate) struct Counting {
    pub(crate) counts: TrackFields,
    /// Names of the measured fields, separated by spaces.
    pub(crate) filled: String,
    /// As JSON.
    pub(crate) measured: Option<String>,
    pub(crate) content: ContentHash,
    pub(crate) metadata: MetadataHash,
}

impl Counting {
    /// What counts where tags say `fields`.
    pub(crate) fn of(fields: &TrackFields, analysis: Option<&Analysis>) -> Self {
        let (counts, filled) = match analysis {
            Some(analysis) => analysis.measured.fill(fields),
            None => (fields.clone(), Vec::new()),
        };
        let measured = analysis.map(|analysis| Value::Object(analysis.measured.to_json()).to_string());
        let (content, metadata) = (ContentHash::of(&counts), MetadataHash::of(&counts));
        Self { counts, filled: filled.join(" "), measured, content, metadata }
    }
}

/// What tags say, of columns that hold what counts.
pub(crate) fn tags(counts: TrackFields, filled: &str) -> TrackFields {
    let names: Vec<&str> = FILLABLE.into_iter().filter(|name| filled.split(' ').any(|one| one == *name)).collect();
    tagged(counts, &names)
}

/// The columns of an analysis, as they are stored.
pub(crate) struct AnalysisColumns {
    pub(crate) audio: Option<String>,
    pub(crate) revision: Option<String>,
    pub(crate) file: Option<String>,
    pub(crate) measured: Option<String>,
}

impl AnalysisColumns {
    /// What they say; the name of the column that cannot be read, where one cannot.
    pub(crate) fn read(self) -> Result<Option<Analysis>, &'static str> {
        let (Some(audio), Some(revision), Some(file)) = (self.audio, self.revision, self.file) else { return Ok(None) };
        let measured: Map<String, Value> =
            serde_json::from_str(self.measured.as_deref().unwrap_or("{}")).map_err(|_| "measured")?;
        Ok(Some(Analysis {
            audio: AudioHash::parse(&audio).ok_or("audio_hash")?,
            revision,
            file: ContentHash::parse(&file).ok_or("analyzed_file")?,
            measured: Measured::from_json(&measured),
        }))
    }
}

/// Whether a write of a track asks for its vector in a space to be made anew.
pub(crate) fn asks_for(space: &Space, before: Option<&Track>, after: &TrackFields, content: &ContentHash) -> bool {
    if !space.is_sound() {
        return before.is_none_or(|track| track.content_hash != *content);
    }
    let Some(now) = ContentHash::of_file(&after.identity) else { return false };
    let Some(before) = before.map(|track| &track.fields.identity) else { return true };
    // Of a file of which nothing else is known, another path is another file.
    let is_told_by_path = after.identity.file_size.is_none() && after.identity.file_mtime.is_none();
    ContentHash::of_file(before) != Some(now) || (is_told_by_path && before.path != after.identity.path)
}
