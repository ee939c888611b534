//! Libraries that move from one database to another.

use std::sync::Mutex;
use std::time::Duration;

use soniquebay_domain::{
    Analyses, Analysis, Applied, Aspect, AudioHash, Catalog, Change, ContentHash, Database, Discarded, JobQueue,
    JobState, Measure, Measured, Reconcile, Setback, SettledJob, Space, TrackId, Tracks, VectorWrite,
};
use soniquebay_store::transfer::{Destination, TransferError, transfer};

use crate::{Fixture, change, space, titled, vector};

/// Tracks, vectors in two spaces, jobs that wait, run and were given up.
async fn library() -> Fixture {
    let fixture = Fixture::sqlite().await;
    let other = Space::parse("other/4/a-1").unwrap();
    for number in 0..1200 {
        let mut write = titled(&format!("Title {number}"));
        write.patch.artist = Change::Set("Sigur Rós".into());
        write.patch.path = Change::Set(format!("/music/{number}.flac"));
        write.patch.bpm = Change::Set(f64::from(number) / 7.0 + 1.0);
        write.priority = soniquebay_domain::Priority::Bulk;
        write.patch.extra.insert("rating".into(), serde_json::json!({ "of": number, "nul": "\0" }));
        fixture.write(write).await;
    }
    fixture.store.remove(vec![TrackId::new(3).unwrap()]).await.unwrap();
    let leases = fixture.store.claim(&space(), 700, Duration::from_secs(60)).await.unwrap();
    fixture.clock.advance(Duration::from_secs(5));
    for (number, lease) in leases.into_iter().enumerate() {
        let id = lease.job.track_id;
        let track = fixture.store.tracks(vec![id]).await.unwrap().remove(0);
        let values = [number as f32 + 0.1, -0.0, 1e-20, 1.0 / 3.0];
        let write = VectorWrite::new(id, space(), vector(values), Some(track.content_hash));
        let result = match number % 100 {
            0 => Err(Setback::Discard { reason: "no words".into() }),
            1 => Err(Setback::Retry { delay: Duration::from_secs(9), reason: "bad luck".into() }),
            2 => continue,
            _ => Ok(Some(write.clone())),
        };
        fixture.store.settle(vec![SettledJob { lease, result, analysis: None }]).await.unwrap();
        if number % 3 == 0 {
            fixture.store.put(vec![VectorWrite { space: other.clone(), ..write }]).await.unwrap();
        }
    }
    // Its first job is running: it has a second one.
    let touched = change(TrackId::new(104).unwrap(), titled("Changed meanwhile").patch);
    assert!(matches!(fixture.write(touched).await, Applied::Done { .. }));
    let heard = fixture.store.tracks(vec![TrackId::new(700).unwrap()]).await.unwrap().remove(0);
    let mut measured = Measured::default();
    measured.set(Aspect::Energy, Measure { value: 1.0 / 3.0, confidence: 0.7 });
    let analysis = Analysis {
        audio: AudioHash::parse(&"cd".repeat(16)).unwrap(),
        revision: "ears-1".into(),
        file: ContentHash::of_file(&heard.fields.identity).unwrap(),
        measured,
    };
    assert!(fixture.store.keep_analyses(vec![(heard.id, analysis)]).await.unwrap()[0].analysis.is_some());
    fixture.store.pause_analysis(true).await.unwrap();
    let touched = change(TrackId::new(900).unwrap(), titled("Another title").patch);
    assert!(matches!(fixture.write(touched).await, Applied::Done { .. }));
    fixture
}

async fn sqlite() -> (tempfile::TempDir, soniquebay_store::sqlite::SqliteStore) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("library.db");
    let clock = std::sync::Arc::new(crate::StandingClock::default());
    (folder, soniquebay_store::sqlite::SqliteStore::open(&path, clock).await.unwrap())
}

async fn postgres() -> soniquebay_store::postgres::PostgresStore {
    let url = soniquebay_testkit::postgres::PostgresServer::shared().new_database();
    let clock = std::sync::Arc::new(crate::StandingClock::default());
    soniquebay_store::postgres::PostgresStore::connect(&url, clock).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_library_goes_to_postgres_and_comes_back_the_same() {
    let source = library().await;
    let (there, (_folder, back)) = (postgres().await, sqlite().await);
    let told = Mutex::new(Vec::new());
    let tell = |progress: soniquebay_domain::Progress| told.lock().unwrap().push(progress.step.to_string());
    let moved = transfer(&*source.store, &there, &tell).await.unwrap();
    assert_eq!((moved.tracks, moved.vectors.len(), moved.jobs), (1199, 2, 1199 - 700 + 7 * 3 + 1));
    assert_eq!(transfer(&there, &back, &|_| ()).await.unwrap(), moved);
    for step in ["tracks", "vectors", "comparing"] {
        assert!(told.lock().unwrap().iter().any(|told| told == step), "{step}");
    }
    let heard = back.tracks(vec![TrackId::new(700).unwrap()]).await.unwrap().remove(0);
    assert_eq!((heard.fields.features.energy, heard.counts().features.energy), (None, Some(1.0 / 3.0)));
    assert!(back.analysis_paused().await.unwrap());
    // What was moved goes on: ids are not given again, names are found, jobs run, vectors are near.
    let next = there.apply(vec![titled("One more")]).await.unwrap();
    assert_eq!(next, [Applied::Done { id: TrackId::new(1201).unwrap(), outcome: soniquebay_domain::Outcome::Created }]);
    assert!(!there.find_text("sigur ros title 77".into(), 5).await.unwrap().is_empty());
    assert_eq!(there.retry(Discarded::All).await.unwrap(), 7);
    assert_eq!(there.reconcile().await.unwrap(), 0, "nothing was forgotten");
    let hits = there
        .stored_index()
        .search(&space(), &vector([600.1, 0.0, 0.0, 0.3]), 3, &soniquebay_domain::Filter::default())
        .await
        .unwrap();
    assert_eq!(hits.len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_move_that_was_given_up_goes_on_and_another_library_is_left_alone() {
    let source = library().await;
    let (_folder, begun) = sqlite().await;
    let part = source.store.page(0, 0, 400).await.unwrap();
    begun.restore_tracks(part).await.unwrap();
    let moved = transfer(&*source.store, &begun, &|_| ()).await.unwrap();
    assert_eq!(transfer(&*source.store, &begun, &|_| ()).await.unwrap(), moved, "again is the same");
    assert!(begun.jobs(Some(JobState::Running), None, 10).await.unwrap().is_empty());

    let other = Fixture::postgres().await;
    other.create("A").await;
    other.create("B").await;
    let third = other.create("C").await;
    let (_kept, occupied) = sqlite().await;
    transfer(&*other.store, &occupied, &|_| ()).await.unwrap();
    let refused = transfer(&*source.store, &occupied, &|_| ()).await;
    assert!(matches!(refused, Err(TransferError::Occupied(id)) if id == third), "{refused:?}");
}
