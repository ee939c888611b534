use std::path::Path;
use std::sync::Arc;

use soniquebay_domain::{Mode, TrackFields};
use soniquebay_ingest::{ScanOptions, scan};
use soniquebay_testkit::audio::{AudioFormat, TrackTags, write_track};

use crate::catalog::MemoryCatalog;

fn tags(format: AudioFormat) -> TrackTags {
    TrackTags {
        title: format!("Jóga {}", format.extension()),
        artist: "Björk".into(),
        album: "Homogenic".into(),
        album_artist: "Björk Guðmundsdóttir".into(),
        genres: vec!["Electronic; Art Pop".into(), "Trip Hop".into()],
        moods: vec!["Epic".into()],
        date: "1997-09-22".into(),
        bpm: Some(84),
        key: "F#m".into(),
        musicbrainz_id: "B5A4A2C5-7D9A-4B0C-9B0A-3F1E1C0D2E4F".into(),
        isrc: "GB-AAA-97-00012".into(),
        seconds: 3.0,
    }
}

async fn read(folder: &Path) -> Vec<TrackFields> {
    let catalog = Arc::new(MemoryCatalog::default());
    let report = scan(catalog.clone(), &[folder.to_owned()], ScanOptions::default(), |_| {}).await.unwrap();
    assert_eq!(report.failed, [], "{report:?}");
    catalog.all().into_iter().map(|(_, fields)| fields).collect()
}

#[tokio::test]
async fn every_format_is_read() {
    for format in AudioFormat::ALL {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(format!("01 - a.{}", format.extension()));
        write_track(&path, format, &tags(format)).unwrap();
        let track = read(folder.path()).await.remove(0);
        let title = format!("Jóga {}", format.extension());
        assert_eq!(track.title.as_deref(), Some(title.as_str()));
        assert_eq!(track.artist.as_deref(), Some("Björk"), "{title}");
        assert_eq!(track.album.as_deref(), Some("Homogenic"), "{title}");
        assert_eq!(track.album_artist.as_deref(), Some("Björk Guðmundsdóttir"), "{title}");
        assert_eq!(track.genre.as_deref(), Some("Electronic"), "{title}");
        assert_eq!(track.genre_tags, ["Art Pop", "Trip Hop"], "{title}");
        assert_eq!(track.mood_tags, ["Epic"], "{title}");
        assert_eq!(track.year, Some(1997), "{title}");
        assert_eq!(track.features.bpm, Some(84.0), "{title}");
        assert_eq!(track.features.key.map(|key| key.name()), Some("F#"), "{title}");
        assert_eq!(track.features.mode, Some(Mode::Minor), "{title}");
        let id = track.identity.musicbrainz_id.as_deref();
        assert_eq!(id, Some("b5a4a2c5-7d9a-4b0c-9b0a-3f1e1c0d2e4f"), "{title}");
        assert_eq!(track.identity.isrc.as_deref(), Some("GBAAA9700012"), "{title}");
        let seconds = track.duration.unwrap();
        assert!((2.9..=3.1).contains(&seconds), "{title}: {seconds} s");
    }
}

#[tokio::test]
async fn untagged_files_are_named_by_their_file() {
    for format in AudioFormat::ALL {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(format!("07. Hunter.{}", format.extension().to_uppercase()));
        write_track(&path, format, &TrackTags::default()).unwrap();
        let track = read(folder.path()).await.remove(0);
        assert_eq!(track.title.as_deref(), Some("Hunter"), "{format:?}");
        assert_eq!(track.artist, None);
    }
}

#[tokio::test]
async fn what_no_track_can_hold_is_cut_or_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let tags = TrackTags {
        title: "é".repeat(3_000),
        genres: (0..100).map(|n| format!("genre {n}")).collect(),
        bpm: Some(12_000),
        key: "o".into(),
        musicbrainz_id: "unknown".into(),
        isrc: "none".into(),
        date: "19".into(),
        ..TrackTags::default()
    };
    write_track(&folder.path().join("a.flac"), AudioFormat::Flac, &tags).unwrap();
    let catalog = Arc::new(MemoryCatalog::default());
    let report = scan(catalog.clone(), &[folder.path().to_owned()], ScanOptions::default(), |_| {}).await.unwrap();
    let (_, track) = catalog.all().remove(0);
    assert_eq!(track.title.unwrap().chars().count(), 1_024);
    assert_eq!((track.genre_tags.len(), track.year, track.features.bpm), (63, None, None));
    assert_eq!((track.identity.musicbrainz_id, track.identity.isrc), (None, None));
    assert_eq!(report.warnings.len(), 3, "{:?}", report.warnings);
}

#[tokio::test]
async fn files_whose_tags_nobody_reads_are_tracks_by_their_names() {
    let folder = tempfile::tempdir().unwrap();
    let ogg_flac = [b"OggS".as_slice(), &[0; 24], b"\x7fFLAC"].concat();
    for (name, start) in [
        ("03 - Hyperballad.wma", b"\x30\x26\xb2\x75\x8e\x66\xcf\x11".as_slice()),
        ("Jóga.caf", b"caff"),
        ("Hunter.oga", &ogg_flac),
        ("Bachelorette.mka", b"\x1a\x45\xdf\xa3"),
    ] {
        std::fs::write(folder.path().join(name), [start, &[0; 500]].concat()).unwrap();
    }
    std::fs::write(folder.path().join("no music.wma"), [7; 500]).unwrap();
    let catalog = Arc::new(MemoryCatalog::default());
    let report = scan(catalog.clone(), &[folder.path().to_owned()], ScanOptions::default(), |_| {}).await.unwrap();
    let mut titles: Vec<_> = catalog.all().into_iter().filter_map(|(_, fields)| fields.title).collect();
    titles.sort();
    assert_eq!(titles, ["Bachelorette", "Hunter", "Hyperballad", "Jóga"]);
    assert_eq!(report.failed.len(), 1, "{report:?}");
}
