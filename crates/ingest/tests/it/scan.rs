use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::json;
use soniquebay_domain::{Catalog, Change, Priority, Target, TrackPatch, TrackWrite, WriteMode};
use soniquebay_ingest::{ScanError, ScanOptions, ScanReport, StopFlag, scan};
use soniquebay_testkit::audio::{AudioFormat, TrackTags, write_track};
use tempfile::TempDir;

use crate::catalog::MemoryCatalog;

/// A folder of music and the catalogue that follows it.
struct Library {
    folder: TempDir,
    catalog: Arc<MemoryCatalog>,
}

impl Library {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), catalog: Arc::default() }
    }

    fn path(&self, name: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        path
    }

    fn write(&self, name: &str, title: &str) {
        self.write_seconds(name, title, 2.0);
    }

    fn write_seconds(&self, name: &str, title: &str, seconds: f64) {
        let tags = TrackTags { title: title.into(), artist: "Ann".into(), seconds, ..TrackTags::default() };
        write_track(&self.path(name), AudioFormat::Flac, &tags).unwrap();
    }

    async fn scan(&self) -> ScanReport {
        self.scan_with(ScanOptions::default()).await.unwrap()
    }

    async fn scan_with(&self, options: ScanOptions) -> Result<ScanReport, ScanError> {
        scan(self.catalog.clone(), &[self.folder.path().to_owned()], options, |_| {}).await
    }

    fn id(&self, title: &str) -> i64 {
        self.catalog.titled(title).0.get()
    }

    /// What the catalogue holds of a track that came without a file.
    async fn import(&self, patch: TrackPatch) {
        let target = Target::Recognised { id: None };
        let write = TrackWrite { target, mode: WriteMode::Merge, patch, priority: Priority::Bulk };
        self.catalog.apply(vec![write]).await.unwrap();
    }
}

#[tokio::test]
async fn an_unchanged_folder_costs_nothing() {
    let library = Library::new();
    for n in 0..450 {
        library.write(&format!("{}/{n}.flac", n % 7), &format!("Song {n}"));
    }
    let first = library.scan().await;
    assert_eq!((first.files, first.tags_read, first.created), (450, 450, 450));
    let touched = library.catalog.touched();
    let second = library.scan().await;
    assert_eq!(second, ScanReport { files: 450, unchanged: 450, ..ScanReport::default() });
    assert_eq!(library.catalog.touched(), touched, "no row was touched");
}

#[tokio::test]
async fn new_tags_change_the_track() {
    let library = Library::new();
    library.write("a.flac", "Before");
    library.write("b.flac", "Other");
    library.scan().await;
    let id = library.id("Before");
    library.write_seconds("a.flac", "After", 4.0);
    let report = library.scan().await;
    assert_eq!((report.tags_read, report.updated, report.unchanged), (1, 1, 1));
    assert_eq!(library.id("After"), id);
}

#[tokio::test]
async fn features_from_elsewhere_survive_new_tags() {
    let library = Library::new();
    library.write("a.flac", "Before");
    library.scan().await;
    let (id, _) = library.catalog.titled("Before");
    let patch = TrackPatch { energy: Change::Set(0.7), bpm: Change::Set(90.0), ..TrackPatch::default() };
    let target = Target::Existing { id, version: None };
    let write = TrackWrite { target, mode: WriteMode::Merge, patch, priority: Priority::Bulk };
    library.catalog.apply(vec![write]).await.unwrap();
    library.write_seconds("a.flac", "After", 4.0);
    library.scan().await;
    let features = library.catalog.titled("After").1.features;
    assert_eq!((features.energy, features.bpm), (Some(0.7), Some(90.0)));
}

#[tokio::test]
async fn a_moved_file_keeps_its_track() {
    let library = Library::new();
    library.write("old/a.flac", "Moved");
    // Copies of one song: only their file names tell them apart.
    library.write_seconds("old/b.flac", "Same name", 3.0);
    library.write_seconds("old/c.flac", "Same name", 3.0);
    library.scan().await;
    let paths = || library.catalog.all().into_iter().map(|(id, fields)| (id, fields.identity.path.unwrap()));
    let expected: Vec<_> = paths().map(|(id, path)| (id, path.replace("/old/", "/new/"))).collect();
    fs::rename(library.path("old"), library.folder.path().join("new")).unwrap();
    let report = library.scan().await;
    assert_eq!((report.moved, report.created, report.removed), (3, 0, 0), "{report:?}");
    assert_eq!(paths().collect::<Vec<_>>(), expected);
}

#[tokio::test]
async fn an_untagged_file_is_known_after_a_rename() {
    let library = Library::new();
    write_track(&library.path("first.mp3"), AudioFormat::Mp3, &TrackTags::default()).unwrap();
    library.scan().await;
    fs::rename(library.path("first.mp3"), library.path("second.mp3")).unwrap();
    let report = library.scan().await;
    assert_eq!((report.moved, report.created, report.removed), (1, 0, 0), "{report:?}");
    assert_eq!(library.id("second"), 1);
}

#[tokio::test]
async fn a_retagged_move_is_known_by_its_recording() {
    let library = Library::new();
    let mut tags = TrackTags {
        title: "Old name".into(),
        musicbrainz_id: "b5a4a2c5-7d9a-4b0c-9b0a-3f1e1c0d2e4f".into(),
        ..TrackTags::default()
    };
    write_track(&library.path("a.mp3"), AudioFormat::Mp3, &tags).unwrap();
    library.scan().await;
    fs::remove_file(library.path("a.mp3")).unwrap();
    tags.title = "A much longer new name, so that the size differs".repeat(40);
    write_track(&library.path("b/c.mp3"), AudioFormat::Mp3, &tags).unwrap();
    let report = library.scan().await;
    assert_eq!((report.moved, report.created, report.removed), (1, 0, 0), "{report:?}");
}

#[tokio::test]
async fn a_copy_is_a_track_of_its_own() {
    let library = Library::new();
    library.write("a.flac", "Song");
    library.scan().await;
    fs::copy(library.path("a.flac"), library.path("b.flac")).unwrap();
    let report = library.scan().await;
    assert_eq!((report.created, report.moved, report.removed), (1, 0, 0));
}

#[tokio::test]
async fn a_deleted_file_takes_its_track() {
    let library = Library::new();
    library.write("a.flac", "Stays");
    library.write("b.flac", "Goes");
    library.scan().await;
    fs::remove_file(library.path("b.flac")).unwrap();
    let report = library.scan().await;
    assert_eq!((report.removed, report.unchanged), (1, 1));
    assert_eq!(library.catalog.all().len(), 1);
}

#[tokio::test]
async fn an_empty_folder_looks_unmounted() {
    let library = Library::new();
    library.write("a/a.flac", "Song");
    library.scan().await;
    fs::remove_dir_all(library.folder.path().join("a")).unwrap();
    let report = library.scan().await;
    assert_eq!((report.removed, library.catalog.all().len()), (0, 1));
    assert!(report.warnings[0].contains("--allow-empty"), "{:?}", report.warnings);
    let report = library.scan_with(ScanOptions { allow_empty: true, ..ScanOptions::default() }).await.unwrap();
    assert_eq!((report.removed, report.warnings.len()), (1, 0));
}

#[cfg(unix)]
#[tokio::test]
async fn what_cannot_be_read_is_reported_and_nothing_below_is_removed() {
    let library = Library::new();
    library.write("good.flac", "Good");
    library.write("usb/known.flac", "Known");
    library.scan().await;
    // The folder becomes a link that leads nowhere, as where a drive was.
    fs::remove_dir_all(library.folder.path().join("usb")).unwrap();
    let link = |target: &str, name: &str| std::os::unix::fs::symlink(target, library.path(name)).unwrap();
    link("/nowhere/at/all", "usb");
    link("/nowhere.mp3", "dangling.mp3");
    link(".", "loop");
    fs::create_dir(library.path("folder.mp3")).unwrap();
    fs::write(library.path("text.mp3"), "no music, but words. ".repeat(200)).unwrap();
    fs::write(library.path("empty.ogg"), "").unwrap();
    fs::write(library.path("noise.m4a"), [7; 5_000]).unwrap();
    fs::write(library.path(".hidden.mp3"), "x").unwrap();
    fs::write(library.path("@eaDir/a.mp3"), "x").unwrap();
    let report = library.scan().await;
    let failed: Vec<&str> = report.failed.iter().map(|f| f.path.rsplit('/').next().unwrap()).collect();
    let mut sorted = failed.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, ["dangling.mp3", "empty.ogg", "folder.mp3", "noise.m4a", "text.mp3", "usb"], "{report:#?}");
    assert!(report.failed.iter().all(|failure| !failure.reason.is_empty()));
    assert_eq!((report.removed, report.unchanged), (0, 1));
    assert_eq!(report.warnings.len(), 1, "the loop: {:?}", report.warnings);
    assert_eq!(library.catalog.all().len(), 2);
}

#[tokio::test]
async fn a_file_that_broke_keeps_its_track() {
    let library = Library::new();
    library.write("a.flac", "Song");
    library.scan().await;
    fs::write(library.path("a.flac"), "").unwrap();
    let report = library.scan().await;
    assert_eq!((report.failed.len(), report.removed, library.catalog.all().len()), (1, 0, 1));
}

#[tokio::test]
async fn a_file_cut_short_still_has_its_tags() {
    let library = Library::new();
    for format in [AudioFormat::Flac, AudioFormat::Mp3, AudioFormat::Ogg, AudioFormat::Opus] {
        let path = library.path(&format!("a.{}", format.extension()));
        let title = format!("Cut {}", format.extension());
        write_track(&path, format, &TrackTags { title, ..TrackTags::default() }).unwrap();
        let bytes = fs::read(&path).unwrap();
        fs::write(&path, &bytes[..bytes.len() - 20]).unwrap();
    }
    let report = library.scan().await;
    assert_eq!((report.created, report.failed_total), (4, 0), "{report:?}");
    library.id("Cut flac");
}

#[tokio::test]
async fn broken_files_end_no_scan() {
    let library = Library::new();
    for format in AudioFormat::ALL {
        let path = library.path(&format!("whole.{}", format.extension()));
        let tags = TrackTags { title: "Song".into(), artist: "Ann".into(), ..TrackTags::default() };
        write_track(&path, format, &tags).unwrap();
        let bytes = fs::read(&path).unwrap();
        for cut in (1..bytes.len().min(600)).step_by(23) {
            fs::write(library.path(&format!("cut{cut}.{}", format.extension())), &bytes[..cut]).unwrap();
            let mut flipped = bytes.clone();
            flipped[cut] ^= 0xff;
            fs::write(library.path(&format!("flipped{cut}.{}", format.extension())), flipped).unwrap();
        }
    }
    let report = library.scan().await;
    assert_eq!(report.created + report.failed_total, report.files, "every file is accounted for");
    assert!(report.created >= 7);
}

#[tokio::test]
async fn an_imported_track_finds_its_file() {
    let library = Library::new();
    let imported = TrackPatch {
        title: Change::Set("Song".into()),
        artist: Change::Set("ANN".into()),
        mood_tags: Change::Set(vec!["calm".into()]),
        energy: Change::Set(0.5),
        ..TrackPatch::default()
    };
    library.import(imported).await;
    library.write("a.flac", "Song");
    library.write("b.flac", "Song");
    let report = library.scan().await;
    assert_eq!((report.created, report.updated), (1, 1), "the second copy is a track of its own");
    let (_, track) = library.catalog.all().remove(0);
    assert_eq!((track.mood_tags, track.features.energy), (vec!["calm".to_owned()], Some(0.5)));
    assert!(track.identity.path.is_some());
    assert_eq!(library.scan().await.unchanged, 2);
}

#[tokio::test]
async fn a_stopped_scan_removes_nothing() {
    let library = Library::new();
    library.write("a.flac", "Song");
    library.write("b.flac", "Other");
    library.scan().await;
    fs::remove_file(library.path("a.flac")).unwrap();
    let stop = StopFlag::default();
    stop.stop();
    let report = library.scan_with(ScanOptions { stop, ..ScanOptions::default() }).await.unwrap();
    assert!(report.stopped);
    assert_eq!((report.removed, library.catalog.all().len()), (0, 2));
}

#[tokio::test]
async fn roots_are_checked_and_merged() {
    let library = Library::new();
    library.write("a/b/c.flac", "Song");
    let roots: Vec<PathBuf> = vec![library.path("a/b"), library.folder.path().to_owned(), library.path("a")];
    let report = scan(library.catalog.clone(), &roots, ScanOptions::default(), |_| {}).await.unwrap();
    assert_eq!((report.files, report.created), (1, 1));
    for (root, named) in [(library.path("a/b/c.flac"), "c.flac"), (Path::new("/nowhere").into(), "/nowhere")] {
        let error = scan(library.catalog.clone(), &[root], ScanOptions::default(), |_| {}).await.unwrap_err();
        assert!(error.to_string().contains(named), "{error}");
    }
    let none = scan(library.catalog.clone(), &[], ScanOptions::default(), |_| {}).await;
    assert!(matches!(none, Err(ScanError::NoRoot)));
}

#[tokio::test]
async fn a_file_may_move_between_roots() {
    let library = Library::new();
    library.write("one/a.flac", "Song");
    library.write("one/b.flac", "Stays");
    library.write("two/c.flac", "There");
    let roots = [library.path("one"), library.path("two")];
    scan(library.catalog.clone(), &roots, ScanOptions::default(), |_| {}).await.unwrap();
    fs::rename(library.path("one/a.flac"), library.path("two/a.flac")).unwrap();
    let report = scan(library.catalog.clone(), &roots, ScanOptions::default(), |_| {}).await.unwrap();
    assert_eq!((report.moved, report.created, report.removed), (1, 0, 0));
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_name_that_is_no_text_is_reported() {
    use std::os::unix::ffi::OsStrExt;
    let library = Library::new();
    library.write("a.flac", "Song");
    fs::copy(library.path("a.flac"), library.folder.path().join(std::ffi::OsStr::from_bytes(b"b\xff.flac"))).unwrap();
    let report = library.scan().await;
    assert_eq!((report.created, report.failed.len()), (1, 1));
    assert!(report.failed[0].reason.contains("UTF-8"));
}

#[tokio::test]
async fn the_report_is_json() {
    let library = Library::new();
    library.write("a.flac", "Song");
    let report = serde_json::to_value(library.scan().await).unwrap();
    assert_eq!((&report["created"], &report["failed"]), (&json!(1), &json!([])));
}
