//! Libraries that are damaged in every way that is looked for.

use soniquebay_domain::{Change, TrackId, VectorWrite};
use soniquebay_store::check::{Fault, Fix, check};

use crate::{Fixture, on_each_store, space, titled, vector};

on_each_store!(
    a_sound_library_has_no_faults,
    what_follows_from_tracks_is_made_anew,
    vectors_that_are_none_are_made_anew,
    what_indexes_follow_is_mended,
    room_is_given_back,
);

/// Twelve tracks with names, genres and vectors.
async fn library(fixture: &Fixture) -> Vec<TrackId> {
    let mut ids = Vec::new();
    for number in 0..12 {
        let mut write = titled(&format!("Jóga {number}"));
        write.patch.artist = Change::Set("Björk".into());
        write.patch.genre = Change::Set("Electronic".into());
        write.patch.tags = Change::Set(vec!["Live".into()]);
        let soniquebay_domain::Applied::Done { id, .. } = fixture.write(write).await else { panic!("written") };
        ids.push(id);
        let write = VectorWrite::new(id, space(), vector([1.0, number as f32, 0.5, 0.0]), None);
        fixture.store.put(vec![write]).await.unwrap();
    }
    ids
}

async fn faults(fixture: &Fixture, repair: bool) -> Vec<Fault> {
    check(&*fixture.store, repair, &|_| ()).await.unwrap()
}

fn names(faults: &[Fault]) -> Vec<&str> {
    faults.iter().map(|fault| fault.name).collect()
}

/// What `statement` does is found by these names, put right, and not found again.
async fn is_mended(fixture: &Fixture, statement: &str, expected: &[&str]) {
    fixture.sql(statement);
    let found = faults(fixture, false).await;
    assert_eq!(names(&found), expected, "{statement}: {found:?}");
    assert!(found.iter().all(Fault::is_open), "{found:?}");
    let mended = faults(fixture, true).await;
    let mended: Vec<&Fault> = mended.iter().filter(|fault| fault.name != "missing_jobs").collect();
    assert!(mended.iter().all(|fault| fault.fix == Fix::Done) && mended.len() == expected.len(), "{mended:?}");
    assert_eq!(faults(fixture, false).await, [], "{statement}");
}

async fn a_sound_library_has_no_faults(fixture: Fixture) {
    assert_eq!(faults(&fixture, false).await, [], "an empty one");
    library(&fixture).await;
    assert_eq!(faults(&fixture, false).await, []);
    assert_eq!(faults(&fixture, true).await, []);
    fixture.sql("DELETE FROM jobs");
    fixture.create("new").await;
    assert_eq!(faults(&fixture, false).await, [], "a track that waits");
    fixture.sql("DELETE FROM jobs");
    let found = faults(&fixture, false).await;
    assert!(names(&found) == ["missing_jobs"] && !found[0].is_open(), "the reconciler finds it: {found:?}");
    assert_eq!(faults(&fixture, true).await[0].fix, Fix::Done);
    assert_eq!(fixture.store.reconcile().await.unwrap(), 0);
}

async fn what_follows_from_tracks_is_made_anew(fixture: Fixture) {
    library(&fixture).await;
    let other = "(SELECT content_hash FROM tracks WHERE id = 2)";
    is_mended(&fixture, &format!("UPDATE tracks SET content_hash = {other} WHERE id = 5"), &["track_hashes"]).await;
    is_mended(&fixture, "UPDATE tracks SET name_folded = 'other' WHERE id IN (1, 7)", &["track_names"]).await;
    is_mended(&fixture, "UPDATE tracks SET artist_folded = 'other' WHERE id = 3", &["track_names"]).await;
    // A field that was changed past us is what the track is now: its hashes follow, and its vector is made anew.
    let found = {
        fixture.sql("UPDATE tracks SET genre = 'Folk' WHERE id = 4");
        faults(&fixture, true).await
    };
    assert!(found.iter().any(|fault| fault.name == "track_hashes"), "{found:?}");
    assert_eq!(faults(&fixture, false).await, []);
}

async fn vectors_that_are_none_are_made_anew(fixture: Fixture) {
    library(&fixture).await;
    fixture.sql("DELETE FROM jobs");
    let (short, zero) = match fixture.below.starts_with("postgres:") {
        true => ("'[1, 2, 3]'", "'[0, 0, 0, 0]'"),
        false => ("x'0000803F0000803F0000803F'", "zeroblob(16)"),
    };
    // The sqlite-vec table takes no vector of another length: whoever writes one has taken its triggers away.
    if !fixture.below.starts_with("postgres:") {
        fixture.sql("DROP TRIGGER track_vectors_virtual_updated");
    }
    fixture.sql(&format!("UPDATE track_vectors SET vector = {short} WHERE track_id = 3"));
    fixture.sql(&format!("UPDATE track_vectors SET vector = {zero} WHERE track_id IN (1, 8, 12)"));
    let found = faults(&fixture, false).await;
    let broken = found.iter().find(|fault| fault.name == "broken_vectors").expect("they are found");
    assert!(broken.what.starts_with("4 vectors") && broken.what.contains("1, 3, 8, 12"), "{broken:?}");
    faults(&fixture, true).await;
    assert_eq!(faults(&fixture, false).await, []);
    let waiting = fixture.store.job_counts().await.unwrap().available;
    assert_eq!(waiting, 4, "each has a job");
}

async fn what_indexes_follow_is_mended(fixture: Fixture) {
    library(&fixture).await;
    is_mended(&fixture, "DELETE FROM vector_changes WHERE track_id IN (2, 3)", &["change_log"]).await;
    let other = "(SELECT content_hash FROM tracks WHERE id = 2)";
    is_mended(
        &fixture,
        &format!("UPDATE track_vectors SET metadata_hash = {other} WHERE track_id = 5"),
        &["filter_data"],
    )
    .await;
}

async fn room_is_given_back(fixture: Fixture) {
    let ids = library(&fixture).await;
    fixture.store.remove(ids[2..].to_vec(), None).await.unwrap();
    fixture.store.vacuum(&|_| ()).await.unwrap();
    assert!(fixture.store.size().await.unwrap() > 0);
    assert_eq!(faults(&fixture, false).await, []);
    let near = fixture.store.stored_index();
    let found = near.search(&space(), &vector([1.0, 1.0, 0.5, 0.0]), 5, &soniquebay_domain::Filter::default()).await;
    assert_eq!(found.unwrap().iter().map(|hit| hit.track_id).collect::<Vec<_>>(), [ids[1], ids[0]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_file_keeps_beside_its_rows_is_made_anew() {
    let fixture = Fixture::sqlite().await;
    library(&fixture).await;
    is_mended(&fixture, "DROP TRIGGER track_vectors_virtual_inserted", &["vec0"]).await;
    is_mended(&fixture, "DELETE FROM track_words WHERE rowid = 4", &["full_text"]).await;
    is_mended(&fixture, "DELETE FROM track_trigrams WHERE rowid = 4", &["full_text"]).await;
    is_mended(&fixture, "INSERT INTO track_words (rowid, name) VALUES (99, 'nobody')", &["full_text"]).await;
    is_mended(
        &fixture,
        "PRAGMA foreign_keys = off;
         INSERT INTO jobs (kind, track_id, space, priority, state, run_at, created_at)
             SELECT 'embed_track', 999, name, 3, 'available', 0, 0 FROM spaces",
        &["strays"],
    )
    .await;
    assert!(!fixture.store.find_text("joga 4".into(), 5).await.unwrap().is_empty());
    // A row of sqlite-vec that is nobody's, and one that is another's: past the store, so with the module of its own.
    fixture.sql("DROP TRIGGER track_vectors_virtual_deleted; DELETE FROM track_vectors WHERE track_id = 9");
    let found = faults(&fixture, true).await;
    assert!(names(&found).contains(&"vec0"), "{found:?}");
    assert_eq!(faults(&fixture, false).await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_file_is_said_to_be_that() {
    let fixture = Fixture::sqlite().await;
    library(&fixture).await;
    let path = fixture.below.clone();
    // All of it into the file, then over a page in the middle.
    fixture.sql("PRAGMA wal_checkpoint(TRUNCATE)");
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = 4096 * 3;
    bytes[middle..middle + 4096 * 4].fill(0xA5);
    let copy = format!("{path}.damaged");
    std::fs::write(&copy, bytes).unwrap();
    let clock = std::sync::Arc::new(crate::StandingClock::default());
    match soniquebay_store::sqlite::SqliteStore::open(copy.as_ref(), clock).await {
        Err(error) => assert!(error.to_string().contains("damaged"), "{error}"),
        Ok(store) => {
            let found = check(&store, true, &|_| ()).await.unwrap();
            assert!(names(&found) == ["damaged"] && found[0].what.contains("damaged"), "{found:?}");
            assert!(matches!(found[0].fix, Fix::ByHand(how) if how.contains("restore a backup")));
        }
    }
}
