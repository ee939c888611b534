use std::sync::Arc;
use std::time::Duration;

use soniquebay_domain::{JobKind, JobQueue, NewJob, Priority, Space, SystemClock, TrackId};
use soniquebay_testkit::redis::RedisServer;

use super::super::config::CeleryConfig;
use super::super::moves::Move;
use super::CeleryQueue;

/// Two processes see the same lease run out; before the second acts, its holder asked for more time.
#[tokio::test]
async fn a_lease_that_was_extended_meanwhile_is_not_taken() {
    let redis = RedisServer::start();
    let space = Space::parse("m/4").unwrap();
    let config = CeleryConfig::new(&redis.url(), None, space.clone()).unwrap();
    let queue = CeleryQueue::connect(config, Arc::new(SystemClock)).unwrap();
    let job = NewJob {
        kind: JobKind::EmbedTrack,
        track_id: TrackId::new(1).unwrap(),
        space: space.clone(),
        priority: Priority::Normal,
        delay: Duration::ZERO,
        told: None,
    };
    queue.enqueue(vec![job]).await.unwrap();
    let lease = queue.claim(&space, 1, Duration::from_secs(60)).await.unwrap().remove(0);
    let inner = &queue.inner;
    let claim = inner.claims.get(lease.token).unwrap();
    let take = || Move::expired(&claim.tag).back("vectorization", b"again");
    let now = inner.clock.now();
    assert_eq!(inner.redis.shift(now, vec![take()]).await.unwrap(), [false]);
    assert_eq!(inner.redis.hold(&[&claim.tag], None).await.unwrap(), [true]);
    let lapsed = Move::lapsed(&claim.tag).back("vectorization", b"again");
    assert_eq!(inner.redis.shift(now, vec![lapsed]).await.unwrap(), [false], "nobody else restored it");
    let later = now.after(Duration::from_secs(61));
    assert_eq!(inner.redis.shift(later, vec![take(), take()]).await.unwrap(), [true, false]);
    assert_eq!(inner.redis.hold(&[&claim.tag], None).await.unwrap(), [false]);
}

#[tokio::test]
async fn tls_is_spoken_and_a_server_that_does_not_is_an_error() {
    let redis = RedisServer::start();
    let url = redis.url().replace("redis://", "rediss://");
    let config = CeleryConfig::new(&url, None, Space::parse("m/4").unwrap()).unwrap();
    let queue = CeleryQueue::connect(config, Arc::new(SystemClock)).unwrap();
    assert!(queue.job_counts().await.is_err());
}
