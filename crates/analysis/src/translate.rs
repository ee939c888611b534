//! From what the analyser says to what the rest of the program keeps.

use soniquebay_audio::{Analysis, AudioError, Measure};
use soniquebay_domain::{Aspect, MakeError, Measured, key_number};

/// What was measured.
pub(crate) fn measured(heard: &Analysis) -> Measured {
    let mut measured = Measured::default();
    let mut keep = |aspect, value: f64, confidence: f64| {
        measured.set(aspect, soniquebay_domain::Measure { value, confidence });
    };
    let told: [(Aspect, Option<Measure>); 9] = [
        (Aspect::Tempo, heard.tempo),
        (Aspect::BeatStrength, heard.beat_strength),
        (Aspect::Danceability, heard.danceability),
        (Aspect::Loudness, heard.loudness),
        (Aspect::LoudnessRange, heard.loudness_range),
        (Aspect::Energy, heard.energy),
        (Aspect::Brightness, heard.brightness),
        (Aspect::Percussive, heard.percussive),
        (Aspect::OnsetRate, heard.onset_rate),
    ];
    for (aspect, measure) in told {
        if let Some(Measure { value, confidence }) = measure {
            keep(aspect, value, confidence);
        }
    }
    if let Some(key) = heard.key {
        keep(Aspect::Key, key_number(key.tonic, key.mode), key.confidence);
    }
    // Counted, not guessed.
    keep(Aspect::Duration, heard.duration, 1.0);
    keep(Aspect::SilenceStart, heard.silence_start, 1.0);
    keep(Aspect::SilenceEnd, heard.silence_end, 1.0);
    measured
}

/// Why a file was not heard, as the metrics name it.
pub(crate) fn kind(error: &AudioError) -> &'static str {
    match error {
        AudioError::Unsupported { .. } => "unsupported",
        AudioError::Damaged { .. } => "damaged",
        AudioError::Empty => "empty",
        AudioError::OverLimit { .. } => "over_limit",
        AudioError::TimedOut { .. } => "timed_out",
        AudioError::Interrupted => "interrupted",
        AudioError::Io(_) => "unreadable",
        _ => "other",
    }
}

/// What becomes of the job.
pub(crate) fn setback(error: &AudioError) -> MakeError {
    match error {
        AudioError::Interrupted => MakeError::Away("interrupted".into()),
        // A second try would take as long.
        AudioError::TimedOut { .. } => {
            MakeError::Refused(format!("{error}: allow more with ANALYSIS_TIME_LIMIT, and retry the job"))
        }
        error if error.is_permanent() => MakeError::Refused(error.to_string()),
        error => MakeError::Failed(error.to_string()),
    }
}
