//! The worker over the real store, with a vectorizer that does what each test needs.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    unreachable_pub,
    reason = "a test fails by panicking"
)]

use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use soniquebay_domain::{
    Applied, Catalog, Change, Database, EmbedError, JobQueue, JobState, Priority, Space, SystemClock, Target,
    TrackFields, TrackId, TrackPatch, TrackState, TrackWrite, Vector, VectorStore, Vectorizer, WriteMode,
};
use soniquebay_pipeline::{FromFields, Parts, Worker, WorkerLimits};
use soniquebay_store::sqlite::SqliteStore;
use tokio_util::sync::CancellationToken;

type Rule = Box<dyn Fn(&str) -> Result<(), EmbedError> + Send + Sync>;

/// Vectors from the letters of the title; fails by a rule that a test can change.
struct Letters {
    space: Space,
    rule: Mutex<Rule>,
    health: Mutex<Result<(), EmbedError>>,
    delay: Duration,
}

impl Letters {
    fn with(rule: impl Fn(&str) -> Result<(), EmbedError> + Send + Sync + 'static) -> Self {
        let space = Space::parse("letters/4/a-1").unwrap();
        Self { space, rule: Mutex::new(Box::new(rule)), health: Mutex::new(Ok(())), delay: Duration::ZERO }
    }
}

fn letters(title: &str) -> Vector {
    let mut values = vec![1.0f32; 4];
    title.bytes().enumerate().for_each(|(i, byte)| values[i % 4] += f32::from(byte));
    Vector::new(Vector::new(values).unwrap().to_unit()).unwrap()
}

#[async_trait]
impl Vectorizer for Letters {
    fn space(&self) -> &Space {
        &self.space
    }

    fn text_dims(&self) -> usize {
        4
    }

    async fn vectorize(&self, tracks: Vec<TrackFields>) -> Result<Vec<Vector>, EmbedError> {
        tokio::time::sleep(self.delay).await;
        let rule = self.rule.lock().unwrap();
        tracks
            .iter()
            .map(|track| {
                let title = track.title.as_deref().unwrap_or_default();
                rule(title).map(|()| letters(title))
            })
            .collect()
    }

    async fn vectorize_query(&self, words: String) -> Result<Vector, EmbedError> {
        Ok(letters(&words))
    }

    async fn health(&self) -> Result<(), EmbedError> {
        self.health.lock().unwrap().clone()
    }
}

const LONG: Duration = Duration::from_secs(3600);

fn parts(store: &Arc<SqliteStore>, vectorizer: Arc<dyn Vectorizer>, time_limit: Duration) -> Parts {
    Parts {
        queue: store.clone(),
        settlement: store.clone(),
        tracks: Some(store.clone()),
        vectors: store.clone(),
        makers: vec![Arc::new(FromFields::new(vectorizer, time_limit))],
    }
}

struct Fixture {
    store: SqliteStore,
    vectorizer: Arc<Letters>,
    worker: Arc<Worker>,
    progress: Arc<Mutex<Vec<(u64, u64)>>>,
    _folder: tempfile::TempDir,
}

impl Fixture {
    async fn new(vectorizer: Letters) -> Self {
        Self::limited(vectorizer, LONG).await
    }

    async fn limited(vectorizer: Letters, time_limit: Duration) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&folder.path().join("library.db"), Arc::new(SystemClock)).await.unwrap();
        let vectorizer = Arc::new(vectorizer);
        store.want_spaces(vec![vectorizer.space().clone()]).await.unwrap();
        let progress = Arc::new(Mutex::new(Vec::new()));
        let (port, told) = (Arc::new(store.clone()), Arc::clone(&progress));
        let listener = move |step: soniquebay_domain::Progress| told.lock().unwrap().push((step.done, step.total));
        let worker = Worker::new(parts(&port, vectorizer.clone(), time_limit), WorkerLimits::default(), listener);
        Self { store, vectorizer, worker: Arc::new(worker), progress, _folder: folder }
    }

    async fn create(&self, titles: impl IntoIterator<Item = String>) -> Vec<TrackId> {
        let write = |title| TrackWrite {
            target: Target::Recognised { id: None },
            mode: WriteMode::Merge,
            patch: TrackPatch { title: Change::Set(title), ..TrackPatch::default() },
            priority: Priority::Normal,
        };
        let applied = self.store.apply(titles.into_iter().map(write).collect()).await.unwrap();
        applied
            .into_iter()
            .map(|applied| match applied {
                Applied::Done { id, .. } => id,
                other => panic!("{other:?}"),
            })
            .collect()
    }

    async fn drain(&self) {
        self.worker.drain(&CancellationToken::new()).await.unwrap();
    }

    async fn states(&self, ids: &[TrackId]) -> Vec<TrackState> {
        let states = self.store.states(self.vectorizer.space(), ids.to_vec()).await.unwrap();
        states.into_iter().map(|(_, state)| state).collect()
    }
}

#[tokio::test]
async fn every_track_gets_its_vector_once() {
    let fixture = Fixture::new(Letters::with(|_| Ok(()))).await;
    let ids = fixture.create((0..500).map(|i| format!("track {i}"))).await;
    fixture.drain().await;
    assert!(fixture.states(&ids).await.iter().all(|state| *state == TrackState::Ready));
    let vectors = fixture.store.vector_page(fixture.vectorizer.space(), 0, 0, 1000).await.unwrap();
    assert_eq!(vectors.len(), 500);
    assert_eq!(vectors[7].vector, letters("track 7"));
    let (done, total) = *fixture.progress.lock().unwrap().last().unwrap();
    assert_eq!(done, total, "the last word on progress is that all is done");
}

#[tokio::test]
async fn one_poisonous_track_does_not_hold_the_others_back() {
    let fail = |title: &str| match title {
        "track 13" => Err(EmbedError::Failed("poison".into())),
        _ => Ok(()),
    };
    let fixture = Fixture::new(Letters::with(fail)).await;
    let ids = fixture.create((0..64).map(|i| format!("track {i}"))).await;
    fixture.drain().await;
    let states = fixture.states(&ids).await;
    assert_eq!(states.iter().filter(|state| **state == TrackState::Ready).count(), 63);
    assert_eq!(states[13], TrackState::Pending, "it is tried again later");
    let waiting = fixture.store.jobs(Some(JobState::Available), None, 10).await.unwrap();
    assert_eq!((waiting.len(), waiting[0].job.attempts.made), (1, 1));
    assert_eq!(waiting[0].reason.as_deref(), Some("poison"));
}

#[tokio::test]
async fn a_refused_track_alone_is_given_up() {
    let refuse = |title: &str| match title {
        "track 13" => Err(EmbedError::Refused("no direction".into())),
        _ => Ok(()),
    };
    let fixture = Fixture::new(Letters::with(refuse)).await;
    let ids = fixture.create((0..64).map(|i| format!("track {i}"))).await;
    fixture.drain().await;
    let states = fixture.states(&ids).await;
    assert_eq!(states.iter().filter(|state| **state == TrackState::Ready).count(), 63);
    assert_eq!(states[13], TrackState::Failed { reason: "no direction".into() });
}

#[tokio::test]
async fn a_service_that_goes_away_costs_no_attempt() {
    let fixture = Fixture::new(Letters::with(|_| Err(EmbedError::Unavailable("gone".into())))).await;
    fixture.create(["A".to_owned(), "B".to_owned()]).await;
    fixture.drain().await;
    let waiting = fixture.store.jobs(None, None, 10).await.unwrap();
    assert!(waiting.iter().all(|job| job.job.attempts.made == 0 && job.state == JobState::Available), "{waiting:?}");
    assert_eq!(waiting.len(), 2);
}

#[tokio::test]
async fn without_a_model_no_job_is_touched_and_with_it_work_begins() {
    let vectorizer = Letters::with(|_| Ok(()));
    *vectorizer.health.lock().unwrap() = Err(EmbedError::ModelMissing { model: "letters".into() });
    let fixture = Fixture::new(vectorizer).await;
    let ids = fixture.create(["A".to_owned()]).await;
    fixture.drain().await;
    assert_eq!(fixture.states(&ids).await, [TrackState::Pending]);
    let stop = CancellationToken::new();
    let (worker, until) = (Arc::clone(&fixture.worker), stop.clone());
    let running = tokio::spawn(async move { worker.run(&until).await });
    *fixture.vectorizer.health.lock().unwrap() = Ok(());
    wait_until_ready(&fixture, &ids).await;
    stop.cancel();
    running.await.unwrap();
}

#[tokio::test]
async fn a_running_worker_is_woken_by_a_write() {
    let fixture = Fixture::new(Letters::with(|_| Ok(()))).await;
    let stop = CancellationToken::new();
    let (worker, until) = (Arc::clone(&fixture.worker), stop.clone());
    let running = tokio::spawn(async move { worker.run(&until).await });
    let ids = fixture.create(["A".to_owned()]).await;
    wait_until_ready(&fixture, &ids).await;
    stop.cancel();
    running.await.unwrap();
}

#[tokio::test]
async fn a_batch_over_its_time_limit_is_set_back() {
    let mut vectorizer = Letters::with(|_| Ok(()));
    vectorizer.delay = Duration::from_secs(60);
    let fixture = Fixture::limited(vectorizer, Duration::from_millis(20)).await;
    fixture.create(["A".to_owned()]).await;
    fixture.drain().await;
    let job = fixture.store.jobs(None, None, 1).await.unwrap().remove(0);
    assert!(job.reason.is_some_and(|reason| reason.contains("longer than")));
}

/// Waits on the store's own answer, bounded, so that a failure is a failure and not a hang.
async fn wait_until_ready(fixture: &Fixture, ids: &[TrackId]) {
    let ready = async {
        while fixture.states(ids).await.iter().any(|state| *state != TrackState::Ready) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), ready).await.expect("the vectors come");
}

/// Says that it is about to die, and never answers, where one of the tracks bears this title.
struct Dying {
    letters: Letters,
    dies: Arc<tokio::sync::Notify>,
}

#[async_trait]
impl Vectorizer for Dying {
    fn space(&self) -> &Space {
        self.letters.space()
    }

    fn text_dims(&self) -> usize {
        4
    }

    async fn vectorize(&self, tracks: Vec<TrackFields>) -> Result<Vec<Vector>, EmbedError> {
        if tracks.iter().any(|track| track.title.as_deref() == Some("deadly")) {
            self.dies.notify_one();
            std::future::pending::<()>().await;
        }
        self.letters.vectorize(tracks).await
    }

    async fn vectorize_query(&self, words: String) -> Result<Vector, EmbedError> {
        self.letters.vectorize_query(words).await
    }

    async fn health(&self) -> Result<(), EmbedError> {
        Ok(())
    }
}

#[tokio::test]
async fn a_track_that_kills_its_worker_is_found_and_given_up() {
    let fixture = Fixture::new(Letters::with(|_| Ok(()))).await;
    let titles = (0..100).map(|n| if n == 40 { "deadly".to_owned() } else { format!("title {n}") });
    let ids = fixture.create(titles).await;
    let dies = Arc::new(tokio::sync::Notify::new());
    let store = Arc::new(fixture.store.clone());
    let mut deaths = 0;
    loop {
        let vectorizer = Arc::new(Dying { letters: Letters::with(|_| Ok(())), dies: dies.clone() });
        let worker = Arc::new(Worker::new(parts(&store, vectorizer, LONG), WorkerLimits::default(), |_| {}));
        let run = tokio::spawn(async move { worker.drain(&CancellationToken::new()).await });
        tokio::pin!(run);
        tokio::select! {
            done = &mut run => {
                done.unwrap().unwrap();
                break;
            }
            // Its process is gone, with all that it held; another one starts.
            () = dies.notified() => run.abort(),
        }
        let _ = run.await;
        store.release_orphans().await.unwrap();
        deaths += 1;
        assert!(deaths <= 8, "a track that kills is tried no more than eight times");
    }
    let states = fixture.states(&ids).await;
    assert!(
        matches!(&states[40], TrackState::Failed { reason } if reason.contains("without a word")),
        "{:?}",
        states[40]
    );
    assert_eq!(states.iter().filter(|state| **state == TrackState::Ready).count(), 99, "after {deaths} deaths");
    assert_eq!(deaths, 8);
}
