//! What only a database that others share can meet.

use std::sync::Arc;
use std::time::Duration;

use soniquebay_domain::{
    Applied, Catalog, Change, Database, Filter, JobQueue, Priority, Range, Reconcile, Space, StoreError, SystemClock,
    Target, TrackId, TrackPatch, TrackWrite, Vector, VectorIndex, VectorStore, VectorWrite, Vectors, WriteMode,
};
use soniquebay_search::contract;
use soniquebay_store::postgres::PostgresStore;
use soniquebay_testkit::postgres::PostgresServer;
use soniquebay_testkit::redis::free_port;

use crate::{StandingClock, space, titled, vector};

const LEASE: Duration = Duration::from_secs(60);

/// Longest wait for what happens at once.
const SOON: Duration = Duration::from_secs(20);

async fn connect(url: &str) -> Result<PostgresStore, StoreError> {
    PostgresStore::connect(url, Arc::new(StandingClock::default())).await
}

/// A store on the shared server with one wanted space, and its database's address.
async fn store() -> (PostgresStore, String) {
    let url = PostgresServer::shared().new_database();
    let store = connect(&url).await.unwrap();
    store.want_spaces(vec![space()]).await.unwrap();
    (store, url)
}

async fn create(store: &PostgresStore, titles: usize) -> Vec<TrackId> {
    let writes = (0..titles).map(|number| titled(&format!("Title {number}"))).collect();
    let done = |applied| match applied {
        Applied::Done { id, .. } => id,
        other => panic!("{other:?}"),
    };
    store.apply(writes).await.unwrap().into_iter().map(done).collect()
}

fn sql(url: &str, statement: &str) -> String {
    PostgresServer::shared().sql(url, statement)
}

fn write(id: TrackId) -> VectorWrite {
    VectorWrite::new(id, space(), vector([1.0, 0.0, 0.0, 0.0]), None)
}

#[tokio::test(flavor = "multi_thread")]
async fn many_that_connect_at_once_migrate_once() {
    let url = PostgresServer::shared().new_database();
    let connecting: Vec<_> = (0..8)
        .map(|_| {
            tokio::spawn({
                let url = url.clone();
                async move { connect(&url).await }
            })
        })
        .collect();
    for connected in connecting {
        connected.await.unwrap().unwrap();
    }
    let (_, newest) = PostgresStore::migrate(&url).await.unwrap();
    assert_eq!(sql(&url, "SELECT count(*), max(number) FROM soniquebay_format"), format!("1|{newest}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn foreign_newer_and_absent_databases_are_refused() {
    let (_, url) = store().await;
    sql(&url, "UPDATE soniquebay_format SET number = 99");
    assert!(matches!(connect(&url).await, Err(StoreError::Newer { found: 99, .. })));
    let foreign = PostgresServer::shared().new_database();
    sql(&foreign, "CREATE TABLE tracks (name text)");
    assert!(matches!(connect(&foreign).await, Err(StoreError::Unavailable(why)) if why.contains("another program")));
    let schema = format!("{foreign}?options=-csearch_path%3Dsoniquebay,public");
    sql(&foreign, "CREATE SCHEMA soniquebay");
    connect(&schema).await.unwrap();

    let absent = url.replace("/test_", "/absent_");
    assert!(
        matches!(connect(&absent).await, Err(StoreError::Unavailable(why)) if why.contains("create the database first"))
    );
    let away = format!("postgres://somebody:s3cret@127.0.0.1:{}/library", free_port());
    let Err(StoreError::Unavailable(why)) = connect(&away).await else { panic!("nobody listens") };
    assert!(why.contains("127.0.0.1") && !why.contains("s3cret"), "{why}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_extension_is_named_with_what_to_do() {
    let url = PostgresServer::shared().new_database();
    sql(&url, "CREATE ROLE \"plain user\" LOGIN");
    sql(&url, "GRANT ALL ON SCHEMA public TO \"plain user\"");
    let plain = url.replace("postgres@", "plain%20user@");
    let Err(StoreError::Unavailable(why)) = connect(&plain).await else { panic!("no right to make it") };
    assert!(why.contains("as a superuser") && why.contains("CREATE EXTENSION vector"), "{why}");
    sql(&url, "CREATE EXTENSION vector");
    sql(&url, "UPDATE pg_extension SET extversion = '0.8.2' WHERE extname = 'vector'");
    let Err(StoreError::Unavailable(why)) = connect(&plain).await else { panic!("too old") };
    assert!(why.contains("0.8.2") && why.contains("ALTER EXTENSION vector UPDATE"), "{why}");
    sql(&url, "UPDATE pg_extension SET extversion = '0.8.10' WHERE extname = 'vector'");
    connect(&plain).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_takes_no_writes_is_named_as_that() {
    let (_, url) = store().await;
    sql(
        &url,
        "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET default_transaction_read_only = on', current_database()); END $$",
    );
    let standby = connect(&url).await.unwrap();
    assert_eq!(standby.counts().await.unwrap().tracks, 0, "it answers questions");
    let refused = standby.apply(vec![titled("A")]).await;
    assert!(matches!(&refused, Err(StoreError::Unavailable(why)) if why.contains("name the primary")), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_claim_different_jobs() {
    let (first, url) = store().await;
    let second = connect(&url).await.unwrap();
    let ids = create(&first, 200).await;
    let claim_all = |store: PostgresStore| {
        tokio::spawn(async move {
            let mut claimed = Vec::new();
            loop {
                let leases = store.claim(&space(), 7, LEASE).await.unwrap();
                if leases.is_empty() {
                    return claimed;
                }
                claimed.extend(leases.into_iter().map(|lease| lease.job.track_id));
            }
        })
    };
    let workers = [first.clone(), second.clone(), first, second].map(claim_all);
    let mut claimed = Vec::new();
    for worker in workers {
        claimed.extend(worker.await.unwrap());
    }
    claimed.sort_unstable();
    assert_eq!(claimed, ids, "each once");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_track_from_several_nodes_is_one_track() {
    let (first, url) = store().await;
    let second = connect(&url).await.unwrap();
    let song = |number: usize| TrackWrite {
        target: Target::Recognised { id: None },
        mode: WriteMode::Merge,
        patch: TrackPatch {
            title: Change::Set(format!("Song {}", number % 10)),
            artist: Change::Set("Somebody".into()),
            ..TrackPatch::default()
        },
        priority: Priority::Bulk,
    };
    let writing: Vec<_> = [first.clone(), second.clone(), first.clone(), second]
        .into_iter()
        .map(|store| tokio::spawn(async move { store.apply((0..20).map(song).collect()).await.unwrap() }))
        .collect();
    for written in writing {
        written.await.unwrap();
    }
    assert_eq!(first.counts().await.unwrap().tracks, 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_is_committed_late_is_not_missed() {
    let (store, url) = store().await;
    let ids = create(&store, 3).await;
    let (client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    store.put(vec![write(ids[1])]).await.unwrap();
    // An older transaction takes its number first and ends last.
    client.batch_execute("BEGIN").await.unwrap();
    let late = "INSERT INTO track_vectors SELECT $1, space, vector, content_hash, metadata_hash, metadata, updated_at \
         FROM track_vectors LIMIT 1";
    client.execute(late, &[&ids[0].get()]).await.unwrap();
    store.put(vec![write(ids[2])]).await.unwrap();

    let told = async |after: i64| {
        let changes = store.changes(&space(), after, 10).await.unwrap();
        let tracks: Vec<TrackId> = changes.iter().map(|change| change.track_id).collect();
        (tracks, changes.last().map_or(after, |change| change.sequence))
    };
    let (tracks, sequence) = told(0).await;
    assert_eq!(tracks, [ids[1], ids[2]], "what is stored is told of at once");
    assert_eq!(told(sequence).await, (Vec::new(), sequence), "and once");
    client.batch_execute("COMMIT").await.unwrap();
    let (tracks, settled) = told(sequence).await;
    assert_eq!(tracks, [ids[0]], "the late one is not missed");
    assert_eq!(told(settled).await, (Vec::new(), settled));

    // A vector that is being changed again is told of when that is done.
    store.put(vec![write(ids[0])]).await.unwrap();
    client.batch_execute("BEGIN; UPDATE track_vectors SET updated_at = 0").await.unwrap();
    assert_eq!(told(settled).await.0, Vec::new());
    client.batch_execute("COMMIT").await.unwrap();
    let (mut tracks, last) = told(settled).await;
    tracks.sort_unstable();
    assert_eq!(tracks, ids);
    store.remove(vec![ids[0]], None).await.unwrap();
    assert_eq!(told(last).await.0, [ids[0]], "removals are changes");
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_and_writers_at_one_time_miss_nothing() {
    let (store, url) = store().await;
    let ids = create(&store, 300).await;
    let writers: Vec<_> = (0..3)
        .map(|part| {
            let (store, ids) = (store.clone(), ids.clone());
            tokio::spawn(async move {
                for id in ids.into_iter().filter(|id| id.get() % 3 == part) {
                    store.put(vec![write(id)]).await.unwrap();
                }
            })
        })
        .collect();
    let other = connect(&url).await.unwrap();
    let readers = [store.clone(), other].map(|store| {
        let ids = ids.clone();
        tokio::spawn(async move {
            let (mut seen, mut sequence) = (std::collections::HashSet::new(), 0);
            while seen.len() < ids.len() {
                for change in store.changes(&space(), sequence, 50).await.unwrap().iter() {
                    assert!(change.sequence > sequence, "numbers grow");
                    sequence = change.sequence;
                    seen.insert(change.track_id);
                }
            }
        })
    });
    for writer in writers {
        writer.await.unwrap();
    }
    for reader in readers {
        tokio::time::timeout(SOON, reader).await.expect("a change was missed").unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn text_with_nul_is_refused_and_found_nowhere() {
    let (store, _) = store().await;
    let mut bad = titled("A\0B");
    let refused = store.apply(vec![bad.clone(), titled("Good")]).await.unwrap();
    assert!(matches!(&refused[0], Applied::Refused(error) if error.field == "title"), "{refused:?}");
    assert!(matches!(&refused[1], Applied::Done { .. }), "one refused write does not hold the others back");
    bad.patch.title = Change::Set("C".into());
    bad.patch.tags = Change::Set(vec!["x\0y".into()]);
    bad.patch.extra.insert("note".into(), serde_json::json!("\0"));
    let kept = store.apply(vec![bad]).await.unwrap();
    assert!(matches!(&kept[0], Applied::Done { .. }), "JSON escapes it: {kept:?}");
    assert!(store.find_text("Go\0od".into(), 5).await.is_ok());
    assert!(store.files_below("/mus\0ic".into()).await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn names_and_paths_of_any_length_are_kept() {
    let (store, _) = store().await;
    let long = |letter: &str| letter.repeat(1024);
    let path = format!("/{}", "schönes/".repeat(450));
    let patch = TrackPatch {
        title: Change::Set(long("漢")),
        artist: Change::Set((0..1024).map(|n| char::from_u32(0x4e00 + n).unwrap()).collect()),
        album: Change::Set("a b ".repeat(256)),
        genre_tags: Change::Set((0..64).map(|n| format!("{n}{}", long("ö"))).collect()),
        musicbrainz_id: Change::Set(long("m")),
        isrc: Change::Set(long("i")),
        path: Change::Set(path.clone()),
        ..TrackPatch::default()
    };
    let write = TrackWrite { patch, ..titled("") };
    let applied = store.apply(vec![write.clone()]).await.unwrap();
    assert!(matches!(&applied[0], Applied::Done { .. }), "{applied:?}");
    let again = store.apply(vec![write]).await.unwrap();
    assert!(matches!(&again[0], Applied::Done { outcome: soniquebay_domain::Outcome::Unchanged, .. }), "{again:?}");
    assert_eq!(store.files_below("/schönes".into()).await.unwrap().len(), 1);
    assert!(store.find_text(long("漢"), 5).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_waits_is_woken_by_another_process() {
    let (store, url) = store().await;
    let other = connect(&url).await.unwrap();
    // The first wake-up is that of the beginning.
    store.wait(SOON).await;
    while store.claim(&space(), 10, LEASE).await.unwrap().is_empty() {
        let waiting = tokio::spawn({
            let store = store.clone();
            async move { store.wait(SOON).await }
        });
        create(&other, 1).await;
        tokio::time::timeout(SOON, waiting).await.unwrap().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backend_that_is_killed_costs_nothing() {
    let (store, url) = store().await;
    create(&store, 5).await;
    let (client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    // A claim that waits in the midst of its transaction: for the table, which another one holds.
    client.batch_execute("BEGIN; LOCK TABLE jobs IN ROW EXCLUSIVE MODE; LOCK TABLE jobs IN SHARE MODE").await.unwrap();
    let claiming = tokio::spawn({
        let store = store.clone();
        async move { store.claim(&space(), 5, LEASE).await }
    });
    let killed = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = current_database() \
         AND wait_event_type = 'Lock'";
    let began = std::time::Instant::now();
    while client.query_one(killed, &[]).await.unwrap().get::<_, i64>(0) == 0 {
        assert!(began.elapsed() < SOON, "nobody waits");
    }
    client.batch_execute("ROLLBACK").await.unwrap();
    assert_eq!(claiming.await.unwrap().unwrap().len(), 5, "the claim is made again on another connection");
    assert!(store.claim(&space(), 10, LEASE).await.unwrap().is_empty(), "and was made once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_may_die_and_come_back() {
    let server = tokio::task::spawn_blocking(PostgresServer::start).await.unwrap();
    let url = server.new_database();
    let store = PostgresStore::connect(&url, Arc::new(SystemClock)).await.unwrap();
    store.want_spaces(vec![space()]).await.unwrap();
    let ids = create(&store, 10).await;
    let leases = store.claim(&space(), 4, LEASE).await.unwrap();
    server.kill();
    let away = store.counts().await;
    assert!(matches!(&away, Err(StoreError::Unavailable(why)) if why.contains("127.0.0.1")), "{away:?}");
    let server = tokio::task::spawn_blocking(move || {
        server.restart();
        server
    })
    .await
    .unwrap();
    assert_eq!(store.counts().await.unwrap().tracks, 10, "what was answered as stored is there");
    assert_eq!(store.extend(leases, LEASE).await.unwrap().len(), 4, "leases too");
    store.put(vec![write(ids[0])]).await.unwrap();
    assert_eq!(store.reconcile().await.unwrap(), 0);
    // The listener finds the way back by itself.
    let heard = async {
        loop {
            store.wait(SOON).await;
            if server.sql(&url, "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'LISTEN%'") == "1" {
                break;
            }
        }
    };
    tokio::time::timeout(SOON, heard).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_pgvector_index_keeps_the_contract() {
    let (store, url) = store().await;
    let searched = Space::new("contract", 24, "1").unwrap();
    store.want_spaces(vec![searched.clone()]).await.unwrap();
    let index = store.pgvector_index().scanning(0);
    assert!(index.build(&searched).await.unwrap());
    contract::approximate_vector_index(&index, &store, &store, 0.95).await;
    // Counted when a connection is idle.
    let used = "SELECT coalesce(sum(idx_scan), 0) > 0 FROM pg_stat_user_indexes \
         WHERE indexrelname LIKE 'track_vectors_hnsw_%'";
    let began = std::time::Instant::now();
    while sql(&url, used) != "t" {
        assert!(began.elapsed() < SOON, "the graph was not searched");
    }
}

/// What a filter lets pass may lie far from the question: rock, asked for under the filter "classical".
#[tokio::test(flavor = "multi_thread")]
async fn filters_against_the_grain_are_answered_too() {
    let (store, _) = store().await;
    let searched = Space::new("crowds", 16, "1").unwrap();
    let mut state = 0x5eed_u64;
    let mut random = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / 8_388_608.0 - 1.0
    };
    let centres: Vec<Vec<f32>> = (0..20).map(|_| (0..16).map(|_| random()).collect()).collect();
    let year = |crowd: usize, number: usize| {
        let mut write = titled(&format!("Title {number}"));
        write.patch.year = Change::Set(1900 + crowd as i32);
        write
    };
    let written = store.apply((0..2000).map(|number| year(number % 20, number)).collect()).await.unwrap();
    let mut vectors = Vec::new();
    for (number, applied) in written.into_iter().enumerate() {
        let Applied::Done { id, .. } = applied else { panic!("{applied:?}") };
        let values = centres[number % 20].iter().map(|centre| centre + 0.2 * random()).collect();
        vectors.push(VectorWrite::new(id, searched.clone(), Vector::new(values).unwrap(), None));
    }
    store.put(vectors).await.unwrap();
    let (scan, graph) = (store.pgvector_index().scanning(5000), store.pgvector_index().scanning(100));
    assert!(graph.build(&searched).await.unwrap());
    let (mut found, mut expected) = (0, 0);
    for (crowd, centre) in centres.iter().enumerate() {
        let query = Vector::new(centre.clone()).unwrap();
        let years = Range { min: Some(1900.0 + (crowd as f64 + 7.0) % 20.0), max: None };
        let filter = Filter { years, ..Filter::default() };
        let right = scan.search(&searched, &query, 10, &filter).await.unwrap();
        let hits = graph.search(&searched, &query, 10, &filter).await.unwrap();
        assert_eq!(hits.len(), right.len());
        found += right.iter().filter(|hit| hits.contains(hit)).count();
        expected += right.len();
    }
    assert!(found as f64 >= 0.95 * expected as f64, "{found} of {expected}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_space_that_has_grown_gets_its_index_by_itself() {
    let (store, url) = store().await;
    let ids = create(&store, 50).await;
    store.put(ids.into_iter().map(write).collect()).await.unwrap();
    let (index, query) = (store.pgvector_index().scanning(10), vector([1.0, 0.5, 0.0, 0.0]));
    let indexes = "SELECT count(*) FROM pg_index WHERE indisvalid AND indexrelid::regclass::text LIKE '%_hnsw_%'";
    let began = std::time::Instant::now();
    while sql(&url, indexes) != "1" {
        let hits = index.search(&space(), &query, 5, &Filter::default()).await.unwrap();
        assert_eq!(hits.len(), 5, "a scan answers until then");
        assert!(began.elapsed() < SOON, "no index is built");
    }
    assert_eq!(index.search(&space(), &query, 60, &Filter::default()).await.unwrap().len(), 50);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_half_built_is_built_anew_and_goes_with_its_space() {
    let (store, url) = store().await;
    let other = Space::parse("test/4/b-1").unwrap();
    let ids = create(&store, 50).await;
    let write = |id: &TrackId| VectorWrite { space: other.clone(), ..write(*id) };
    store.put(ids.iter().map(write).collect()).await.unwrap();
    let index = store.pgvector_index().scanning(10);
    assert!(index.build(&other).await.unwrap());
    let standing = "SELECT indisvalid FROM pg_index WHERE indexrelid::regclass::text LIKE 'track_vectors_hnsw_%'";
    sql(&url, "UPDATE pg_index SET indisvalid = FALSE WHERE indexrelid::regclass::text LIKE 'track_vectors_hnsw_%'");
    assert!(index.build(&other).await.unwrap());
    assert_eq!(sql(&url, standing), "t");
    let query = vector([1.0, 0.5, 0.0, 0.0]);
    let hits = index.search(&other, &query, 5, &Filter::default()).await.unwrap();
    assert_eq!(hits.len(), 5);
    store.drop_space(&other).await.unwrap();
    assert_eq!(sql(&url, standing), "");
}
