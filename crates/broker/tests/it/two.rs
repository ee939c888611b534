//! Files to be heard lie on a queue of their own.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use soniquebay_broker::celery::{CeleryNode, CelerySettlement, TwoQueues};
use soniquebay_domain::{
    Analyses, Analysis, AudioHash, ContentHash, Discarded, JobKind, JobQueue, JobState, Measured, NewJob, Priority,
    Setback, SettledJob, Settlement, Space, StoreError, Track, TrackId,
};
use soniquebay_testkit::celery::Process;
use tokio_util::sync::CancellationToken;

use crate::interop_tools::{inspect, python, until};
use crate::rig::{LEASE, Rig, config, job, space, write};

fn sound() -> Space {
    Space::sound(4, "ears-1").unwrap()
}

fn file(id: i64) -> NewJob {
    NewJob { kind: JobKind::AnalyzeTrack, space: sound(), ..job(id, Priority::Bulk) }
}

fn both(rig: &Rig) -> TwoQueues {
    let heard = config(&rig.redis.url()).of_analysis(sound());
    TwoQueues { embedding: rig.queue.clone(), analysis: rig.queue.beside(heard).unwrap() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_python_worker_leaves_files_to_be_heard_alone() {
    let rig = Rig::new();
    let queues = both(&rig);
    assert_eq!(queues.enqueue(vec![job(1, Priority::Bulk), file(1), file(2), file(2)]).await.unwrap(), 3);
    let counts = queues.counts_by_work().await.unwrap();
    assert_eq!((counts.embedding.available, counts.analysis.available), (1, 2));
    let tasks = r#"
@app.task(name="vectorization.calculate", acks_late=True)
def calculate(track_id, metadata=None):
    print(f"ran {track_id}", flush=True)
"#;
    let mut python = Process::worker(&rig.redis.url(), tasks, "vectorization");
    python.wait_for("ran 1");
    queues.enqueue(vec![job(3, Priority::Bulk)]).await.unwrap();
    python.wait_for("ran 3");
    assert_eq!(rig.length("analysis\u{6}\u{16}6"), 2, "they lie where nobody of Python's looks");
    let leases = queues.claim(&sound(), 10, LEASE).await.unwrap();
    assert_eq!(leases.iter().map(|lease| lease.job.track_id.get()).collect::<Vec<_>>(), [1, 2]);
    assert!(leases.iter().all(|lease| lease.job.kind == JobKind::AnalyzeTrack && lease.job.space == sound()));
}

#[tokio::test(flavor = "multi_thread")]
async fn celery_sees_files_to_be_heard_and_may_revoke_them() {
    let rig = Rig::new();
    let (queues, url) = (both(&rig), rig.redis.url());
    let (stop, node) =
        (CancellationToken::new(), CeleryNode::new(queues.embedding.clone(), vec![queues.analysis.clone()]));
    let mut dump = Process::celery(&url, &["events", "--dump"], &[]);
    let until_stop = stop.clone();
    let running = tokio::spawn(async move { node.run(&until_stop).await });
    dump.wait_for("heartbeat:");
    python(&url, "app.control.enable_events()").await;

    queues.enqueue(vec![job(1, Priority::Bulk), file(2)]).await.unwrap();
    let text = queues.claim(&space(), 10, LEASE).await.unwrap();
    let heard = queues.claim(&sound(), 10, LEASE).await.unwrap();
    assert_eq!((text.len(), heard.len()), (1, 1));
    dump.wait_for("task started: analysis.analyze_track");
    queues.enqueue(vec![file(3)]).await.unwrap();
    let of_this_node = async |what: &str| {
        let answer = inspect(&url, &[what]).await;
        answer.as_object().unwrap().values().next().unwrap().clone()
    };
    let names: Vec<_> =
        of_this_node("active_queues").await.as_array().unwrap().iter().map(|queue| queue["name"].clone()).collect();
    assert_eq!(names, ["vectorization", "analysis"]);
    let active = of_this_node("active").await;
    let active: Vec<_> =
        active.as_array().unwrap().iter().map(|task| task["delivery_info"]["routing_key"].clone()).collect();
    assert_eq!(active, ["vectorization", "analysis"]);
    assert_eq!(of_this_node("stats").await["prefetch_count"], 2);

    // One that runs and one that waits.
    let waiting = queues.jobs(Some(JobState::Available), None, 10).await.unwrap().remove(0).job.id;
    let running_id = heard[0].job.id.clone();
    python(&url, &format!("app.control.revoke(['{running_id}', '{waiting}'], terminate=True)")).await;
    until("what waited is gone", || rig.length("analysis\u{6}\u{16}6") == 0).await;
    assert!(queues.extend(heard, LEASE).await.unwrap().is_empty(), "what runs is given up");
    assert!(queues.claim(&sound(), 10, LEASE).await.unwrap().is_empty());
    assert_eq!(queues.extend(text, LEASE).await.unwrap().len(), 1, "the other queue's task goes on");
    stop.cancel();
    running.await.unwrap();
}

/// Keeps what it is told, before any vector of it is there.
struct Notes {
    heard: Mutex<Vec<TrackId>>,
    rig: Arc<Rig>,
}

#[async_trait]
impl Analyses for Notes {
    async fn analysis_of(&self, _: &AudioHash, _: &str) -> Result<Option<(TrackId, Analysis)>, StoreError> {
        Ok(None)
    }

    async fn keep_analyses(&self, analyses: Vec<(TrackId, Analysis)>) -> Result<Vec<Track>, StoreError> {
        assert!(
            self.rig.shelf.vectors.lock().unwrap().is_empty(),
            "a vector says that its file was heard: it comes last"
        );
        self.heard.lock().unwrap().extend(analyses.into_iter().map(|(id, _)| id));
        Ok(Vec::new())
    }

    async fn analysis_paused(&self) -> Result<bool, StoreError> {
        Ok(false)
    }

    async fn pause_analysis(&self, _: bool) -> Result<(), StoreError> {
        Ok(())
    }
}

#[tokio::test]
async fn what_was_heard_is_kept_before_its_vector() {
    let rig = Arc::new(Rig::new());
    let queues = both(&rig);
    let notes = Arc::new(Notes { heard: Mutex::default(), rig: Arc::clone(&rig) });
    let settlement = CelerySettlement::new(queues.analysis.clone(), rig.shelf.clone()).with_analyses(notes.clone());
    queues.enqueue(vec![file(1), file(2)]).await.unwrap();
    let leases = queues.claim(&sound(), 10, LEASE).await.unwrap();
    let analysis = Analysis {
        audio: AudioHash::parse(&"ab".repeat(16)).unwrap(),
        revision: "ears-1".into(),
        file: ContentHash::parse(&"0".repeat(32)).unwrap(),
        measured: Measured::default(),
    };
    let results = [Ok(Some(write(&leases[0]))), Err(Setback::Discard { reason: "it is silent".into() })];
    let settled = leases.iter().zip(results);
    let settled =
        settled.map(|(lease, result)| SettledJob { lease: lease.clone(), result, analysis: Some(analysis.clone()) });
    assert_eq!(settlement.settle(settled.collect()).await.unwrap(), 2);
    assert_eq!(*notes.heard.lock().unwrap(), leases.iter().map(|lease| lease.job.track_id).collect::<Vec<_>>());
    assert_eq!(rig.shelf.vectors.lock().unwrap().len(), 1);

    // A person sees both queues as one.
    queues.enqueue(vec![job(7, Priority::Bulk)]).await.unwrap();
    let all = queues.jobs(None, None, 10).await.unwrap();
    assert_eq!(all.iter().map(|job| job.job.track_id.get()).collect::<Vec<_>>(), [7, 2]);
    let first = queues.jobs(None, None, 1).await.unwrap().remove(0).job.id;
    let behind = queues.jobs(None, Some(first), 10).await.unwrap();
    assert_eq!(behind.len(), 1);
    assert!(queues.jobs(None, Some(behind[0].job.id.clone()), 10).await.unwrap().is_empty());
    assert_eq!(queues.failures(&sound(), vec![leases[1].job.track_id]).await.unwrap()[0].1, "it is silent");
    assert!(queues.failures(&space(), vec![leases[1].job.track_id]).await.unwrap().is_empty());
    assert_eq!(queues.retry(Discarded::Kind(JobKind::AnalyzeTrack)).await.unwrap(), 1);
    assert_eq!(queues.counts_by_work().await.unwrap().analysis.available, 1);
}
