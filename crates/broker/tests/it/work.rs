//! A worker of ours, in this process or in one that can be killed.

use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use soniquebay_broker::celery::{CeleryNode, CeleryQueue, CelerySettlement};
use soniquebay_domain::{
    ContentHash, EmbedError, Fingerprint, MetadataHash, Space, StoreError, SystemClock, Timestamp, Track, TrackFields,
    TrackId, Tracks, Vector, Vectorizer,
};
use soniquebay_pipeline::{FromFields, Parts, Worker, WorkerLimits};
use tokio_util::sync::CancellationToken;

use crate::rig::{Shelf, config, space};

/// What becomes of a track: how long it takes, and whether it works.
pub type Rule = Box<dyn Fn(&TrackFields) -> (Duration, Result<(), EmbedError>) + Send + Sync>;

/// Makes one vector for all, as its rule says, and notes what it was asked.
pub struct Desk {
    space: Space,
    rule: Rule,
    pub seen: Mutex<Vec<(Instant, TrackFields)>>,
}

impl Desk {
    pub fn new(rule: impl Fn(&TrackFields) -> (Duration, Result<(), EmbedError>) + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self { space: space(), rule: Box::new(rule), seen: Mutex::default() })
    }

    pub fn quick() -> Arc<Self> {
        Self::new(|_| (Duration::ZERO, Ok(())))
    }

    pub fn titles(&self) -> Vec<String> {
        self.seen.lock().unwrap().iter().map(|(_, track)| track.title.clone().unwrap_or_default()).collect()
    }
}

#[async_trait]
impl Vectorizer for Desk {
    fn space(&self) -> &Space {
        &self.space
    }

    fn text_dims(&self) -> usize {
        4
    }

    async fn vectorize(&self, tracks: Vec<TrackFields>) -> Result<Vec<Vector>, EmbedError> {
        let mut vectors = Vec::new();
        for track in tracks {
            self.seen.lock().unwrap().push((Instant::now(), track.clone()));
            let (takes, answer) = (self.rule)(&track);
            tokio::time::sleep(takes).await;
            answer?;
            vectors.push(Vector::new(vec![1.0, 0.0, 0.0, 0.0]).unwrap());
        }
        Ok(vectors)
    }

    async fn vectorize_query(&self, _: String) -> Result<Vector, EmbedError> {
        Err(EmbedError::Refused("nobody asks".into()))
    }

    async fn health(&self) -> Result<(), EmbedError> {
        Ok(())
    }
}

/// A library that has every track, called by its number, but for the ten thousandth.
pub struct Library;

#[async_trait]
impl Tracks for Library {
    async fn tracks(&self, ids: Vec<TrackId>) -> Result<Vec<Track>, StoreError> {
        let track = |id: TrackId| {
            let fields = TrackFields { title: Some(id.to_string()), ..TrackFields::default() };
            Track {
                id,
                version: 1,
                analysis: None,
                content_hash: ContentHash::of(&fields),
                metadata_hash: MetadataHash::of(&fields),
                created_at: Timestamp::default(),
                updated_at: Timestamp::default(),
                fields,
            }
        };
        Ok(ids.into_iter().filter(|id| id.get() != 10_000).map(track).collect())
    }

    async fn fingerprints(&self, _: i64, _: usize) -> Result<Vec<Fingerprint>, StoreError> {
        Ok(Vec::new())
    }
}

/// A worker with its node, stopped by [`Work::stop`].
pub struct Work {
    pub queue: CeleryQueue,
    pub desk: Arc<Desk>,
    pub shelf: Arc<Shelf>,
    stop: CancellationToken,
    running: tokio::task::JoinHandle<()>,
}

pub fn one_by_one() -> WorkerLimits {
    WorkerLimits { concurrency: 1, batch: 1, ..WorkerLimits::default() }
}

impl Work {
    /// By what the messages say.
    pub fn begin(url: &str, desk: Arc<Desk>) -> Self {
        Self::with(url, desk, WorkerLimits::default(), None)
    }

    pub fn with(url: &str, desk: Arc<Desk>, limits: WorkerLimits, tracks: Option<Arc<dyn Tracks>>) -> Self {
        let queue = CeleryQueue::connect(config(url), Arc::new(SystemClock)).unwrap();
        let shelf = Arc::new(Shelf::default());
        let parts = Parts {
            queue: Arc::new(queue.clone()),
            settlement: Arc::new(CelerySettlement::new(queue.clone(), shelf.clone())),
            tracks,
            vectors: shelf.clone(),
            makers: vec![Arc::new(FromFields::new(desk.clone(), FromFields::TIME_LIMIT))],
        };
        let worker = Arc::new(Worker::new(parts, limits, |_| {}));
        let stop = CancellationToken::new();
        let (until, node) = (stop.clone(), CeleryNode::new(queue.clone(), Vec::new()));
        let running = tokio::spawn(async move {
            tokio::join!(worker.run(&until), node.run(&until));
        });
        Self { queue, desk, shelf, stop, running }
    }

    pub async fn stop(self) {
        self.stop.cancel();
        self.running.await.unwrap();
    }
}

/// Name of the variable that makes this program a worker.
const WORKER: &str = "SONIQUEBAY_TEST_CELERY_WORKER";

/// The worker of a process that is killed: `url milliseconds-a-track lease-in-milliseconds`.
#[tokio::test]
async fn worker_process() {
    let Ok(told) = std::env::var(WORKER) else { return };
    let told: Vec<&str> = told.split(' ').collect();
    let [url, takes, lease] = told[..] else { panic!("{told:?}") };
    let [takes, lease] = [takes, lease].map(|number| Duration::from_millis(number.parse().unwrap()));
    let desk = Desk::new(move |track| {
        println!("works on {:?}", track.title);
        (takes, Ok(()))
    });
    let limits = WorkerLimits { concurrency: 2, batch: 4, lease };
    let work = Work::with(url, desk, limits, Some(Arc::new(Library)));
    work.running.await.unwrap();
}

/// This program again, as a worker of its own; killed when it is dropped.
pub struct WorkerProcess(Child);

impl WorkerProcess {
    pub fn begin(url: &str, takes: Duration, lease: Duration) -> Self {
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "work::worker_process", "--nocapture"])
            .env(WORKER, format!("{url} {} {}", takes.as_millis(), lease.as_millis()))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self(child)
    }

    /// With SIGKILL.
    pub fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for WorkerProcess {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
