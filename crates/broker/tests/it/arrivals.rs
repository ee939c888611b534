//! How soon a message is seen that somebody else sent.

use std::time::{Duration, Instant};

use soniquebay_domain::{JobQueue, Priority};

use crate::rig::{LEASE, Rig, job, space};

/// How long who waits waits on after a message was sent; the median of several.
async fn latency(priority: Priority) -> Duration {
    let rig = Rig::new();
    let waiter = rig.beside();
    let mut took = Vec::new();
    for id in 1..=9 {
        assert!(waiter.claim(&space(), 10, LEASE).await.unwrap().is_empty());
        let (other, queue) = (waiter.clone(), rig.queue.clone());
        let waiting = tokio::spawn(async move {
            other.wait(Duration::from_secs(20)).await;
            Instant::now()
        });
        // Time to begin to wait, and an odd one, so that no look falls together with it.
        tokio::time::sleep(Duration::from_millis(230 + 17 * id as u64)).await;
        let sent = Instant::now();
        queue.enqueue(vec![job(id, priority)]).await.unwrap();
        took.push(waiting.await.unwrap().saturating_duration_since(sent));
        assert_eq!(waiter.claim(&space(), 10, LEASE).await.unwrap().len(), 1);
    }
    took.sort();
    println!("{priority:?}: {took:?}");
    took[took.len() / 2]
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_is_woken_at_once_for_a_person_and_soon_for_others() {
    let urgent = latency(Priority::Interactive).await;
    assert!(urgent < Duration::from_millis(10), "{urgent:?}");
    let other = latency(Priority::Bulk).await;
    assert!(other < Duration::from_millis(250), "{other:?}");
}

#[tokio::test]
async fn who_is_woken_and_does_not_look_is_not_woken_again() {
    let rig = Rig::new();
    rig.queue.enqueue(vec![job(1, Priority::Interactive)]).await.unwrap();
    let waiter = rig.beside();
    waiter.wait(Duration::from_secs(20)).await;
    // No model is there: nothing is claimed.
    let begun = Instant::now();
    waiter.wait(Duration::from_millis(400)).await;
    assert!(begun.elapsed() >= Duration::from_millis(400), "a worker without a model does not spin");
    assert!(waiter.claim(&space(), 10, LEASE).await.unwrap().len() == 1);
}
