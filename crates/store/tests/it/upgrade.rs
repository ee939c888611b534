//! Files of every format that was ever released, as the program of its day wrote them, opened by this one.
//!
//! Each holds four tracks (one more was removed), a vector of track 1, one of a client's of track 2, and jobs: that of track 2
//! given up, that of track 4 claimed by a process that is gone, that of track 5 waiting. A new format adds a line and a file,
//! which the program before it wrote.

use std::sync::Arc;

use soniquebay_domain::{Applied, Filter, JobState, Space, StoreError, TrackId};
use soniquebay_store::check::check;
use soniquebay_store::sqlite::{SqliteStore, copy};

use crate::{StandingClock, titled};

/// Zlib, as the files are mostly empty pages.
const FILES: [(i64, &str, &[u8]); 6] = [
    (1, "all-MiniLM-L6-v2/8/phrase-1", include_bytes!("../fixtures/format-1.db.zlib")),
    (2, "all-MiniLM-L6-v2/8/parts-1", include_bytes!("../fixtures/format-2.db.zlib")),
    (3, "all-MiniLM-L6-v2/8/parts-1", include_bytes!("../fixtures/format-3.db.zlib")),
    (4, "all-MiniLM-L6-v2/8/parts-1", include_bytes!("../fixtures/format-4.db.zlib")),
    // That of format 4, as the program of format 5 brought it there.
    (5, "all-MiniLM-L6-v2/8/parts-1", include_bytes!("../fixtures/format-5.db.zlib")),
    // The same again, by the program of format 6.
    (6, "all-MiniLM-L6-v2/8/parts-1", include_bytes!("../fixtures/format-6.db.zlib")),
];

fn unpacked(folder: &tempfile::TempDir, format: i64, bytes: &[u8]) -> std::path::PathBuf {
    let path = folder.path().join(format!("format-{format}.db"));
    std::fs::write(&path, miniz_oxide::inflate::decompress_to_vec_zlib(bytes).unwrap()).unwrap();
    let found: i64 =
        rusqlite::Connection::open(&path).unwrap().pragma_query_value(None, "user_version", |row| row.get(0)).unwrap();
    assert_eq!(found, format);
    path
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_every_format_are_opened_and_go_on() {
    let folder = tempfile::tempdir().unwrap();
    for (format, space, bytes) in FILES {
        let path = unpacked(&folder, format, bytes);
        // A backup is of the format that it was taken in, and is restored all the same.
        let backup = path.with_extension("backup");
        assert_eq!(copy(&path, &backup, |_| true).await.unwrap().format, format);
        goes_on(&path, Space::parse(space).unwrap()).await;
        goes_on(&backup, Space::parse(space).unwrap()).await;
        let (from, to) = SqliteStore::migrate(&path).await.unwrap();
        assert_eq!(from, Some(to), "it has the newest format now");
    }
    let newest = FILES.map(|(format, ..)| format).into_iter().max().unwrap();
    let (_, to) = SqliteStore::migrate(&folder.path().join("new.db")).await.unwrap();
    assert!(
        to - newest <= 1,
        "format {newest} is the newest file kept, and {to} the newest format: keep a file of each"
    );
}

async fn goes_on(path: &std::path::Path, space: Space) {
    let store = SqliteStore::open(path, Arc::new(StandingClock::default())).await.unwrap();
    let store: &dyn soniquebay_store::check::Maintained = &store;
    let track = |id| async move { store.tracks(vec![TrackId::new(id).unwrap()]).await.unwrap().pop() };
    let joga = track(1).await.unwrap();
    assert_eq!((joga.name().as_str(), joga.version), ("Björk – Jóga", 1));
    assert_eq!((joga.fields.features.bpm, joga.fields.features.loudness), (Some(88.5), Some(-9.25)));
    assert_eq!(joga.fields.extra["rating"], serde_json::json!({"of": 5, "by": "me"}));
    assert_eq!(joga.fields.tags, ["live", "strings"]);
    assert_eq!((store.counts().await.unwrap().tracks, track(3).await), (4, None));

    let stored = store.vectors(&space, vec![joga.id]).await.unwrap().remove(0);
    let numbers: Vec<f32> = (0..8).map(|n| n as f32 / 8.0 + 1.0).collect();
    assert_eq!((stored.vector.as_slice(), &stored.content_hash), (&numbers[..], &joga.content_hash));
    let clients = Space::parse("external/3").unwrap();
    let near = store.stored_index().search(&clients, &vector3([1.0, 0.5, 0.25]), 5, &Filter::default()).await.unwrap();
    assert!(near.len() == 1 && near[0].track_id.get() == 2 && near[0].score > 0.999, "{near:?}");
    assert_eq!(store.find_text("joga".into(), 5).await.unwrap()[0].id, joga.id);
    assert!(!store.changes(&space, 0, 10).await.unwrap().is_empty(), "an index loads");

    assert_eq!(store.release_orphans().await.unwrap(), 1, "what nobody runs any more is done again");
    let jobs = store.jobs(None, None, 10).await.unwrap();
    let jobs: Vec<(i64, JobState, Option<&str>)> =
        jobs.iter().map(|job| (job.job.track_id.get(), job.state, job.reason.as_deref())).collect();
    let waits = JobState::Available;
    assert_eq!(jobs, [(2, JobState::Discarded, Some("no words")), (4, waits, None), (5, waits, None)]);
    assert_eq!(store.reconcile().await.unwrap(), 0);
    assert_eq!(check(store, false, &|_| ()).await.unwrap(), []);
    let done = store.apply(vec![titled("One more")]).await.unwrap();
    assert!(matches!(done[0], Applied::Done { id, .. } if id.get() == 6), "ids are not given again: {done:?}");
}

fn vector3(numbers: [f32; 3]) -> soniquebay_domain::Vector {
    soniquebay_domain::Vector::new(numbers.to_vec()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_file_is_refused_by_every_way_in() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("newer.db");
    SqliteStore::open(&path, Arc::new(StandingClock::default())).await.unwrap();
    rusqlite::Connection::open(&path).unwrap().pragma_update(None, "user_version", 99).unwrap();
    let opened = SqliteStore::open(&path, Arc::new(StandingClock::default())).await.map(drop);
    for refused in [opened, SqliteStore::migrate(&path).await.map(drop)] {
        let error = refused.unwrap_err();
        assert!(matches!(error, StoreError::Newer { found: 99, .. }));
        assert!(error.to_string().contains("use the newer SoniqueBay"), "{error}");
    }
}
