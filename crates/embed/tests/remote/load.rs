//! Many callers at once.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use soniquebay_domain::{EmbedError, Embedder, Purpose};
use soniquebay_embed::remote::RemoteEmbedder;
use soniquebay_testkit::ollama::{Facade, Settings};
use tokio::task::JoinSet;

use super::{embed, nomic, texts};

fn slow_facade(milliseconds: u64) -> Facade {
    let a_text = Duration::from_millis(milliseconds);
    Facade::start(Settings { a_text, ..Settings::new("nomic-embed-text", 768) }).unwrap()
}

fn with_room_for(facade: &Facade, waiting: usize) -> Arc<RemoteEmbedder> {
    let mut config = nomic(&facade.url());
    config.limits.waiting = waiting;
    Arc::new(RemoteEmbedder::new(config).unwrap())
}

/// 500 callers with a text each, in this order; who was served, in the order they were.
async fn five_hundred(embedder: &Arc<RemoteEmbedder>) -> Vec<Result<usize, EmbedError>> {
    let mut callers = JoinSet::new();
    for caller in 0..500 {
        let embedder = Arc::clone(embedder);
        callers.spawn(async move { embedder.embed(texts(1), Purpose::Query).await.map(|_| caller) });
    }
    let mut served = Vec::new();
    while let Some(result) = callers.join_next().await {
        served.push(result.unwrap());
    }
    served
}

fn resident_kilobytes() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Contract 12: never more in flight than is set, first come first served, and memory stays where it is.
#[tokio::test]
async fn five_hundred_callers_are_served_in_turn() {
    let facade = slow_facade(1);
    let embedder = with_room_for(&facade, 500);
    embedder.prepare().await.unwrap();
    let mut resident = Vec::new();
    for _ in 0..4 {
        let served: Vec<usize> = five_hundred(&embedder).await.into_iter().map(Result::unwrap).collect();
        assert_eq!(served.len(), 500);
        let out_of_turn = served.iter().enumerate().map(|(turn, caller)| turn.abs_diff(*caller)).max();
        // Two are at the server at once, and either may be held up there.
        assert!(out_of_turn <= Some(25), "somebody was served {out_of_turn:?} turns early or late");
        resident.push(resident_kilobytes());
    }
    // Each round brings 8 MB of answers; the other tests of this program run beside.
    assert!(resident[3] < resident[0] + 20 * 1024, "kB resident after each round: {resident:?}");
    let seen = facade.counters();
    assert_eq!((seen.most_in_flight, seen.requests), (2, 1 + 4 * 500));
    assert!(seen.connections <= 100, "connections are kept: {} for 2,001 requests", seen.connections);
    let counters = embedder.counters();
    assert_eq!((counters.in_flight, counters.callers, counters.retries), (0, 0, 0));
}

/// Contract 12: who leaves gives up the place, in line or at the server.
#[tokio::test]
async fn callers_that_leave_free_their_slots() {
    let facade = slow_facade(60_000);
    let mut config = nomic(&facade.url());
    config.limits.waiting = 500;
    let embedder = Arc::new(RemoteEmbedder::new(config).unwrap());
    // The warm-up takes a minute here; only that it is given up matters.
    let preparing = tokio::time::timeout(Duration::from_millis(50), embedder.prepare()).await;
    assert!(preparing.is_err());
    drop(embedder);
    facade.reached(|counters| counters.in_flight == 0).await;

    let facade = slow_facade(200);
    let embedder = with_room_for(&facade, 500);
    embedder.prepare().await.unwrap();
    let mut callers = JoinSet::new();
    for _ in 0..500 {
        let embedder = Arc::clone(&embedder);
        callers.spawn(async move { embed(&embedder, texts(1)).await });
    }
    facade.reached(|counters| counters.in_flight == 2).await;
    assert_eq!((embedder.counters().in_flight, embedder.counters().callers), (2, 500));
    callers.shutdown().await;
    assert_eq!((embedder.counters().in_flight, embedder.counters().callers), (0, 0));
    facade.reached(|counters| counters.in_flight == 0).await;
    assert_eq!(embed(&embedder, texts(1)).await.unwrap().len(), 1);
    assert!(facade.counters().requests <= 5, "those in line were never sent");
}

/// Contract 12, as it is set by default: a line without end is no service.
#[tokio::test]
async fn callers_beyond_the_line_are_sent_away() {
    let facade = slow_facade(1);
    let embedder = with_room_for(&facade, 64);
    embedder.prepare().await.unwrap();
    let served = five_hundred(&embedder).await;
    let away = served.iter().filter(|result| matches!(result, Err(EmbedError::Overloaded))).count();
    assert_eq!((away, served.iter().filter(|result| result.is_ok()).count()), (500 - 66, 66));
    assert_eq!(embedder.counters().overloaded, 500 - 66);
}
