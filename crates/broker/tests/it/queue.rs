//! The queue on a real Redis.

use std::time::Duration;

use serde_json::{Value, json};
use soniquebay_broker::celery::CeleryConfig;
use soniquebay_domain::{JobQueue, Lease, NewJob, Priority, Setback, SettledJob, Settlement, TrackFields};
use soniquebay_testkit::job_queue;

use crate::interop_tools::until;
use crate::rig::{LEASE, Rig, job, space, track, write};

#[tokio::test]
async fn the_celery_queue_keeps_the_contract() {
    let rig = Rig::new();
    let advance = |by: Duration| rig.clock.advance(by);
    let asked = job_queue::Rig {
        queue: &rig.queue,
        settlement: &rig.settlement,
        advance: &advance,
        tracks: (1..=6).map(track).collect(),
        spaces: [space(), soniquebay_domain::Space::parse("second/4/a-1").unwrap()],
    };
    job_queue::keeps_the_contract(&asked).await;
}

/// A message as a Python producer writes it, in its own words.
fn message(id: &str, track: i64, headers: &Value) -> Value {
    let mut all =
        json!({"lang": "py", "task": "calculate_vector", "id": id, "eta": null, "expires": null, "retries": 0});
    all.as_object_mut().unwrap().extend(headers.as_object().unwrap().clone());
    json!({
        "body": json!([[track, {"title": "A"}], {}, {}]).to_string(),
        "content-type": "application/json", "content-encoding": "utf-8", "headers": all,
        "properties": {"delivery_info": {"exchange": "", "routing_key": "vectorization"}, "delivery_tag": "same", "priority": 0},
    })
}

fn push(rig: &Rig, raw: &str) {
    let _: i64 = rig.ask(&[b"LPUSH", b"vectorization", raw.as_bytes()]);
}

async fn settle(rig: &Rig, leases: &[Lease]) -> usize {
    let done = |lease: &Lease| SettledJob { lease: lease.clone(), result: Ok(Some(write(lease))), analysis: None };
    rig.settlement.settle(leases.iter().map(done).collect()).await.unwrap()
}

#[tokio::test]
async fn a_late_first_holder_cannot_end_what_the_second_holds() {
    let rig = Rig::new();
    push(&rig, &message("a", 1, &json!({})).to_string());
    let first = rig.claim(10).await;
    rig.clock.advance(2 * LEASE);
    let second = rig.claim(10).await;
    assert_eq!((second.len(), second[0].lost), (1, 1));
    assert_eq!(settle(&rig, &first).await, 0);
    assert!(rig.shelf.vectors.lock().unwrap().is_empty(), "nothing is stored for who holds nothing");
    assert_eq!(rig.meta("a"), Value::Null);
    assert_eq!(rig.ask::<usize>(&[b"HLEN", b"unacked"]), 1, "the second claim stands");
    assert_eq!(settle(&rig, &second).await, 1);
    assert_eq!(rig.meta("a")["status"], "SUCCESS");
    assert!(!rig.ask::<bool>(&[b"EXISTS", b"vectorization:lost:a"]), "what ended is not suspected any more");
}

#[tokio::test]
async fn only_our_own_claims_are_given_back() {
    let rig = Rig::new();
    for (tag, queue) in [("python-1", "vectorization"), ("python-2", "scan")] {
        let entry = json!([message(tag, 1, &json!({})), "", queue]).to_string();
        let _: i64 = rig.ask(&[b"HSET", b"unacked", tag.as_bytes(), entry.as_bytes()]);
        let _: i64 = rig.ask(&[b"ZADD", b"unacked_index", b"1000", tag.as_bytes()]);
    }
    push(&rig, &message("ours", 1, &json!({})).to_string());
    assert_eq!(rig.claim(10).await.len(), 1);
    rig.clock.advance(2 * LEASE);
    assert_eq!(rig.claim(10).await.len(), 1);
    let tags: Vec<String> = rig.ask(&[b"ZRANGE", b"unacked_index", b"0", b"1"]);
    assert_eq!(tags, ["python-1", "python-2"], "a Python worker may still run these");
    assert_eq!((rig.length("scan"), rig.ask::<usize>(&[b"HLEN", b"unacked"])), (0, 3));
}

#[tokio::test]
async fn what_cannot_be_given_back_is_put_aside_and_not_lost() {
    let rig = Rig::new();
    for id in ["a", "b", "c"] {
        push(&rig, &message(id, 1, &json!({})).to_string());
    }
    assert_eq!(rig.claim(10).await.len(), 3);
    let tags: Vec<String> = rig.ask(&[b"ZRANGE", b"vectorization:leases", b"0", b"-1"]);
    let spaced = format!("[ {} , \"\" , \"vectorization\" ]", message("b", 1, &json!({})));
    for (tag, entry) in tags.iter().zip(["garbage", spaced.as_str()]) {
        let _: i64 = rig.ask(&[b"HSET", b"unacked", tag.as_bytes(), entry.as_bytes()]);
    }
    rig.clock.advance(2 * LEASE);
    let leases = rig.claim(10).await;
    assert_eq!(leases.iter().map(|lease| lease.job.id.as_str()).collect::<Vec<_>>(), ["c"]);
    let aside: Vec<String> = rig.ask(&[b"LRANGE", b"vectorization:unreadable", b"0", b"-1"]);
    assert_eq!(aside.len(), 2);
    assert!(aside.contains(&"garbage".to_owned()) && aside.contains(&spaced));
    assert_eq!(rig.ask::<usize>(&[b"HLEN", b"unacked"]), 1);
}

#[tokio::test]
async fn a_message_comes_back_as_it_was() {
    let rig = Rig::new();
    let mut odd = message("a", 1, &json!({"stamps": {}, "list": [], "large": 1e15, "long": 9_007_199_254_740_993i64}));
    odd.as_object_mut().unwrap().remove("properties");
    push(&rig, &odd.to_string());
    assert_eq!(rig.claim(10).await.len(), 1, "what a message needs is a body and a task");
    rig.clock.advance(2 * LEASE);
    rig.queue.release(rig.claim(10).await).await.unwrap();
    let raw: String = rig.ask(&[b"LINDEX", b"vectorization", b"0"]);
    let mut back: Value = serde_json::from_str(&raw).unwrap();
    assert_eq!(back["headers"].as_object_mut().unwrap().remove("redelivered"), Some(json!(true)));
    back.as_object_mut().unwrap().remove("properties");
    assert_eq!(back, odd);
}

#[tokio::test]
async fn messages_that_share_a_delivery_tag_are_two_claims() {
    let rig = Rig::new();
    for (id, track) in [("a", 1), ("b", 2)] {
        push(&rig, &message(id, track, &json!({})).to_string());
    }
    let leases = rig.claim(10).await;
    assert_eq!(leases.len(), 2);
    assert_eq!(settle(&rig, &leases[..1]).await, 1);
    rig.queue.release(leases[1..].to_vec()).await.unwrap();
    assert_eq!(rig.claim(10).await[0].job.id, leases[1].job.id);
}

#[tokio::test]
async fn what_a_python_worker_gave_back_counts_as_lost() {
    let rig = Rig::new();
    let raw = message("a", 1, &json!({}));
    push(&rig, &raw.to_string());
    let first = rig.claim(10).await;
    // As kombu restores it.
    let tags: Vec<String> = rig.ask(&[b"HKEYS", b"unacked"]);
    let _: i64 = rig.ask(&[b"HDEL", b"unacked", tags[0].as_bytes()]);
    let _: i64 = rig.ask(&[b"ZREM", b"unacked_index", tags[0].as_bytes()]);
    let mut again = raw;
    again["headers"]["redelivered"] = json!(true);
    push(&rig, &again.to_string());
    let second = rig.claim(10).await;
    assert_eq!((second.len(), settle(&rig, &first).await), (1, 0));
    rig.queue.release(second).await.unwrap();
    rig.clock.advance(2 * LEASE);
    let third = [rig.claim(10).await, rig.claim(10).await].concat();
    assert_eq!(third.len(), 1);
    rig.queue.release(third).await.unwrap();
    let fourth = rig.claim(10).await;
    assert_eq!(fourth[0].lost, 1);
    assert_eq!(settle(&rig, &fourth).await, 1);
}

#[tokio::test]
async fn vectors_that_cannot_be_stored_hold_no_others_back() {
    let rig = Rig::new();
    for id in 1..=5 {
        rig.queue.enqueue(vec![job(id, Priority::Normal)]).await.unwrap();
    }
    rig.shelf.gone.lock().unwrap().insert(track(2));
    rig.shelf.newer.lock().unwrap().insert(track(4));
    let leases = rig.claim(10).await;
    assert_eq!(settle(&rig, &leases).await, 5);
    let statuses: Vec<Value> =
        leases.iter().map(|lease| rig.meta(lease.job.id.as_str())["result"]["status"].clone()).collect();
    assert_eq!(statuses, ["success", "track_not_found", "success", "outdated", "success"]);
    assert_eq!(rig.shelf.vectors.lock().unwrap().len(), 3);
    assert_eq!(settle(&rig, &leases).await, 0);
    assert!(rig.shelf.puts.lock().unwrap().values().all(|puts| *puts == 1));
}

#[tokio::test]
async fn what_waits_is_told_apart_by_what_it_says() {
    let rig = Rig::new();
    let told = |title: &str| Some(Box::new(TrackFields { title: Some(title.into()), ..TrackFields::default() }));
    let queue = |priority, title: &str| rig.queue.enqueue(vec![NewJob { told: told(title), ..job(1, priority) }]);
    assert_eq!(queue(Priority::Bulk, "A").await.unwrap(), 1);
    assert_eq!(queue(Priority::Bulk, "A").await.unwrap(), 0, "the same again");
    assert_eq!(queue(Priority::Background, "A").await.unwrap(), 0, "less urgent");
    assert_eq!(queue(Priority::Bulk, "B").await.unwrap(), 1, "it changed since");
    assert_eq!(queue(Priority::Interactive, "B").await.unwrap(), 1, "a person waits now");
    let leases = rig.claim(1).await;
    assert_eq!(leases[0].job.told.as_deref().unwrap().title.as_deref(), Some("B"));
    let ttl: i64 = rig.ask(&[b"TTL", b"vectorization:waiting:1:test/4/a-1:embed_track"]);
    assert_eq!(ttl, -2, "what is claimed waits no more");
}

#[tokio::test]
async fn other_spaces_have_their_own_lists() {
    let rig = Rig::new();
    for (id, space) in [("a", "other/4"), ("b", "test/4/a-1"), ("c", "not a space"), ("d", "other/4")] {
        push(&rig, &message(id, 1, &json!({"soniquebay_space": space})).to_string());
    }
    let ids = |leases: &[Lease]| leases.iter().map(|lease| lease.job.id.to_string()).collect::<Vec<_>>();
    assert_eq!(ids(&rig.claim(10).await), ["b"]);
    assert_eq!(rig.meta("c")["result"]["exc_type"], "TypeError");
    assert_eq!(rig.length("vectorization:space:other/4"), 2, "for whoever serves it");
    assert_eq!(rig.queue.job_counts().await.unwrap().available, 2);
    let other = soniquebay_domain::Space::parse("other/4").unwrap();
    assert_eq!(ids(&rig.queue.claim(&other, 10, LEASE).await.unwrap()), ["a", "d"]);
    for n in 0..100 {
        push(&rig, &message(&format!("s{n}"), 1, &json!({"soniquebay_space": format!("m{n}/4")})).to_string());
    }
    push(&rig, &message("last", 1, &json!({})).to_string());
    let leases = rig.claim(1000).await;
    assert_eq!(leases.last().unwrap().job.id.as_str(), "last");
    let spaces: usize = rig.ask(&[b"SCARD", b"vectorization:spaces"]);
    assert_eq!(spaces, 64, "there is a bound, whoever sends what");
}

#[tokio::test]
async fn what_is_kept_is_bounded() {
    let rig = Rig::with(|config| config.dead_letters = 3);
    for n in 0..300 {
        push(&rig, &format!("junk {n} {}", "x".repeat(1000)));
    }
    push(&rig, &"x".repeat(3_000_000));
    assert!(rig.claim(10).await.is_empty());
    assert_eq!(rig.length("vectorization:unreadable"), 256);
    let longest: String = rig.ask(&[b"LINDEX", b"vectorization:unreadable", b"0"]);
    assert_eq!(longest.len(), 256 * 1024);
    for id in 1..=5 {
        rig.queue.enqueue(vec![job(id, Priority::Normal)]).await.unwrap();
        rig.clock.advance(Duration::from_secs(1));
    }
    let discard =
        |lease: Lease| SettledJob { lease, result: Err(Setback::Discard { reason: "no".into() }), analysis: None };
    rig.settlement.settle(rig.claim(10).await.into_iter().map(discard).collect()).await.unwrap();
    let failures = rig.queue.failures(&space(), (1..=5).map(track).collect()).await.unwrap();
    assert_eq!((failures.len(), rig.queue.job_counts().await.unwrap().discarded), (3, 3));
    assert_eq!(rig.ask::<usize>(&[b"HLEN", b"vectorization:dead:tracks"]), 3);
}

#[tokio::test]
async fn what_was_to_wait_goes_on_where_nobody_of_us_claims() {
    let rig = Rig::new();
    rig.queue.enqueue(vec![NewJob { delay: Duration::from_secs(30), ..job(1, Priority::Normal) }]).await.unwrap();
    rig.clock.advance(Duration::from_secs(30));
    until("the message", || rig.length("vectorization\u{6}\u{16}3") == 1).await;
}

#[tokio::test]
async fn a_message_that_names_what_is_no_list_spoils_no_batch() {
    let rig = Rig::new();
    let mut hostile = message("a", 1, &json!({}));
    let link = json!({"task": "next", "args": [], "kwargs": {}, "options": {"queue": "unacked"}});
    hostile["body"] = json!(json!([[1, {"title": "A"}], {}, {"callbacks": [link]}]).to_string());
    push(&rig, &hostile.to_string());
    push(&rig, &message("b", 2, &json!({})).to_string());
    let _: i64 = rig.ask(&[b"HSET", b"celery-task-meta-b", b"x", b"y"]);
    let leases = rig.claim(10).await;
    assert_eq!(settle(&rig, &leases).await, 2);
    assert_eq!((&rig.meta("a")["status"], &rig.meta("b")["status"]), (&json!("SUCCESS"), &json!("SUCCESS")));
    assert_eq!(rig.length("vectorization:unreadable"), 1, "what could not be sent is not lost");
}

#[tokio::test]
async fn what_is_there_and_what_is_gone_are_told_apart() {
    let rig = Rig::new();
    let needed = |id| NewJob { kind: soniquebay_domain::JobKind::EmbedIfNeeded, ..job(id, Priority::Normal) };
    rig.queue.enqueue(vec![job(1, Priority::Normal)]).await.unwrap();
    settle(&rig, &rig.claim(1).await).await;
    rig.queue.enqueue(vec![needed(1), needed(2)]).await.unwrap();
    let leases = rig.claim(2).await;
    let nothing =
        leases.iter().map(|lease| SettledJob { lease: lease.clone(), result: Ok(None), analysis: None }).collect();
    assert_eq!(rig.settlement.settle(nothing).await.unwrap(), 2);
    let status = |lease: &Lease| rig.meta(lease.job.id.as_str())["result"]["status"].clone();
    assert_eq!(leases.iter().map(status).collect::<Vec<_>>(), ["already_exists", "track_not_found"]);
}

#[tokio::test]
async fn a_task_may_limit_its_time() {
    let rig = Rig::new();
    push(&rig, &message("a", 1, &json!({"timelimit": [3, null]})).to_string());
    let leases = rig.claim(10).await;
    rig.clock.advance(Duration::from_secs(4));
    until("the end of it", || rig.meta("a")["status"] == "FAILURE").await;
    let result = &rig.meta("a")["result"];
    assert_eq!((&result["exc_type"], &result["exc_message"]), (&json!("TimeLimitExceeded"), &json!([3.0])));
    assert_eq!(settle(&rig, &leases).await, 0);
    assert_eq!(rig.queue.job_counts().await.unwrap().discarded, 1);
}

#[tokio::test]
async fn results_may_lie_elsewhere_and_keys_have_prefixes() {
    let redis = soniquebay_testkit::redis::RedisServer::start();
    let elsewhere = redis.url().replace("/0", "/5");
    let mut settings = CeleryConfig::new(&redis.url(), Some(&elsewhere), space()).unwrap();
    settings.key_prefix = "home:".into();
    settings.result_prefix = "home".into();
    let rig = Rig::on(redis, settings);
    rig.queue.enqueue(vec![job(1, Priority::Normal)]).await.unwrap();
    assert_eq!(rig.length("home:vectorization\u{6}\u{16}3"), 1);
    let leases = rig.claim(1).await;
    assert_eq!(rig.ask::<usize>(&[b"HLEN", b"home:unacked"]), 1);
    assert_eq!(settle(&rig, &leases).await, 1);
    let mut there = redis::Client::open(elsewhere).unwrap().get_connection().unwrap();
    let meta: String =
        redis::cmd("GET").arg(format!("home_celery-task-meta-{}", leases[0].job.id)).query(&mut there).unwrap();
    assert!(meta.contains("SUCCESS"));
    let here: Vec<String> = rig.ask(&[b"KEYS", b"*"]);
    assert_eq!(here, ["home:vectorization:token"], "nothing else is left");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_message_is_claimed_by_one() {
    let rig = Rig::new();
    let jobs = (1..=2000).map(|id| job(id, if id % 2 == 0 { Priority::Bulk } else { Priority::Normal })).collect();
    assert_eq!(rig.queue.enqueue(jobs).await.unwrap(), 2000);
    let mut claimers = tokio::task::JoinSet::new();
    for claimer in 0..8 {
        let queue = rig.beside();
        claimers.spawn(async move {
            let mut tracks = Vec::new();
            loop {
                let leases = queue.claim(&space(), 1 + claimer * 5, LEASE).await.unwrap();
                if leases.is_empty() {
                    return tracks;
                }
                tracks.extend(leases.into_iter().map(|lease| lease.job.track_id.get()));
            }
        });
    }
    let mut tracks: Vec<i64> = claimers.join_all().await.concat();
    tracks.sort_unstable();
    assert_eq!(tracks, (1..=2000).collect::<Vec<i64>>());
}
