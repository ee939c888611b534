//! Every codec, rate and channel layout that we say we decode, and those that we say we do not.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends where it fails")]

use std::fs::{self, File};
use std::io::Cursor;
use std::path::{Path, PathBuf};

use soniquebay_audio::{Analysis, AudioError, AudioHash, Limits, analyze, audio_hash};

fn fixtures() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let mut files: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() > 30, "tools/audio_fixtures.sh makes the files");
    files
}

/// "mp3-44100-2.mp3": what is to be heard in it.
fn promised(file: &Path) -> Option<(u32, u32)> {
    let mut parts = file.file_stem()?.to_str()?.split('-').skip(1);
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

fn extension(file: &Path) -> Option<&str> {
    file.extension()?.to_str()
}

fn analyze_file(file: &Path) -> Result<Analysis, AudioError> {
    analyze(Box::new(File::open(file)?), extension(file), &Limits::default(), &|| false)
}

fn hash_file(file: &Path) -> Result<AudioHash, AudioError> {
    audio_hash(Box::new(File::open(file)?), extension(file), &Limits::default(), &|| false)
}

/// Opus is a feature; it and AAC are stereo at most.
fn is_decoded(file: &Path) -> bool {
    let name = file.file_name().unwrap().to_str().unwrap();
    (cfg!(feature = "opus") || !name.starts_with("opus"))
        && !name.contains("opus-48000-6")
        && !name.contains("aac-44100-6")
}

#[test]
fn what_is_decoded_has_the_promised_layout_and_length() {
    for file in fixtures() {
        let Some((rate, channels)) = promised(&file).filter(|_| is_decoded(&file)) else { continue };
        let heard = analyze_file(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        // A bare AAC or MP2 stream has no place to say how much of its first and last packets counts.
        assert_eq!((heard.sample_rate, heard.channels), (rate, channels), "{}", file.display());
        assert!((0.25..1.7).contains(&heard.duration), "{}: {} s", file.display(), heard.duration);
        assert_eq!(heard.damaged_packets, 0, "{}", file.display());
    }
}

#[test]
fn what_is_not_decoded_is_named() {
    for (file, name) in [
        ("he-aac.m4a", "HE-AAC"),
        ("wma.wma", "Windows Media"),
        ("ac3.ac3", "AC-3"),
        ("ac3.mp4", "AC-3"),
        ("wavpack.wv", "WavPack"),
        ("tta.tta", "True Audio"),
        ("opus.webm", "Matroska or WebM"),
        ("opus-48000-6.opus", if cfg!(feature = "opus") { "Opus with 6 channels" } else { "Opus" }),
        ("aac-44100-6.m4a", "AAC with 6 channels"),
    ] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(file);
        let error = analyze_file(&path).unwrap_err();
        assert!(matches!(&error, AudioError::Unsupported { what } if what.contains(name)), "{file}: {error:?}");
        assert!(error.is_permanent());
    }
}

#[test]
fn a_tag_changes_no_hash_and_another_encoding_does() {
    use lofty::config::WriteOptions;
    use lofty::file::{AudioFile, TaggedFileExt};
    use lofty::tag::{Accessor, Tag};

    let folder = tempfile::tempdir().unwrap();
    let mut hashes = Vec::new();
    let mut tagged = 0;
    for file in fixtures().into_iter().filter(|file| promised(file).is_some()) {
        let before = hash_file(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        hashes.push(before.clone());
        let copy = folder.path().join(file.file_name().unwrap());
        fs::copy(&file, &copy).unwrap();
        let Ok(mut tags) = lofty::read_from_path(&copy) else { continue };
        let mut tag = Tag::new(tags.primary_tag_type());
        tag.set_title("Another title".repeat(500));
        tags.insert_tag(tag);
        tags.save_to_path(&copy, WriteOptions::default()).unwrap();
        assert_ne!(fs::read(&copy).unwrap(), fs::read(&file).unwrap());
        assert_eq!(hash_file(&copy).unwrap(), before, "{}", file.display());
        assert_eq!(AudioHash::parse(before.as_str()), Some(before));
        tagged += 1;
    }
    assert!(tagged > 20, "{tagged} files were tagged anew");
    let count = hashes.len();
    hashes.sort();
    hashes.dedup();
    assert_eq!(hashes.len(), count, "different files have different hashes");
}

#[test]
fn what_is_no_audio_says_so() {
    let try_out = |bytes: &[u8], hint| {
        analyze(Box::new(Cursor::new(bytes.to_vec())), hint, &Limits::default(), &|| false).unwrap_err()
    };
    assert!(matches!(try_out(b"", Some("mp3")), AudioError::Empty));
    assert!(matches!(try_out(&[7; 5_000], Some("mp3")), AudioError::Damaged { .. }));
    assert!(matches!(try_out(b"Dear diary, today I bought a record.", Some("txt")), AudioError::Unsupported { .. }));
    assert!(matches!(try_out(&[0; 100_000], None), AudioError::Unsupported { .. }));
}
