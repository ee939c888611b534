//! What every queue of jobs must keep. It panics where one does not.

use std::time::Duration;

use soniquebay_domain::{
    Discarded, JobKind, JobQueue, JobState, Lease, NewJob, Priority, Setback, SettledJob, Settlement, Space, TrackId,
};

/// A queue to be asked, which holds no job yet.
pub struct Rig<'a> {
    /// The queue.
    pub queue: &'a dyn JobQueue,
    /// What ends its jobs.
    pub settlement: &'a dyn Settlement,
    /// Moves the clock that leases and delays go by.
    pub advance: &'a (dyn Fn(Duration) + Sync),
    /// Tracks that exist, six or more.
    pub tracks: Vec<TrackId>,
    /// Two spaces that jobs may fill.
    pub spaces: [Space; 2],
}

const LEASE: Duration = Duration::from_secs(60);
const DELAY: Duration = Duration::from_secs(5);

impl Rig<'_> {
    fn job(&self, track: usize, priority: Priority) -> NewJob {
        NewJob {
            kind: JobKind::EmbedTrack,
            track_id: self.tracks[track],
            space: self.spaces[0].clone(),
            priority,
            delay: Duration::ZERO,
            told: None,
        }
    }

    async fn enqueue(&self, track: usize) {
        assert_eq!(self.queue.enqueue(vec![self.job(track, Priority::Normal)]).await.unwrap(), 1);
    }

    async fn claim(&self, limit: usize) -> Vec<Lease> {
        self.queue.claim(&self.spaces[0], limit, LEASE).await.unwrap()
    }

    async fn claim_one(&self) -> Lease {
        let mut leases = self.claim(10).await;
        assert_eq!(leases.len(), 1, "{leases:?}");
        leases.remove(0)
    }

    async fn settle(&self, lease: &Lease, setback: Option<Setback>) -> usize {
        let result = setback.map_or(Ok(None), Err);
        self.settlement.settle(vec![SettledJob { lease: lease.clone(), result, analysis: None }]).await.unwrap()
    }

    async fn is_empty(&self) {
        assert_eq!(self.claim(10).await, []);
        let counts = self.queue.job_counts().await.unwrap();
        assert_eq!((counts.available, counts.scheduled, counts.running), (0, 0, 0));
    }
}

/// Asks all of it, one after the other.
///
/// # Panics
/// Where the queue breaks the contract.
pub async fn keeps_the_contract(rig: &Rig<'_>) {
    a_job_is_done_once(rig).await;
    urgent_jobs_go_first_and_older_ones_before_newer(rig).await;
    a_lease_that_ran_out_is_lost(rig).await;
    a_heartbeat_keeps_a_lease(rig).await;
    what_is_given_back_is_as_it_was(rig).await;
    a_track_waits_once_and_again_while_it_is_worked_on(rig).await;
    delays_are_waited_for(rig).await;
    setbacks_wait_and_failures_are_kept(rig).await;
    what_is_cancelled_stays_so(rig).await;
    spaces_have_jobs_of_their_own(rig).await;
    whoever_waits_is_woken(rig).await;
    rig.is_empty().await;
}

async fn a_job_is_done_once(rig: &Rig<'_>) {
    rig.enqueue(0).await;
    let lease = rig.claim_one().await;
    assert_eq!((lease.job.track_id, lease.job.kind, lease.lost), (rig.tracks[0], JobKind::EmbedTrack, 0));
    assert_eq!(rig.claim(10).await, [], "what is claimed is not claimed again");
    assert_eq!(rig.queue.job_counts().await.unwrap().running, 1);
    let summary = rig.queue.job(&lease.job.id).await.unwrap().unwrap();
    assert_eq!((summary.state, summary.priority), (JobState::Running, Priority::Normal.level()));
    assert_eq!(rig.settle(&lease, None).await, 1);
    assert_eq!(rig.settle(&lease, None).await, 0, "ending it twice changes nothing");
    assert_eq!(rig.queue.job(&lease.job.id).await.unwrap(), None);
    rig.is_empty().await;
}

async fn urgent_jobs_go_first_and_older_ones_before_newer(rig: &Rig<'_>) {
    let order = [Priority::Bulk, Priority::Background, Priority::Normal, Priority::Bulk, Priority::Interactive];
    for (track, priority) in order.into_iter().enumerate() {
        rig.queue.enqueue(vec![rig.job(track, priority)]).await.unwrap();
    }
    let expected = [4, 2, 0, 3, 1].map(|track| rig.tracks[track]);
    let listed = rig.queue.jobs(Some(JobState::Available), None, 10).await.unwrap();
    assert_eq!(listed.len(), 5);
    let rest = rig.queue.jobs(Some(JobState::Available), Some(listed[1].job.id.clone()), 10).await.unwrap();
    assert_eq!(rest, listed[2..], "a page begins behind the last");
    let mut claimed = Vec::new();
    for limit in [1, 2, 2] {
        claimed.extend(rig.claim(limit).await);
    }
    let tracks: Vec<TrackId> = claimed.iter().map(|lease| lease.job.track_id).collect();
    let first: Vec<TrackId> = tracks[..1].to_vec();
    assert_eq!(first, expected[..1]);
    let mut pairs = (tracks[1..3].to_vec(), tracks[3..].to_vec());
    pairs.0.sort();
    pairs.1.sort();
    assert_eq!(pairs, (vec![expected[2], expected[1]], vec![expected[4], expected[3]]), "{tracks:?}");
    for lease in &claimed {
        rig.settle(lease, None).await;
    }
    rig.is_empty().await;
}

async fn a_lease_that_ran_out_is_lost(rig: &Rig<'_>) {
    rig.enqueue(0).await;
    let first = rig.claim_one().await;
    (rig.advance)(LEASE + Duration::from_secs(1));
    let second = rig.claim_one().await;
    assert_eq!((&second.job.id, second.lost, second.job.attempts.made), (&first.job.id, 1, 0));
    assert_ne!(second.token, first.token);
    assert_eq!(rig.settle(&first, None).await, 0, "an old token ends nothing");
    rig.queue.release(vec![first.clone()]).await.unwrap();
    assert_eq!(rig.claim(10).await, [], "and gives nothing back");
    assert_eq!(rig.queue.extend(vec![first], LEASE).await.unwrap(), []);
    assert_eq!(rig.settle(&second, None).await, 1);
    rig.is_empty().await;
}

async fn a_heartbeat_keeps_a_lease(rig: &Rig<'_>) {
    rig.enqueue(0).await;
    let lease = rig.claim_one().await;
    for _ in 0..3 {
        (rig.advance)(LEASE / 2);
        assert_eq!(rig.queue.extend(vec![lease.clone()], LEASE).await.unwrap().len(), 1);
        assert_eq!(rig.claim(10).await, []);
    }
    assert_eq!(rig.settle(&lease, None).await, 1);
}

async fn what_is_given_back_is_as_it_was(rig: &Rig<'_>) {
    for track in 0..3 {
        rig.enqueue(track).await;
    }
    let leases = rig.claim(2).await;
    rig.queue.release(leases.clone()).await.unwrap();
    assert_eq!(rig.settle(&leases[0], None).await, 0);
    let again = rig.claim(10).await;
    let tracks = again.iter().map(|lease| lease.job.track_id).collect::<Vec<_>>();
    assert_eq!(tracks, rig.tracks[..3]);
    assert!(again.iter().all(|lease| lease.lost == 0 && lease.job.attempts.made == 0));
    for lease in &again {
        rig.settle(lease, None).await;
    }
}

async fn a_track_waits_once_and_again_while_it_is_worked_on(rig: &Rig<'_>) {
    rig.enqueue(0).await;
    for _ in 0..3 {
        assert_eq!(rig.queue.enqueue(vec![rig.job(0, Priority::Normal)]).await.unwrap(), 0);
        assert_eq!(rig.queue.enqueue(vec![rig.job(0, Priority::Background)]).await.unwrap(), 0);
    }
    let first = rig.claim_one().await;
    assert_eq!(rig.queue.enqueue(vec![rig.job(0, Priority::Normal)]).await.unwrap(), 1, "it changed meanwhile");
    let second = rig.claim_one().await;
    assert_ne!(second.job.id, first.job.id);
    assert_eq!((rig.settle(&second, None).await, rig.settle(&first, None).await), (1, 1));
    rig.is_empty().await;
}

async fn delays_are_waited_for(rig: &Rig<'_>) {
    let delayed = NewJob { delay: DELAY, ..rig.job(0, Priority::Normal) };
    assert_eq!(rig.queue.enqueue(vec![delayed]).await.unwrap(), 1);
    assert_eq!(rig.claim(10).await, []);
    assert_eq!(rig.queue.job_counts().await.unwrap().scheduled, 1);
    (rig.advance)(DELAY);
    assert_eq!(rig.queue.job_counts().await.unwrap().scheduled, 0);
    let lease = rig.claim_one().await;
    rig.settle(&lease, None).await;
}

async fn setbacks_wait_and_failures_are_kept(rig: &Rig<'_>) {
    let (space, track) = (&rig.spaces[0], rig.tracks[1]);
    rig.enqueue(1).await;
    let lease = rig.claim_one().await;
    assert_eq!(rig.settle(&lease, Some(Setback::Snooze { delay: DELAY, reason: "away".into() })).await, 1);
    assert_eq!(rig.claim(10).await, [], "not before its moment");
    let waiting = rig.queue.job(&lease.job.id).await.unwrap().unwrap();
    assert_eq!((waiting.state, waiting.reason.as_deref()), (JobState::Available, Some("away")));
    (rig.advance)(DELAY);
    let lease = rig.claim_one().await;
    assert_eq!(lease.job.attempts.made, 0, "a snooze spends no attempt");
    rig.settle(&lease, Some(Setback::Retry { delay: DELAY, reason: "bad luck".into() })).await;
    (rig.advance)(DELAY);
    let again = rig.claim_one().await;
    assert_eq!((&again.job.id, again.job.attempts.made), (&lease.job.id, 1));
    rig.settle(&again, Some(Setback::Discard { reason: "no words".into() })).await;
    assert_eq!(rig.queue.failures(space, rig.tracks.clone()).await.unwrap(), [(track, "no words".to_owned())]);
    assert_eq!(rig.queue.failures(&rig.spaces[1], rig.tracks.clone()).await.unwrap(), []);
    let kept = rig.queue.jobs(Some(JobState::Discarded), None, 10).await.unwrap();
    assert_eq!((kept.len(), kept[0].reason.as_deref()), (1, Some("no words")));
    assert_eq!(rig.queue.job_counts().await.unwrap().discarded, 1);
    assert_eq!(rig.queue.retry(Discarded::Kind(JobKind::EmbedIfNeeded)).await.unwrap(), 0);
    assert_eq!(rig.queue.retry(Discarded::One(kept[0].job.id.clone())).await.unwrap(), 1);
    assert_eq!(rig.queue.failures(space, vec![track]).await.unwrap(), []);
    let lease = rig.claim_one().await;
    assert_eq!(lease.job.attempts.made, 0, "with fresh attempts");
    rig.settle(&lease, Some(Setback::Discard { reason: "still none".into() })).await;
    assert_eq!(rig.queue.retry(Discarded::Kind(JobKind::EmbedTrack)).await.unwrap(), 1);
    let lease = rig.claim_one().await;
    rig.settle(&lease, Some(Setback::Discard { reason: "still none".into() })).await;
    rig.enqueue(1).await;
    assert_eq!(rig.queue.job_counts().await.unwrap().discarded, 0, "a change of the track forgets its failure");
    let lease = rig.claim_one().await;
    rig.settle(&lease, None).await;
    assert_eq!(rig.queue.retry(Discarded::All).await.unwrap(), 0);
}

async fn what_is_cancelled_stays_so(rig: &Rig<'_>) {
    rig.enqueue(2).await;
    let waiting = rig.queue.jobs(None, None, 10).await.unwrap().remove(0).job.id;
    assert!(rig.queue.cancel(&waiting).await.unwrap());
    assert!(!rig.queue.cancel(&waiting).await.unwrap(), "once");
    assert_eq!(rig.claim(10).await, []);
    assert_eq!(rig.queue.retry(Discarded::All).await.unwrap(), 1);
    let lease = rig.claim_one().await;
    assert!(rig.queue.cancel(&lease.job.id).await.unwrap());
    assert_eq!(rig.settle(&lease, None).await, 0, "its holder has lost it");
    (rig.advance)(2 * LEASE);
    assert_eq!(rig.claim(10).await, []);
    let job = rig.queue.job(&lease.job.id).await.unwrap().unwrap();
    assert_eq!((job.state, job.reason.as_deref()), (JobState::Discarded, Some("cancelled")));
    rig.enqueue(2).await;
    let lease = rig.claim_one().await;
    rig.settle(&lease, None).await;
    rig.is_empty().await;
}

async fn spaces_have_jobs_of_their_own(rig: &Rig<'_>) {
    let other = NewJob { space: rig.spaces[1].clone(), ..rig.job(3, Priority::Normal) };
    rig.enqueue(3).await;
    assert_eq!(rig.queue.enqueue(vec![other]).await.unwrap(), 1);
    let second = rig.queue.claim(&rig.spaces[1], 10, LEASE).await.unwrap();
    assert_eq!(second.iter().map(|lease| &lease.job.space).collect::<Vec<_>>(), [&rig.spaces[1]]);
    let first = rig.claim_one().await;
    assert_eq!(first.job.space, rig.spaces[0]);
    for lease in second.iter().chain([&first]) {
        assert_eq!(rig.settle(lease, None).await, 1);
    }
}

async fn whoever_waits_is_woken(rig: &Rig<'_>) {
    assert_eq!(rig.claim(10).await, []);
    let begun = std::time::Instant::now();
    let wait = rig.queue.wait(Duration::from_secs(60));
    let (_, made) = tokio::join!(wait, rig.queue.enqueue(vec![rig.job(4, Priority::Normal)]));
    assert_eq!(made.unwrap(), 1);
    assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
    let lease = rig.claim_one().await;
    rig.settle(&lease, None).await;
}
