//! Files that are not as they should be.

use std::sync::Arc;

use soniquebay_domain::{StoreError, SystemClock};
use soniquebay_store::sqlite::SqliteStore;

async fn open(path: &std::path::Path) -> Result<SqliteStore, StoreError> {
    SqliteStore::open(path, Arc::new(SystemClock)).await
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
