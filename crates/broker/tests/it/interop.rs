//! The twelve ways in which a real Celery meets our queue; each test bears the number of the way. Those of remote control
//! and events are in `watched.rs`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use soniquebay_domain::{EmbedError, JobQueue, NewJob, Priority, TrackFields};
use soniquebay_testkit::celery::Process;

use crate::interop_tools::{python, python_json, until};
use crate::rig::{Rig, job, track};
use crate::work::{Desk, Library, Work, WorkerProcess, one_by_one};

pub(crate) fn is_named(track: &TrackFields, title: &str) -> bool {
    track.title.as_deref() == Some(title)
}

/// Neither held nor waiting.
fn assert_all_is_done(rig: &Rig) {
    for key in ["unacked", "unacked_index", "vectorization:leases", "vectorization:delayed", "vectorization"] {
        assert!(!rig.ask::<bool>(&[b"EXISTS", key.as_bytes()]), "{key} is left");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn interop_01_a_result_is_got() {
    let rig = Rig::new();
    let url = rig.redis.url();
    let work = Work::begin(&url, Desk::quick());
    let told = python_json(
        &url,
        "from datetime import datetime\n\
         r = app.send_task('calculate_vector', [123, {'artist': 'Björk'}], queue='vectorization', priority=5)\n\
         got = r.get(timeout=30)\n\
         assert isinstance(r.date_done, datetime), r.date_done\n\
         print(json.dumps({'id': r.id, 'got': got, 'state': r.state}))",
    )
    .await;
    assert_eq!(told["state"], "SUCCESS");
    let expected = json!({"task_id": told["id"], "track_id": 123, "status": "success", "vector_dimension": 4,
                          "embedding_model": "test"});
    assert_eq!(told["got"], expected);
    assert_eq!(work.desk.seen.lock().unwrap()[0].1.artist.as_deref(), Some("Björk"));
    assert_eq!(work.shelf.puts.lock().unwrap()[&track(123)], 1);
    assert_all_is_done(&rig);
    work.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn interop_02_every_form_of_a_message_is_done() {
    let rig = Rig::new();
    let url = rig.redis.url();
    let work = Work::with(&url, Desk::quick(), Default::default(), Some(Arc::new(Library)));
    let told = python_json(
        &url,
        r#"
import datetime, decimal, uuid
send = lambda *a, **k: app.send_task(*a, queue='vectorization', **k)
sent = []
track = lambda: len(sent) + 1
for task in ['calculate_vector', 'vectorization.calculate']:
    sent.append(send(task, kwargs={'track_id': track(), 'metadata': {'title': 'Jóga', 'bpm': float('nan')}}))
    sent.append(send(task, [str(track()), {'title': 'x', 'at': datetime.datetime.now(), 'id': uuid.uuid4(), 'n': decimal.Decimal('1.5')}]))
    sent.append(send(task, [track()], compression='gzip'))
sent.append(send('calculate_vector_if_needed', [track()]))
app.conf.task_protocol = 1
sent.append(send('calculate_vector', [track()], {'metadata': {'title': 'old'}}))
app.conf.task_protocol = 2
app.conf.broker_transport_options = {'body_encoding': 'utf-8'}
plain = Celery('plain', broker=os.environ['REDIS'], backend=os.environ['REDIS'])
plain.conf.broker_transport_options = {'body_encoding': 'utf-8'}
sent.append(plain.send_task('calculate_vector', [track(), {'title': 'Jóga'}], queue='vectorization'))
gone = send('calculate_vector', [10000])
print(json.dumps([[r.get(timeout=30)['status'] for r in sent], [r.get()['track_id'] for r in sent], gone.get(timeout=30)]))
"#,
    )
    .await;
    assert_eq!(told[0], json!(vec!["success"; 9]));
    assert_eq!(told[1], json!([1, 2, 3, 4, 5, 6, 7, 8, 9]));
    assert_eq!((&told[2]["status"], &told[2]["vector_dimension"]), (&json!("track_not_found"), &Value::Null));
    assert_all_is_done(&rig);
    work.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn interop_03_a_failure_is_raised() {
    let rig = Rig::new();
    let url = rig.redis.url();
    let work = Work::begin(&url, Desk::new(|_| (Duration::ZERO, Err(EmbedError::Refused("no words in it".into())))));
    let told = python_json(
        &url,
        r#"
after = app.signature('errback', queue='elsewhere')
r = app.send_task('calculate_vector', [7, {'title': 'A'}], queue='vectorization', link_error=after)
try:
    r.get(timeout=30)
except Exception as error:
    print(json.dumps([type(error).__name__, str(error), r.traceback, r.state]))
"#,
    )
    .await;
    assert_eq!(told[0], "EmbeddingError");
    assert_eq!((&told[1], &told[3]), (&json!("no words in it"), &json!("FAILURE")));
    assert!(told[2].as_str().is_some_and(|text| text.contains("no words in it")), "{told}");
    assert_eq!(rig.length("elsewhere"), 1, "who asked to be told of a failure is");
    let space = crate::rig::space();
    let failures = work.queue.failures(&space, vec![track(7)]).await.unwrap();
    assert_eq!(failures, [(track(7), "no words in it".to_owned())]);
    assert_all_is_done(&rig);
    work.stop().await;
}

const PYTHON_TASKS: &str = r#"
@app.task(name='calculate_vector', bind=True)
def calculate_vector(self, track_id, metadata=None):
    print('RAN ' + json.dumps([self.name, track_id, metadata, self.request.delivery_info.get('priority')]), flush=True)
    return {'track_id': track_id}

@app.task(name='vectorization.calculate', bind=True)
def calculate(self, track_id, metadata=None):
    print('RAN ' + json.dumps([self.name, track_id, metadata, self.request.delivery_info.get('priority')]), flush=True)

@app.task(name='calculate_vector_if_needed', bind=True)
def if_needed(self, track_id):
    print('RAN ' + json.dumps([self.name, track_id, None, self.request.delivery_info.get('priority')]), flush=True)
"#;

#[tokio::test(flavor = "multi_thread")]
async fn interop_04_a_python_worker_does_what_we_queue() {
    let rig = Rig::new();
    let mut python = Process::worker(&rig.redis.url(), PYTHON_TASKS, "vectorization");
    let told = TrackFields {
        title: Some("Jóga".into()),
        artist: Some("Björk".into()),
        genre: Some("Electronic".into()),
        year: Some(1997),
        ..TrackFields::default()
    };
    let created = NewJob { told: Some(Box::new(told)), ..job(123, Priority::Normal) };
    let needed = NewJob { kind: soniquebay_domain::JobKind::EmbedIfNeeded, ..job(125, Priority::Background) };
    rig.queue.enqueue(vec![created, job(124, Priority::Bulk), needed]).await.unwrap();
    let metadata = json!({"title": "Jóga", "artist": "Björk", "genre": "Electronic", "year": 1997});
    for expected in [
        json!(["calculate_vector", 123, metadata, 3]),
        json!(["vectorization.calculate", 124, null, 6]),
        json!(["calculate_vector_if_needed", 125, null, 9]),
    ] {
        let line = python.wait_for("RAN");
        let ran: Value = serde_json::from_str(line.split_once("RAN ").unwrap().1).unwrap();
        assert_eq!(ran, expected);
    }
    assert_eq!(rig.queue.job_counts().await.unwrap().available, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn interop_05_priorities_are_kombus() {
    let rig = Rig::new();
    let url = rig.redis.url();
    python(
        &url,
        "for p in [9, 6, 3, 0, 9, 5, None]:\n\
         \x20   app.send_task('calculate_vector', [1, {'title': str(p)}], queue='vectorization', priority=p)",
    )
    .await;
    let lengths =
        ["", "\u{6}\u{16}3", "\u{6}\u{16}6", "\u{6}\u{16}9"].map(|end| rig.length(&format!("vectorization{end}")));
    assert_eq!(lengths, [2, 2, 1, 2]);
    let work = Work::with(&url, Desk::quick(), one_by_one(), None);
    until("the last of seven", || work.desk.seen.lock().unwrap().len() == 7).await;
    assert_eq!(work.desk.titles(), ["0", "None", "3", "5", "6", "9", "9"]);
    work.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn interop_06_twenty_kills_lose_no_task() {
    const TASKS: usize = 200;
    let rig = Rig::new();
    let url = rig.redis.url();
    let ids = python_json(
        &url,
        "print(json.dumps([app.send_task('calculate_vector', [n + 1], queue='vectorization').id for n in range(200)]))",
    )
    .await;
    let ids: Vec<String> = serde_json::from_value(ids).unwrap();
    let done = || ids.iter().filter(|id| rig.meta(id)["status"] == "SUCCESS").count();
    let (takes, lease) = (Duration::from_millis(10), Duration::from_secs(1));
    for _ in 0..20 {
        let worker = WorkerProcess::begin(&url, takes, lease);
        // Killed after so many more results, or when it holds what it will not end.
        let enough = (done() + fastrand::usize(0..8)).min(TASKS);
        until("work", || {
            done() >= enough && rig.ask::<usize>(&[b"ZCARD", b"vectorization:leases"]) > 0 || done() == TASKS
        })
        .await;
        worker.kill();
    }
    let _last = WorkerProcess::begin(&url, takes, lease);
    until("the last result", || done() == TASKS).await;
    until("the last message", || rig.ask::<usize>(&[b"HLEN", b"unacked"]) == 0).await;
    let tracks: std::collections::BTreeSet<i64> =
        ids.iter().map(|id| rig.meta(id)["result"]["track_id"].as_i64().unwrap()).collect();
    assert_eq!(tracks.len(), TASKS);
    assert_all_is_done(&rig);
}

/// A Python worker of another queue, which gives back what nobody refreshed for four seconds.
fn impatient(url: &str) -> Process {
    let tasks = "app.conf.broker_transport_options = \
                 {'visibility_timeout': 4, 'unacked_restore_interval': 1, 'unacked_restore_throttle': 1}";
    Process::worker(url, tasks, "elsewhere")
}

#[tokio::test(flavor = "multi_thread")]
async fn interop_07_what_is_held_is_not_restored_and_what_was_lost_is() {
    let rig = Rig::new();
    let url = rig.redis.url();
    let _python = impatient(&url);
    let work = Work::begin(&url, Desk::new(|_| (Duration::from_secs(15), Ok(()))));
    let told = python_json(
        &url,
        "r = app.send_task('calculate_vector', [1, {'title': 'slow'}], queue='vectorization')\n\
         print(json.dumps(r.get(timeout=60)))",
    )
    .await;
    assert_eq!(told["status"], "success");
    assert_eq!(work.desk.titles(), ["slow"], "once");
    work.stop().await;

    let worker = WorkerProcess::begin(&url, Duration::from_secs(60), Duration::from_secs(600));
    python(&url, "app.send_task('calculate_vector', [2], queue='vectorization')").await;
    until("a claim", || rig.ask::<usize>(&[b"HLEN", b"unacked"]) == 1).await;
    worker.kill();
    let killed = Instant::now();
    until("a message that was given back", || rig.length("vectorization") == 1).await;
    assert!(killed.elapsed() < Duration::from_secs(4 + 1 + 3), "{:?}", killed.elapsed());
    let raw: String = rig.ask(&[b"LINDEX", b"vectorization", b"0"]);
    let message: Value = serde_json::from_str(&raw).unwrap();
    assert_eq!(message["headers"]["redelivered"], true);
    assert_eq!(message["properties"]["delivery_info"]["redelivered"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn interop_08_moments_and_retries_are_kept() {
    let rig = Rig::new();
    let url = rig.redis.url();
    let tries = std::sync::atomic::AtomicUsize::new(0);
    let work = Work::begin(
        &url,
        Desk::new(move |track| {
            let fails = is_named(track, "thrice") && tries.fetch_add(1, std::sync::atomic::Ordering::SeqCst) < 2;
            (Duration::ZERO, if fails { Err(EmbedError::Failed("not yet".into())) } else { Ok(()) })
        }),
    );
    let told = python_json(
        &url,
        r#"
send = lambda title, **k: app.send_task('calculate_vector', [1, {'title': title}], queue='vectorization', **k)
sent = time.time()
later = send('later', countdown=3)
late = send('late', expires=-5)
later.get(timeout=30)
took = time.time() - sent
try:
    late.get(timeout=30)
    expired = None
except Exception as error:
    expired = [type(error).__name__, str(error), late.state]
thrice = send('thrice')
states = set()
while thrice.state != 'SUCCESS':
    states.add(thrice.state)
    time.sleep(0.05)
print(json.dumps([took, expired, sorted(states), thrice.get(timeout=30)['task_id'] == thrice.id]))
"#,
    )
    .await;
    let took = told[0].as_f64().unwrap();
    assert!((3.0..4.5).contains(&took), "{told}");
    assert_eq!(told[1], json!(["TaskRevokedError", "expired", "REVOKED"]));
    assert_eq!(told[2].as_array().unwrap().last(), Some(&json!("RETRY")), "{told}");
    assert_eq!(told[3], true);
    let titles = work.desk.titles();
    assert_eq!(titles, ["later", "thrice", "thrice", "thrice"]);
    assert_all_is_done(&rig);
    work.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn interop_12_what_cannot_be_done_stops_nobody() {
    let rig = Rig::new();
    let url = rig.redis.url();
    let work = Work::begin(&url, Desk::quick());
    let told = python_json(
        &url,
        r#"
import redis, copy
client = redis.Redis.from_url(os.environ['REDIS'])
for junk in ['not json', '{}', '[]', '3', '{"body": 3}', '{"body": "e30="}', b'\xff\xfe', '[' * 100000, '{"body": "", "headers": []}']:
    client.lpush('vectorization', junk)
send = lambda name, *a, **k: app.send_task(name, *a, queue='vectorization', **k)
failing = [send('no.such.task', [1]), send('calculate_vector', []), send('calculate_vector', [{'a': 1}])]
app.conf.accept_content = ['json', 'pickle']
failing.append(send('calculate_vector', [1], serializer='pickle'))
failing.append(send('calculate_vector', [1, {'title': 'x' * 5_000_000}]))
from celery import group, chord
told = []
for r in failing:
    try:
        told.append(r.get(timeout=30))
    except BaseException as error:
        told.append([type(error).__name__, str(error)[:60], r.state])
good = send('calculate_vector', [9, {'title': 'good', 'bpm': float('nan'), 'energy': float('inf')}]).get(timeout=30)
chain = app.signature('calculate_vector', [10, {'title': 'first'}], queue='vectorization', immutable=True) | app.signature('calculate_vector', [11, {'title': 'second'}], queue='vectorization', immutable=True)
second = chain.apply_async().get(timeout=30)
print(json.dumps([told, good['status'], second['track_id'], client.llen('vectorization:unreadable')]))
"#,
    )
    .await;
    let kinds: Vec<&str> = told[0].as_array().unwrap().iter().map(|one| one[0].as_str().unwrap()).collect();
    assert_eq!(kinds, ["NotRegistered", "TypeError", "TypeError", "ContentDisallowed", "DecodeError"], "{told}");
    assert_eq!((&told[1], &told[2]), (&json!("success"), &json!(11)), "{told}");
    assert_eq!(told[3], 9 + 5);
    assert_eq!(work.desk.titles(), ["good", "first", "second"]);
    assert_all_is_done(&rig);
    let mut python = Process::snippet(
        &url,
        &format!(
            "{PYTHON_TASKS}\napp.worker_main(['worker', '-P', 'solo', '-Q', 'elsewhere', '-l', 'INFO', '-n', 'joins@here'])"
        ),
    );
    python.wait_for("mingle: sync with 1 nodes");
    python.wait_for("ready.");
    work.stop().await;
}
