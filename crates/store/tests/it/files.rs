//! Files that are not as they should be.

use std::sync::Arc;

use soniquebay_domain::{Catalog, ContentHash, StoreError, SystemClock, Tracks};
use soniquebay_store::sqlite::SqliteStore;

async fn open(path: &std::path::Path) -> Result<SqliteStore, StoreError> {
    SqliteStore::open(path, Arc::new(SystemClock)).await
}

#[tokio::test]
async fn a_file_of_an_older_version_is_opened_with_all_that_is_in_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("old.db");
    let old = rusqlite::Connection::open(&path).unwrap();
    for step in ["0001_library", "0002_embedding_cache", "0003_lost_claims"] {
        let file = format!("{}/migrations/sqlite/{step}.sql", env!("CARGO_MANIFEST_DIR"));
        old.execute_batch(&std::fs::read_to_string(file).unwrap()).unwrap();
    }
    old.execute_batch(
        "INSERT INTO tracks (version, title, bpm, path, file_size, file_mtime, artist_folded, name_folded, content_hash, \
             metadata_hash, created_at, updated_at) \
         VALUES (1, 'Old', 97.5, '/m/old.flac', 10, 20, '', 'old', '00000000000000000000000000000001', \
             '00000000000000000000000000000002', 1, 1); \
         PRAGMA application_id = 1398956409; PRAGMA user_version = 3;",
    )
    .unwrap();
    drop(old);
    let store = open(&path).await.unwrap();
    let track = store.page(0, 0, 10).await.unwrap().remove(0);
    assert_eq!((track.fields.features.bpm, &track.analysis), (Some(97.5), &None));
    let print = store.fingerprints(0, 10).await.unwrap().remove(0);
    assert_eq!(print.file_hash, ContentHash::of_file(&track.fields.identity), "what it was is known of its file too");
}

#[tokio::test]
async fn foreign_newer_and_broken_files_are_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let text = folder.path().join("text.db");
    std::fs::write(&text, "This is a letter, not a database. ".repeat(100)).unwrap();
    assert!(matches!(open(&text).await, Err(StoreError::Unavailable(reason)) if reason.contains("text.db")));
    assert!(std::fs::read_to_string(&text).unwrap().starts_with("This is a letter"));
    let missing = folder.path().join("no/such/folder/library.db");
    assert!(matches!(open(&missing).await, Err(StoreError::Unavailable(_))));

    let foreign = folder.path().join("foreign.db");
    let connection = rusqlite::Connection::open(&foreign).unwrap();
    connection.execute_batch("CREATE TABLE letters (text)").unwrap();
    assert!(matches!(open(&foreign).await, Err(StoreError::Unavailable(reason)) if reason.contains("another program")));

    let newer = folder.path().join("newer.db");
    open(&newer).await.unwrap();
    rusqlite::Connection::open(&newer).unwrap().pragma_update(None, "user_version", 99).unwrap();
    assert!(matches!(open(&newer).await, Err(StoreError::Newer { found: 99, .. })));
}
