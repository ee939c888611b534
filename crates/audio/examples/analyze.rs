//! Prints what is heard in audio files, one JSON object a line: `cargo run --release -p soniquebay-audio --features opus --example analyze -- FILE…`

#![allow(clippy::print_stdout, reason = "it speaks to another program by standard output")]

use std::error::Error;
use std::fs::File;
use std::path::Path;
use std::time::Instant;

use serde_json::{Value, json};
use soniquebay_audio::{Analysis, Limits, Measure, analyze};

fn main() -> Result<(), Box<dyn Error>> {
    let mut failed = false;
    for file in std::env::args().skip(1) {
        let path = Path::new(&file);
        let hint = path.extension().and_then(|extension| extension.to_str());
        let start = Instant::now();
        let heard = File::open(path)
            .map_err(Into::into)
            .and_then(|source| analyze(Box::new(source), hint, &Limits::default(), &|| false));
        let seconds = start.elapsed().as_secs_f64();
        let line = match heard {
            Ok(analysis) => describe(&file, seconds, &analysis),
            Err(error) => {
                failed = true;
                json!({ "file": file, "error": error.to_string() })
            }
        };
        println!("{line}");
    }
    if failed { Err("not every file could be analysed".into()) } else { Ok(()) }
}

#[cfg(not(feature = "training"))]
fn raw(_: &Analysis) -> Value {
    Value::Null
}

#[cfg(feature = "training")]
fn raw(analysis: &Analysis) -> Value {
    let raw = &analysis.raw;
    json!({
        "candidates": raw.candidates, "classes": raw.classes, "bass": raw.bass, "tonal": raw.tonal, "numbers": raw.numbers,
    })
}

fn describe(file: &str, seconds: f64, analysis: &Analysis) -> Value {
    let measure = |measure: Option<Measure>| measure.map(|m| json!({ "value": m.value, "confidence": m.confidence }));
    json!({
        "file": file,
        "seconds_taken": seconds,
        "duration": analysis.duration,
        "codec": analysis.codec,
        "sample_rate": analysis.sample_rate,
        "channels": analysis.channels,
        "damaged_packets": analysis.damaged_packets,
        "tempo": measure(analysis.tempo),
        "beat_strength": measure(analysis.beat_strength),
        "danceability": measure(analysis.danceability),
        "key": analysis.key.map(|key| json!({
            "tonic": key.tonic.semitones(), "mode": key.mode.name(), "confidence": key.confidence,
        })),
        "loudness": measure(analysis.loudness),
        "loudness_range": measure(analysis.loudness_range),
        "energy": measure(analysis.energy),
        "brightness": measure(analysis.brightness),
        "percussive": measure(analysis.percussive),
        "onset_rate": measure(analysis.onset_rate),
        "silence_start": analysis.silence_start,
        "silence_end": analysis.silence_end,
        "sound": analysis.sound,
        "raw": raw(analysis),
    })
}
