use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use soniquebay_domain::{
    Analysis, Aspect, AudioHash, ContentHash, Key, Measure, Measured, Space, TrackState, key_number,
};
use utoipa::ToSchema;

use super::view::StateView;

/// What is known of a track's audio, and how far its analysis is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, ToSchema)]
pub struct AnalysisView {
    /// "pending", "ready", "stale" or "failed", where that was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<&'static str>,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Fingerprint of the audio without its tags.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audio_hash: Option<String>,
    /// Revision of the analysis.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// Fingerprint of the file that was analysed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file_hash: Option<String>,
}

impl From<&Analysis> for AnalysisView {
    fn from(analysis: &Analysis) -> Self {
        Self {
            audio_hash: Some(analysis.audio.to_string()),
            revision: Some(analysis.revision.clone()),
            file_hash: Some(analysis.file.to_string()),
            ..Self::default()
        }
    }
}

impl AnalysisView {
    /// The same, saying how far it is.
    pub(crate) fn with_state(self, state: TrackState) -> Self {
        let StateView { status, reason } = state.into();
        Self { status: Some(status), reason, ..self }
    }
}

/// An analysis as a worker elsewhere sends it.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "audio_hash": "9f86d081884c7d659a2feaa0c55ad015", "revision": "1",
    "file_hash": "00000000004c4b40176d5b1e6f9c8000",
    "measured": {"tempo": {"value": 128.0, "confidence": 0.9}, "key": {"value": "A minor", "confidence": 0.8}}
}))]
pub struct AnalysisInput {
    /// Fingerprint of the audio without its tags: 8 to 128 hexadecimal digits.
    #[schema(pattern = "^[0-9a-fA-F]{8,128}$")]
    pub audio_hash: String,
    /// Revision of the analysis.
    #[schema(pattern = "^[A-Za-z0-9._+-]{1,64}$")]
    pub revision: String,
    /// Fingerprint of the file that was analysed, as the track says it: an analysis of another file is not kept.
    #[schema(pattern = "^[0-9a-fA-F]{32}$")]
    pub file_hash: String,
    /// What was measured: value and confidence by name.
    #[schema(value_type = Object)]
    pub measured: Map<String, Value>,
}

impl From<&Analysis> for AnalysisInput {
    fn from(analysis: &Analysis) -> Self {
        Self {
            audio_hash: analysis.audio.to_string(),
            revision: analysis.revision.clone(),
            file_hash: analysis.file.to_string(),
            measured: write_measured(&analysis.measured),
        }
    }
}

impl AnalysisInput {
    /// The analysis; the name of the field that is wrong, where one is.
    ///
    /// # Errors
    /// Where a hash or the revision has another form.
    pub fn check(&self) -> Result<Analysis, &'static str> {
        Ok(Analysis {
            audio: AudioHash::parse(&self.audio_hash).ok_or("audio_hash")?,
            // What names no space names no revision.
            revision: Some(&self.revision)
                .filter(|revision| !revision.is_empty() && Space::sound(1, revision).is_ok())
                .cloned()
                .ok_or("revision")?,
            file: ContentHash::parse(&self.file_hash).ok_or("file_hash")?,
            measured: read_measured(&self.measured),
        })
    }
}

/// What was measured, by name, with keys as people write them: `{"key": {"value": "A minor", "confidence": 0.8}, …}`.
pub(super) fn write_measured(measured: &Measured) -> Map<String, Value> {
    let mut members = measured.to_json();
    if let Some((key, confidence)) = measured.key() {
        members.insert(Aspect::Key.name().into(), json!({"value": key.to_string(), "confidence": confidence}));
    }
    members
}

/// Reads what [`write_measured`] writes; what is unknown or out of bounds is left out.
pub(super) fn read_measured(members: &Map<String, Value>) -> Measured {
    let mut measured = Measured::from_json(members);
    let key = members.get(Aspect::Key.name());
    let named =
        key.and_then(|key| Key::parse(key.get("value")?.as_str()?)).and_then(|key| Some((key.tonic, key.mode?)));
    let confidence = key.and_then(|key| key.get("confidence")?.as_f64());
    if let (Some((tonic, mode)), Some(confidence)) = (named, confidence) {
        measured.set(Aspect::Key, Measure { value: key_number(tonic, mode), confidence });
    }
    measured
}

/// What a track as a library answers it says of its audio.
pub(super) fn read_analysis(track: &Map<String, Value>) -> Option<Analysis> {
    let view = track.get("analysis")?;
    let text = |name: &str| view.get(name)?.as_str();
    Some(Analysis {
        audio: AudioHash::parse(text("audio_hash")?)?,
        revision: text("revision")?.to_owned(),
        file: ContentHash::parse(text("file_hash")?)?,
        measured: track.get("measured").and_then(Value::as_object).map(read_measured).unwrap_or_default(),
    })
}
