//! A file copied while it is written.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use soniquebay_domain::{Catalog, Change, Priority, StoreError, TrackWrite, VectorWrite};
use soniquebay_store::sqlite::{NotACopy, SqliteStore, copy, inspect, is_in_use};

use crate::{Fixture, StandingClock, space, titled, vector};

fn named(number: usize) -> TrackWrite {
    let mut write = titled(&format!("Title {number}"));
    write.patch.artist = Change::Set("x".repeat(500));
    write.priority = Priority::Bulk;
    write
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_is_of_one_moment_however_much_is_written_meanwhile() {
    let library = Fixture::sqlite().await;
    for part in 0..10 {
        library.store.apply((part * 400..(part + 1) * 400).map(named).collect()).await.unwrap();
    }
    let id = library.create("with a vector").await;
    library.store.put(vec![VectorWrite::new(id, space(), vector([1.0, 0.0, 0.0, 0.0]), None)]).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("copy.db");
    let (done, written, steps) = (AtomicBool::new(false), AtomicU64::new(0), Arc::new(AtomicU64::new(0)));
    let copying = async {
        let steps = Arc::clone(&steps);
        let told = move |_| {
            // Slower than the writer: the copy would never end if each write began it anew.
            std::thread::sleep(std::time::Duration::from_millis(10));
            steps.fetch_add(1, Ordering::SeqCst) < 10_000
        };
        let contents = copy(library.below.as_ref(), &file, told).await;
        done.store(true, Ordering::SeqCst);
        contents
    };
    let writing = async {
        // Beside the store's own connections, as another process would.
        let beside = SqliteStore::open(library.below.as_ref(), Arc::new(StandingClock::default())).await.unwrap();
        while !done.load(Ordering::SeqCst) {
            let number = 10_000 + written.fetch_add(1, Ordering::SeqCst) as usize;
            beside.apply(vec![named(number)]).await.unwrap();
        }
    };
    let (contents, ()) = tokio::join!(copying, writing);
    let contents = contents.unwrap();
    assert!(written.load(Ordering::SeqCst) > 2, "nothing was written meanwhile");
    assert!(steps.load(Ordering::SeqCst) > 2, "it was copied at once");
    assert!(contents.tracks >= 4001 && contents.vectors.values().sum::<u64>() == 1, "{contents:?}");
    assert_eq!(inspect(&file).await.unwrap(), (contents.clone(), None));
    assert!(!folder.path().join("copy.db-wal").exists(), "the copy is one file");
    let copied = SqliteStore::open(&file, Arc::new(StandingClock::default())).await.unwrap();
    assert_eq!(copied.counts().await.unwrap().tracks, contents.tracks);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_library_is_not_copied() {
    let folder = tempfile::tempdir().unwrap();
    let (letter, foreign) = (folder.path().join("letter.db"), folder.path().join("foreign.db"));
    std::fs::write(&letter, "This is a letter, not a database. ".repeat(100)).unwrap();
    rusqlite::Connection::open(&foreign).unwrap().execute_batch("CREATE TABLE letters (text)").unwrap();
    let newer = Fixture::sqlite().await;
    newer.sql("PRAGMA user_version = 99");
    let to = folder.path().join("to.db");
    for (from, says) in [(&letter, "letter.db"), (&foreign, "another program"), (&folder.path().join("no.db"), "no.db")]
    {
        let refused = copy(from, &to, |_| true).await.unwrap_err().to_string();
        assert!(refused.contains(says), "{refused}");
        assert!(!to.exists());
    }
    let refused = copy(newer.below.as_ref(), &to, |_| true).await;
    assert!(matches!(refused, Err(NotACopy::Store(StoreError::Newer { found: 99, .. }))), "{refused:?}");
    let library = Fixture::sqlite().await;
    assert!(matches!(copy(library.below.as_ref(), &to, |_| false).await, Err(NotACopy::GivenUp)));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_a_file_open_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("library.db");
    let store = SqliteStore::open(&path, Arc::new(StandingClock::default())).await.unwrap();
    store.apply(vec![titled("A")]).await.unwrap();
    assert!(is_in_use(&path).await.unwrap());
    drop(store);
    assert!(!is_in_use(&path).await.unwrap());
    assert!(!folder.path().join("library.db-wal").exists(), "all of it is in the one file");
}
