//! Redis goes away, forgets, or stops.

use std::process::Command;
use std::time::Duration;

use serde_json::json;
use soniquebay_domain::{JobQueue, Priority, SettledJob, Settlement};
use soniquebay_pipeline::WorkerLimits;
use soniquebay_testkit::redis::RedisServer;

use crate::interop_tools::until;
use crate::rig::{LEASE, Rig, job, space, write};
use crate::work::{Desk, Work};

#[tokio::test]
async fn a_redis_that_forgot_everything_is_worked_with_anew() {
    let rig = Rig::new();
    rig.queue.enqueue(vec![job(1, Priority::Normal)]).await.unwrap();
    let old = rig.claim(1).await;
    let _: () = rig.ask(&[b"FLUSHALL"]);
    let _: () = rig.ask(&[b"SCRIPT", b"FLUSH"]);
    assert_eq!(rig.queue.enqueue(vec![job(1, Priority::Normal)]).await.unwrap(), 1);
    let new = rig.claim(1).await;
    assert!(new[0].token.0 > old[0].token.0, "no token is given out twice");
    let done = |lease| SettledJob { result: Ok(Some(write(lease))), lease: lease.clone(), analysis: None };
    assert_eq!(rig.settlement.settle(vec![done(&old[0])]).await.unwrap(), 0);
    assert_eq!(rig.settlement.settle(vec![done(&new[0])]).await.unwrap(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_starts_again_is_found_again() {
    let redis = RedisServer::start();
    let (port, url) = (redis.port(), redis.url());
    let work = Work::begin(&url, Desk::quick());
    drop(redis);
    assert!(work.queue.job_counts().await.is_err());
    let redis = RedisServer::start_on(port);
    until("the connection", || redis_answers(&url)).await;
    let told = crate::interop_tools::python_json(
        &url,
        "print(json.dumps(app.send_task('calculate_vector', [1, {'title': 'A'}], queue='vectorization').get(timeout=60)))",
    )
    .await;
    assert_eq!(told["status"], "success");
    let node = crate::interop_tools::python_json(
        &url,
        "end = time.time() + 60\n\
         while not app.control.ping(timeout=1) and time.time() < end: pass\n\
         print(json.dumps(app.control.ping(timeout=2)))",
    )
    .await;
    assert_eq!(node.as_array().map(Vec::len), Some(1), "remote control is heard again: {node}");
    work.stop().await;
    drop(redis);
}

fn redis_answers(url: &str) -> bool {
    redis::Client::open(url).and_then(|client| client.get_connection()).is_ok()
}

fn signal(pid: u32, name: &str) {
    assert!(Command::new("kill").args([name, &pid.to_string()]).status().unwrap().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_stood_still_longer_than_a_lease_loses_nothing() {
    let rig = Rig::new();
    let url = rig.redis.url();
    let limits = WorkerLimits { lease: Duration::from_secs(1), batch: 4, ..WorkerLimits::default() };
    let desk = Desk::new(|_| (Duration::from_millis(20), Ok(())));
    let work = Work::with(&url, desk, limits, Some(std::sync::Arc::new(crate::work::Library)));
    let queue = rig.beside();
    queue.enqueue((1..=60).map(|id| job(id, Priority::Normal)).collect()).await.unwrap();
    until("work", || work.desk.seen.lock().unwrap().len() > 8).await;
    signal(rig.redis.pid(), "-STOP");
    tokio::time::sleep(Duration::from_secs(8)).await;
    signal(rig.redis.pid(), "-CONT");
    until("the last vector", || work.shelf.vectors.lock().unwrap().len() == 60).await;
    until("the last message", || {
        rig.ask::<usize>(&[b"HLEN", b"unacked"]) == 0 && rig.length("vectorization\u{6}\u{16}3") == 0
    })
    .await;
    let counts = queue.job_counts().await.unwrap();
    assert_eq!((counts.running, counts.discarded), (0, 0));
    work.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_for_all_clients_is_waited_for() {
    let rig = Rig::new();
    let queue = rig.beside();
    queue.enqueue(vec![job(1, Priority::Normal)]).await.unwrap();
    let _: () = rig.ask(&[b"CLIENT", b"PAUSE", b"2000", b"ALL"]);
    let leases = queue.claim(&space(), 1, LEASE).await.unwrap();
    assert_eq!(json!(leases.len()), 1);
}
