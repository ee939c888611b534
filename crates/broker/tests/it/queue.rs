//! The queue on a real Redis.

use std::time::Duration;

use soniquebay_testkit::job_queue;

use crate::rig::{Rig, space, track};

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
