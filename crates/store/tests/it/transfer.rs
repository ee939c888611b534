//! Libraries that move from one database to another.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use soniquebay_domain::{
    Analyses, Analysis, Applied, Aspect, AudioHash, Catalog, Change, ContentHash, Database, Discarded, JobQueue,
    JobState, KeyHash, Keys, Measure, Measured, Reconcile, Scope, Setback, SettledJob, Space, StoreError, TrackId,
    Tracks, VectorWrite,
};
use soniquebay_store::postgres::PostgresStore;
use soniquebay_store::sqlite::SqliteStore;
use soniquebay_store::transfer::{Begun, Portable, TransferError, transfer};
use soniquebay_testkit::postgres::PostgresServer;

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
    fixture.store.remove(vec![TrackId::new(3).unwrap()], None).await.unwrap();
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

async fn sqlite() -> (tempfile::TempDir, SqliteStore) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("library.db");
    let clock = Arc::new(crate::StandingClock::default());
    (folder, SqliteStore::open(&path, clock).await.unwrap())
}

async fn postgres() -> PostgresStore {
    let url = PostgresServer::shared().new_database();
    let clock = Arc::new(crate::StandingClock::default());
    PostgresStore::connect(&url, clock).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_library_goes_to_postgres_and_comes_back_the_same() {
    let source = library().await;
    for (name, scope) in [("phone", Scope::Read), ("lost", Scope::Admin)] {
        assert!(source.store.add_key(name, KeyHash::of(name), scope).await.unwrap());
    }
    source.store.revoke_key("lost").await.unwrap();
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
    assert_eq!(back.keys().await.unwrap(), source.store.keys().await.unwrap());
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
async fn a_move_that_was_given_up_goes_on_with_what_the_source_is_now() {
    let source = library().await;
    let from = source.store.address();
    for begun in [Arc::new(sqlite().await.1) as Arc<dyn Portable>, Arc::new(postgres().await)] {
        assert_eq!(begun.begin_move(&from).await.unwrap(), Begun::Anew);
        begun.want_spaces(vec![space()]).await.unwrap();
        let mut part = source.store.page(0, 0, 400).await.unwrap();
        // Since then two tracks have changed places, one is gone, and one has lost its vector.
        let paths = [part[10].fields.identity.path.clone(), part[20].fields.identity.path.clone()];
        part[20].fields.identity.path.clone_from(&paths[0]);
        part[10].fields.identity.path.clone_from(&paths[1]);
        let mut gone = part[30].clone();
        (gone.id, gone.fields.identity.path) = (TrackId::new(7000).unwrap(), Some("/gone".into()));
        let lost = part.iter().find(|track| track.id.get() % 100 == 1).unwrap().id;
        begun.restore_tracks(part.into_iter().chain([gone]).collect()).await.unwrap();
        begun.put(vec![VectorWrite::new(lost, space(), vector([9.0, 0.0, 0.0, 0.0]), None)]).await.unwrap();
        let moved = transfer(&*source.store, &*begun, &|_| ()).await.unwrap();
        assert_eq!(moved.tracks, 1199);
        assert!(begun.jobs(Some(JobState::Running), None, 10).await.unwrap().is_empty());
        // A whole library is not moved into.
        let again = transfer(&*source.store, &*begun, &|_| ()).await;
        assert!(matches!(again, Err(TransferError::Occupied(1199))), "{again:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn half_a_library_is_not_opened_and_not_taken_for_another() {
    let from = Fixture::sqlite().await;
    from.create("A").await;
    let (folder, begun) = sqlite().await;
    begun.begin_move("somewhere else").await.unwrap();
    let refused = transfer(&*from.store, &begun, &|_| ()).await;
    assert!(matches!(refused, Err(TransferError::Begun(from)) if from == "somewhere else"));
    let clock = Arc::new(crate::StandingClock::default());
    let path = folder.path().join("library.db");
    let Err(StoreError::Unavailable(why)) = SqliteStore::open(&path, clock.clone()).await else { panic!("half") };
    assert!(why.contains("somewhere else") && why.contains("db move") && why.contains("library.db"), "{why}");

    let url = PostgresServer::shared().new_database();
    let there = PostgresStore::connect(&url, clock.clone()).await.unwrap();
    there.begin_move("somewhere else").await.unwrap();
    let Err(StoreError::Unavailable(why)) = PostgresStore::connect(&url, clock.clone()).await else { panic!("half") };
    assert!(why.contains("somewhere else") && why.contains("db move"), "{why}");
    there.clear().await.unwrap();
    transfer(&*from.store, &there, &|_| ()).await.unwrap();
    PostgresStore::connect(&url, clock).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_is_not_given_again_wherever_a_library_goes() {
    for from in [Fixture::sqlite().await, Fixture::postgres().await] {
        let mut last = 0;
        for title in ["A", "B", "C", "D", "E"] {
            last = from.create(title).await.get();
        }
        from.store.remove(vec![TrackId::new(last).unwrap(), TrackId::new(last - 1).unwrap()], None).await.unwrap();
        for to in [Arc::new(sqlite().await.1) as Arc<dyn Portable>, Arc::new(postgres().await)] {
            transfer(&*from.store, &*to, &|_| ()).await.unwrap();
            let done = to.apply(vec![titled("F")]).await.unwrap();
            assert!(matches!(done[0], Applied::Done { id, .. } if id.get() == last + 1), "{done:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_needs_a_database_alone_keeps_others_out() {
    let clock = Arc::new(crate::StandingClock::default());
    let url = PostgresServer::shared().new_database();
    let role = PostgresStore::connect(&url, clock.clone()).await.unwrap();
    role.counts().await.unwrap();
    let keeper = PostgresStore::connect_for_upkeep(&url, clock.clone()).await.unwrap();
    let Err(StoreError::Unavailable(why)) = keeper.alone().await else { panic!("a role runs") };
    assert!(why.contains("stop that first") && why.contains("127.0.0.1"), "{why}");
    drop(role);
    let alone = keeper.alone().await.unwrap();
    let Err(StoreError::Unavailable(why)) = PostgresStore::connect(&url, clock.clone()).await else { panic!("kept") };
    assert!(why.contains("soniquebay db"), "{why}");
    assert!(matches!(keeper.alone().await, Err(StoreError::Unavailable(why)) if why.contains("another")));
    drop(alone);
    PostgresStore::connect(&url, clock).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_stands_still_while_others_write() {
    let from = Fixture::postgres().await;
    let kept = from.create("kept").await;
    let write = VectorWrite::new(kept, space(), vector([1.0, 2.0, 3.0, 4.0]), None);
    from.store.put(vec![write]).await.unwrap();
    let snapshot = PostgresStore::snapshot(&from.below, from.clock.clone()).await.unwrap();
    assert_eq!(snapshot.counts().await.unwrap().tracks, 1);
    let (folder, to) = sqlite().await;
    let writing = async {
        for number in 0..50 {
            from.create(&format!("later {number}")).await;
        }
    };
    let (moved, ()) = tokio::join!(transfer(&snapshot, &to, &|_| ()), writing);
    assert_eq!((moved.unwrap().tracks, snapshot.counts().await.unwrap().tracks), (1, 1));
    assert_eq!(from.store.counts().await.unwrap().tracks, 51);
    drop(folder);
}
