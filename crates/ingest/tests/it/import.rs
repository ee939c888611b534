use std::io::{self, BufReader, Read};
use std::path::Path;
use std::sync::Arc;

use soniquebay_ingest::{Format, ImportError, ImportOptions, ImportReport, StopFlag, import};

use crate::catalog::MemoryCatalog;

async fn import_text(catalog: &Arc<MemoryCatalog>, text: &str) -> Result<ImportReport, ImportError> {
    let reader = io::Cursor::new(text.as_bytes().to_vec());
    import(reader, None, catalog.clone(), ImportOptions::default(), |_| {}).await
}

#[tokio::test]
async fn bad_lines_are_named_and_hold_nothing_back() {
    let catalog = Arc::new(MemoryCatalog::default());
    let text = format!(
        "\u{feff}{}\r\n\n{}\nnot json\n[1]\n{}\n{}\n{}\n{{\"artist\":\"Ann\"}}\n",
        r#"{"title":"A","artist":"Ann","label":"rock"}"#,
        r#"{"title":"B","bpm":5,"energy":85}"#,
        "x".repeat(70_000),
        r#"{"title":"C","artist":"Ann"}"#,
        r#"{"title":"#,
    );
    let report = import_text(&catalog, &text).await.unwrap();
    assert_eq!((report.lines, report.created, report.failed_total), (8, 2, 6));
    let lines: Vec<u64> = report.failed.iter().map(|failure| failure.line).collect();
    assert_eq!(lines, [3, 4, 5, 6, 8, 9]);
    let reasons: Vec<&str> = report.failed.iter().map(|failure| failure.reason.as_str()).collect();
    assert!(reasons[0].contains("bpm: 5") && reasons[0].contains("energy: 85"), "{reasons:?}");
    assert!(reasons[1].contains("no JSON") && !reasons[1].contains("line 1"), "{reasons:?}");
    assert!(reasons[3].contains("70000 bytes"), "{reasons:?}");
    assert!(reasons[5].contains("title"), "{reasons:?}");
    assert_eq!(catalog.titled("A").1.extra["label"], "rock", "kept, and no text of the track");
}

#[tokio::test]
async fn a_file_of_empty_lines_holds_nothing() {
    let catalog = Arc::new(MemoryCatalog::default());
    for text in ["\n", "\r\n\n  \n", ""] {
        assert_eq!(import_text(&catalog, text).await.unwrap(), ImportReport::default(), "{text:?}");
    }
}

#[tokio::test]
async fn importing_twice_changes_nothing() {
    let catalog = Arc::new(MemoryCatalog::default());
    let mut text = String::new();
    for n in 1..=1_234 {
        text += &format!("{{\"track_id\": {n}, \"title\": \"Song {n}\", \"bpm\": 120.25, \"tags\": [\"a\"]}}\n");
    }
    let first = import_text(&catalog, &text).await.unwrap();
    assert_eq!((first.lines, first.created), (1_234, 1_234));
    let touched = catalog.touched();
    let second = import_text(&catalog, &text).await.unwrap();
    assert_eq!(second, ImportReport { lines: 1_234, unchanged: 1_234, ..ImportReport::default() });
    assert_eq!(catalog.touched(), touched);
}

#[tokio::test]
async fn csv_dialects_come_to_the_same() {
    let mut seen = Vec::new();
    for text in [
        "Title,Track Artist,Genres,Tempo,Year\nSong,Ann,rock;pop,120,1999\nOther,,,,\n",
        "title;artist;genre_tags;bpm;year\r\nSong;Ann;\"rock;pop\";120;1999-05-01\r\nOther;;;;\r\n",
        "\u{feff}title\tartist\tgenres\tbpm\tyear\nSong\tAnn\trock, pop\t120.0\t1999\nOther\t\t\t\t",
    ] {
        let catalog = Arc::new(MemoryCatalog::default());
        let report = import_text(&catalog, text).await.unwrap();
        assert_eq!((report.created, report.failed_total), (2, 0), "{report:?}");
        seen.push(catalog.all());
    }
    assert_eq!(seen[0], seen[1]);
    assert_eq!(seen[1], seen[2]);
    assert_eq!(seen[0][0].1.genre_tags, ["rock", "pop"]);
}

#[tokio::test]
async fn csv_cells_that_are_empty_leave_the_field() {
    let catalog = Arc::new(MemoryCatalog::default());
    import_text(&catalog, "id,title,artist\n1,Song,Ann\n").await.unwrap();
    let report = import_text(&catalog, "id,title,artist,bpm\n1,,,99\n2,\"a\nb\",,1\n3,\"C\",,\n").await.unwrap();
    assert_eq!((report.updated, report.created), (1, 1));
    assert_eq!(report.failed[0].line, 3);
    let (_, track) = catalog.titled("Song");
    assert_eq!((track.artist.as_deref(), track.features.bpm), (Some("Ann"), Some(99.0)));
}

#[tokio::test]
async fn the_wrong_kind_of_file_is_explained() {
    let catalog = Arc::new(MemoryCatalog::default());
    assert!(matches!(import_text(&catalog, " \n [{\"title\":\"A\"}]").await, Err(ImportError::Array)));
    assert!(matches!(import_text(&catalog, "Song,Ann\n").await, Err(ImportError::Header(_))));
    assert_eq!(import_text(&catalog, "").await.unwrap(), ImportReport::default());
    assert_eq!(Format::from_path(Path::new("/a/b.JSONL")), Some(Format::Jsonl));
    assert_eq!(Format::from_path(Path::new("b.tsv")), Some(Format::Csv));
    assert_eq!(Format::from_path(Path::new("b")), None);
}

#[tokio::test]
async fn a_stop_ends_the_import() {
    let catalog = Arc::new(MemoryCatalog::default());
    let stop = StopFlag::default();
    stop.stop();
    let text = "{\"title\":\"A\"}\n".repeat(5_000);
    let options = ImportOptions { stop, ..ImportOptions::default() };
    let report = import(io::Cursor::new(text), None, catalog, options, |_| {}).await.unwrap();
    assert!(report.stopped && report.lines < 1_000, "{report:?}");
}

#[tokio::test]
async fn a_reader_that_fails_is_an_error() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _buffer: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("the drive is gone"))
        }
    }
    let catalog = Arc::new(MemoryCatalog::default());
    let reader = BufReader::new(io::Cursor::new("{\"title\":\"A\"}\n").chain(Broken));
    let error = import(reader, None, catalog, ImportOptions::default(), |_| {}).await.unwrap_err();
    assert!(error.to_string().contains("the drive is gone"));
}
