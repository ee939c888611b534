//! What Celery's tools see of us and may ask of us: interop tests 9 to 11.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use soniquebay_broker::celery::{CeleryNode, CeleryQueue};
use soniquebay_domain::{JobQueue, SystemClock, TrackFields};
use soniquebay_testkit::celery::Process;
use tokio_util::sync::CancellationToken;

use crate::interop::is_named;
use crate::interop_tools::{inspect, python_json, until};
use crate::rig::{Rig, track};
use crate::work::{Desk, Work, one_by_one};

#[tokio::test(flavor = "multi_thread")]
async fn interop_09_inspect_sees_us() {
    let rig = Rig::new();
    let url = rig.redis.url();
    let work = Work::begin(
        &url,
        Desk::new(|track| (if is_named(track, "slow") { Duration::from_secs(300) } else { Duration::ZERO }, Ok(()))),
    );
    let told = python_json(
        &url,
        r#"
send = lambda title, **k: app.send_task('calculate_vector', [77, {'title': title}], queue='vectorization', **k)
send('quick').get(timeout=30)
print(json.dumps([send('slow', priority=6).id, send('later', countdown=300, priority=3).id]))
"#,
    )
    .await;
    let (slow, later) = (told[0].as_str().unwrap(), told[1].as_str().unwrap());
    until("work", || work.desk.titles().contains(&"slow".to_owned())).await;
    until("the one that waits", || rig.ask::<usize>(&[b"ZCARD", b"vectorization:delayed"]) == 1).await;

    let pong = inspect(&url, &["ping"]).await;
    let node = pong.as_object().unwrap().keys().next().unwrap().clone();
    assert!(node.starts_with("soniquebay-") && node.contains('@'), "{node}");
    assert_eq!(pong[&node], json!({"ok": "pong"}));
    let active = &inspect(&url, &["active"]).await[&node];
    assert_eq!((&active[0]["id"], &active[0]["name"]), (&json!(slow), &json!("calculate_vector")));
    assert_eq!((&active[0]["args"][0], &active[0]["delivery_info"]["priority"]), (&json!(77), &json!(6)));
    let scheduled = &inspect(&url, &["scheduled"]).await[&node];
    assert_eq!((&scheduled[0]["request"]["id"], &scheduled[0]["priority"]), (&json!(later), &json!(3)));
    let names =
        json!(["analysis.analyze_track", "calculate_vector", "calculate_vector_if_needed", "vectorization.calculate"]);
    assert_eq!(inspect(&url, &["registered"]).await[&node], names);
    let stats = &inspect(&url, &["stats"]).await[&node];
    assert_eq!(stats["total"]["calculate_vector"], 2);
    assert_eq!((&stats["pid"], &stats["broker"]["port"]), (&json!(std::process::id()), &json!(rig.redis.port())));
    assert_eq!(inspect(&url, &["active_queues"]).await[&node][0]["name"], "vectorization");
    let found = &inspect(&url, &["query_task", slow, later]).await[&node];
    assert_eq!((&found[slow][0], &found[later][0]), (&json!("active"), &json!("scheduled")));
    for name in ["revoked", "reserved", "clock", "conf", "report"] {
        assert!(!inspect(&url, &[name]).await[&node].is_null(), "{name}");
    }
    assert_eq!(inspect(&url, &["-d", &node, "ping"]).await[&node], json!({"ok": "pong"}));
    let others = python_json(
        &url,
        "print(json.dumps([app.control.inspect(['nobody@here'], timeout=1).ping(), app.control.ping(timeout=1), \
         app.control.broadcast('no_such_thing', reply=True, timeout=1)]))",
    )
    .await;
    assert_eq!(others[0], Value::Null, "whoever else is asked, we are silent");
    assert_eq!(others[1], json!([{node.clone(): {"ok": "pong"}}]));
    assert_eq!(others[2], json!([{node: {"error": "KeyError('no_such_thing')"}}]));
    let status =
        tokio::task::spawn_blocking(move || soniquebay_testkit::celery::command(&url, &["status"])).await.unwrap();
    assert!(String::from_utf8_lossy(&status.stdout).contains("1 node online"), "{status:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn interop_10_what_is_revoked_is_not_done() {
    let rig = Rig::new();
    let url = rig.redis.url();
    let slow =
        |track: &TrackFields| (if is_named(track, "slow") { Duration::from_secs(8) } else { Duration::ZERO }, Ok(()));
    let work = Work::with(&url, Desk::new(slow), one_by_one(), None);
    let told = python_json(
        &url,
        r#"
send = lambda track, title: app.send_task('calculate_vector', [track, {'title': title}], queue='vectorization')
running = send(1, 'slow')
while not any(app.control.inspect(timeout=1).active().values()):
    pass
waiting = send(2, 'waiting')
app.control.revoke(running.id, terminate=True)
app.control.revoke(waiting.id)
told = []
for r in [running, waiting]:
    try:
        told.append(r.get(timeout=30))
    except Exception as error:
        told.append([type(error).__name__, str(error), r.state])
after = send(3, 'after').get(timeout=30)['status']
revoked = list(app.control.inspect(timeout=2).revoked().values())[0]
print(json.dumps([told, after, sorted(revoked) == sorted([running.id, waiting.id])]))
"#,
    )
    .await;
    let revoked = |how: &str| json!(["TaskRevokedError", how, "REVOKED"]);
    assert_eq!(told, json!([[revoked("terminated"), revoked("revoked")], "success", true]));
    until("the end of what runs", || work.desk.titles() == ["slow", "after"]).await;
    assert!(!work.shelf.puts.lock().unwrap().contains_key(&track(1)), "what is terminated is not stored");
    let counts = work.queue.job_counts().await.unwrap();
    assert_eq!((counts.discarded, counts.running), (2, 0));

    // Who waits for its moment is told at once, and a worker that begins asks the others what they know.
    let told = python_json(
        &url,
        r#"
later = app.send_task('calculate_vector', [4, {'title': 'later'}], queue='vectorization', countdown=300)
while not any(app.control.inspect(timeout=1).scheduled().values()):
    pass
app.control.revoke(later.id)
try:
    later.get(timeout=30)
except Exception as error:
    print(json.dumps([later.id, type(error).__name__]))
"#,
    )
    .await;
    assert_eq!(told[1], "TaskRevokedError");
    let mut other = crate::rig::config(&url);
    other.node = "second@here".into();
    let second = CeleryQueue::connect(other, Arc::new(SystemClock)).unwrap();
    let (stop, node) = (CancellationToken::new(), CeleryNode::new(second.clone(), Vec::new()));
    let until_stop = stop.clone();
    let running = tokio::spawn(async move { node.run(&until_stop).await });
    let known = loop {
        let known = inspect(&url, &["-d", "second@here", "revoked"]).await["second@here"].clone();
        if known != json!([]) {
            break known;
        }
    };
    assert_eq!(known.as_array().map(Vec::len), Some(3), "{known}");
    let bindings: usize = rig.ask(&[b"SCARD", b"_kombu.binding.reply.celery.pidbox"]);
    assert!(bindings <= 4, "{bindings} bindings: ours went again");
    stop.cancel();
    running.await.unwrap();
    work.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn interop_11_events_and_flower_see_us() {
    let rig = Rig::new();
    let url = rig.redis.url();
    let mut dump = Process::celery(&url, &["events", "--dump"], &[]);
    let port = soniquebay_testkit::redis::free_port();
    let mut flower = Process::celery(
        &url,
        &["flower", "--address=127.0.0.1", &format!("--port={port}")],
        &[("FLOWER_UNAUTHENTICATED_API", "1")],
    );
    flower.wait_for("Connected to");
    let work = Work::begin(&url, Desk::quick());
    dump.wait_for("heartbeat:");
    let begun = Instant::now();
    dump.wait_for("heartbeat:");
    assert!(begun.elapsed() < Duration::from_secs(10), "a heartbeat every two seconds");
    // Whoever watches asks for events of tasks once, at its start: here before we were there.
    let told = python_json(
        &url,
        &format!(
            r#"
import urllib.request
app.control.enable_events(reply=True, timeout=2)
r = app.send_task('calculate_vector', [5, {{'title': 'A'}}], queue='vectorization')
r.get(timeout=30)
get = lambda path: json.load(urllib.request.urlopen('http://127.0.0.1:{port}' + path, timeout=30))
end = time.time() + 60
while time.time() < end:
    workers, tasks = get('/api/workers?refresh=1'), get('/api/tasks')
    if workers and tasks.get(r.id, {{}}).get('state') == 'SUCCESS':
        break
node = list(workers)[0]
print(json.dumps([node, workers[node], get('/api/workers?status=1'), tasks[r.id]]))
"#
        ),
    )
    .await;
    let node = told[0].as_str().unwrap();
    assert!(node.starts_with("soniquebay-"), "{told}");
    assert_eq!(told[1]["registered"].as_array().map(Vec::len), Some(4), "{told}");
    assert_eq!(told[2][node], true, "online");
    assert_eq!((&told[3]["name"], &told[3]["worker"]), (&json!("calculate_vector"), &told[0]));
    assert!(told[3]["received"].is_number() && told[3]["started"].is_number() && told[3]["runtime"].is_number());
    for kind in ["task received", "task started", "task succeeded"] {
        dump.wait_for(kind);
    }
    work.stop().await;
    dump.wait_for("shutdown");
}
