use std::time::Duration;

use soniquebay_domain::{
    Change, ContentHash, Discarded, JobKind, JobState, Lease, NewJob, Priority, Setback, SettledJob, TrackId,
    TrackPatch, TrackState, VectorWrite,
};

use crate::{Fixture, change, on_each_store, space, vector};

on_each_store!(
    the_queue_keeps_the_contract,
    a_vector_and_the_end_of_its_job_are_one_step,
    an_old_token_settles_nothing,
    a_heartbeat_keeps_a_lease,
    a_change_during_a_run_makes_a_second_job_and_its_vector_wins,
    setbacks_wait_and_failures_are_kept_until_retried,
    a_changed_track_gets_a_new_chance,
    people_come_before_scans,
    the_reconciler_finds_what_no_job_told,
    each_wanted_space_has_its_own_jobs,
    a_cancelled_job_stays_cancelled,
    what_is_queued_by_hand_joins_what_waits,
    claims_that_end_without_a_word_are_counted,
);

const LEASE: Duration = Duration::from_secs(60);

async fn hash(fixture: &Fixture, id: TrackId) -> ContentHash {
    fixture.store.tracks(vec![id]).await.unwrap().remove(0).content_hash
}

fn with_vector(lease: Lease, hash: ContentHash) -> SettledJob {
    let write = VectorWrite::new(lease.job.track_id, space(), vector([1.0, 0.0, 0.0, 0.0]), Some(hash));
    SettledJob { lease, result: Ok(Some(write)), analysis: None }
}

async fn claim_one(fixture: &Fixture) -> Lease {
    let mut leases = fixture.store.claim(&space(), 10, LEASE).await.unwrap();
    assert_eq!(leases.len(), 1);
    leases.remove(0)
}

fn retitled(title: &str) -> TrackPatch {
    TrackPatch { title: Change::Set(title.into()), ..TrackPatch::default() }
}

async fn a_vector_and_the_end_of_its_job_are_one_step(fixture: Fixture) {
    let id = fixture.create("A").await;
    let lease = claim_one(&fixture).await;
    assert!(fixture.store.claim(&space(), 10, LEASE).await.unwrap().is_empty(), "a claimed job is not claimed again");
    let settled = with_vector(lease, hash(&fixture, id).await);
    assert_eq!(fixture.store.settle(vec![settled.clone()]).await.unwrap(), 1);
    assert_eq!(fixture.store.states(&space(), vec![id]).await.unwrap(), [(id, TrackState::Ready)]);
    assert_eq!(fixture.store.settle(vec![settled]).await.unwrap(), 0, "settling twice changes nothing");
}

async fn an_old_token_settles_nothing(fixture: Fixture) {
    let id = fixture.create("A").await;
    let first = claim_one(&fixture).await;
    fixture.clock.advance(LEASE + Duration::from_secs(1));
    let second = claim_one(&fixture).await;
    assert_eq!((&second.job.id, second.token != first.token), (&first.job.id, true));
    let hash = hash(&fixture, id).await;
    assert_eq!(fixture.store.settle(vec![with_vector(first.clone(), hash.clone())]).await.unwrap(), 0);
    assert!(fixture.store.vectors(&space(), vec![id]).await.unwrap().is_empty());
    assert!(fixture.store.extend(vec![first], LEASE).await.unwrap().is_empty());
    assert_eq!(fixture.store.settle(vec![with_vector(second, hash)]).await.unwrap(), 1);
}

async fn a_heartbeat_keeps_a_lease(fixture: Fixture) {
    fixture.create("A").await;
    let lease = claim_one(&fixture).await;
    fixture.clock.advance(LEASE / 2);
    assert_eq!(fixture.store.extend(vec![lease], LEASE).await.unwrap().len(), 1);
    fixture.clock.advance(LEASE / 2 + Duration::from_secs(1));
    assert!(fixture.store.claim(&space(), 10, LEASE).await.unwrap().is_empty());
}

async fn a_change_during_a_run_makes_a_second_job_and_its_vector_wins(fixture: Fixture) {
    let id = fixture.create("A").await;
    let before = hash(&fixture, id).await;
    let first = claim_one(&fixture).await;
    for title in ["B", "C", "D"] {
        fixture.write(change(id, retitled(title))).await;
    }
    let second = claim_one(&fixture).await;
    assert_ne!(second.job.id, first.job.id, "a burst of changes is one further job");
    let after = hash(&fixture, id).await;
    fixture.store.settle(vec![with_vector(second, after.clone())]).await.unwrap();
    fixture.store.settle(vec![with_vector(first, before)]).await.unwrap();
    let stored = fixture.store.vectors(&space(), vec![id]).await.unwrap();
    assert_eq!((stored.len(), &stored[0].content_hash), (1, &after), "the late, older vector was not stored");
    assert_eq!(fixture.store.job_counts().await.unwrap(), soniquebay_domain::JobCounts::default());
}

async fn setbacks_wait_and_failures_are_kept_until_retried(fixture: Fixture) {
    let id = fixture.create("A").await;
    let set_back = |lease, setback| vec![SettledJob { lease, result: Err(setback), analysis: None }];
    let delay = Duration::from_secs(5);
    let lease = claim_one(&fixture).await;
    fixture.store.settle(set_back(lease, Setback::Snooze { delay, reason: "away".into() })).await.unwrap();
    assert!(fixture.store.claim(&space(), 10, LEASE).await.unwrap().is_empty(), "not before its moment");
    fixture.clock.advance(delay);
    let lease = claim_one(&fixture).await;
    assert_eq!(lease.job.attempts.made, 0, "a snooze spends no attempt");
    fixture.store.settle(set_back(lease, Setback::Retry { delay, reason: "bad luck".into() })).await.unwrap();
    fixture.clock.advance(delay);
    let lease = claim_one(&fixture).await;
    assert_eq!(lease.job.attempts.made, 1);
    fixture.store.settle(set_back(lease, Setback::Discard { reason: "no words".into() })).await.unwrap();
    assert_eq!(
        fixture.store.states(&space(), vec![id]).await.unwrap(),
        [(id, TrackState::Failed { reason: "no words".into() })]
    );
    assert_eq!(fixture.store.reconcile().await.unwrap(), 0, "a discarded job is not made again behind a person's back");
    let kept = fixture.store.jobs(Some(JobState::Discarded), None, 10).await.unwrap();
    assert_eq!(kept[0].reason.as_deref(), Some("no words"));
    assert_eq!(fixture.store.retry(Discarded::One(kept[0].job.id.clone())).await.unwrap(), 1);
    assert_eq!(claim_one(&fixture).await.job.attempts.made, 0);
}

async fn a_changed_track_gets_a_new_chance(fixture: Fixture) {
    let id = fixture.create("A").await;
    let lease = claim_one(&fixture).await;
    let discard = Setback::Discard { reason: "no words".into() };
    fixture.store.settle(vec![SettledJob { lease, result: Err(discard), analysis: None }]).await.unwrap();
    fixture.write(change(id, retitled("B"))).await;
    assert_eq!(claim_one(&fixture).await.job.track_id, id);
    assert_eq!(fixture.store.job_counts().await.unwrap().discarded, 0);
}

async fn people_come_before_scans(fixture: Fixture) {
    let ids = [fixture.create("A").await, fixture.create("B").await, fixture.create("C").await];
    fixture.write(change(ids[2], retitled("touched by a person"))).await;
    let first = fixture.store.claim(&space(), 1, LEASE).await.unwrap();
    assert_eq!(first[0].job.track_id, ids[2]);
}

async fn the_reconciler_finds_what_no_job_told(fixture: Fixture) {
    let id = fixture.create("A").await;
    let lease = claim_one(&fixture).await;
    fixture.store.settle(vec![with_vector(lease, hash(&fixture, id).await)]).await.unwrap();
    assert_eq!(fixture.store.reconcile().await.unwrap(), 0);
    fixture.store.remove_vector(&space(), id).await.unwrap();
    let at_once = claim_one(&fixture).await;
    assert_eq!(at_once.job.track_id, id, "whoever removes a vector that is wanted asks for another");
    fixture.store.settle(vec![SettledJob { lease: at_once, result: Ok(None), analysis: None }]).await.unwrap();
    assert_eq!(fixture.store.reconcile().await.unwrap(), 1);
    assert_eq!(fixture.store.reconcile().await.unwrap(), 0, "once is enough");
    let other = soniquebay_domain::Space::parse("test/4/b-1").unwrap();
    fixture.store.want_spaces(vec![other.clone()]).await.unwrap();
    assert_eq!(fixture.store.reconcile().await.unwrap(), 1, "a new space is filled");
    assert!(fixture.store.claim(&space(), 10, LEASE).await.unwrap().is_empty(), "and the one before no more");
    assert_eq!(fixture.store.claim(&other, 10, LEASE).await.unwrap()[0].job.space, other);
}

#[tokio::test]
async fn orphans_of_a_killed_process_come_back_at_once() {
    let fixture = Fixture::sqlite().await;
    let id = fixture.create("A").await;
    let orphan = claim_one(&fixture).await;
    assert_eq!(fixture.store.release_orphans().await.unwrap(), 1);
    let lease = claim_one(&fixture).await;
    assert_eq!(lease.job.id, orphan.job.id);
    fixture.store.release(vec![lease]).await.unwrap();
    let again = claim_one(&fixture).await;
    assert_eq!(again.job.attempts.made, 0, "giving a job back spends no attempt");
    fixture.store.settle(vec![with_vector(again, hash(&fixture, id).await)]).await.unwrap();
}

async fn each_wanted_space_has_its_own_jobs(fixture: Fixture) {
    let second = soniquebay_domain::Space::parse("second/4/a-1").unwrap();
    fixture.store.want_spaces(vec![space(), second.clone()]).await.unwrap();
    let id = fixture.create("A").await;
    let lease = claim_one(&fixture).await;
    assert_eq!(lease.job.space, space());
    let of_second = fixture.store.claim(&second, 10, LEASE).await.unwrap();
    assert_eq!(of_second.iter().map(|lease| &lease.job.space).collect::<Vec<_>>(), [&second]);
    fixture.store.settle(vec![with_vector(lease, hash(&fixture, id).await)]).await.unwrap();
    assert_eq!(fixture.store.states(&space(), vec![id]).await.unwrap(), [(id, TrackState::Ready)]);
    assert_eq!(fixture.store.states(&second, vec![id]).await.unwrap(), [(id, TrackState::Pending)]);
}

async fn a_cancelled_job_stays_cancelled(fixture: Fixture) {
    let id = fixture.create("A").await;
    let lease = claim_one(&fixture).await;
    assert!(fixture.store.cancel(&lease.job.id).await.unwrap());
    assert!(!fixture.store.cancel(&lease.job.id).await.unwrap(), "once");
    let settled = with_vector(lease.clone(), hash(&fixture, id).await);
    assert_eq!(fixture.store.settle(vec![settled]).await.unwrap(), 0, "its holder has lost it");
    assert_eq!(fixture.store.release_orphans().await.unwrap(), 0);
    assert_eq!(fixture.store.reconcile().await.unwrap(), 0, "nobody makes it again");
    assert!(fixture.store.claim(&space(), 10, LEASE).await.unwrap().is_empty());
    let job = fixture.store.job(&lease.job.id).await.unwrap().unwrap();
    assert_eq!((job.state, job.reason.as_deref()), (JobState::Discarded, Some("cancelled")));
    assert_eq!(fixture.store.retry(Discarded::One(lease.job.id.clone())).await.unwrap(), 1);
    let again = claim_one(&fixture).await;
    assert!(fixture.store.cancel(&again.job.id).await.unwrap());
    fixture.write(change(id, retitled("B"))).await;
    assert_eq!(claim_one(&fixture).await.job.track_id, id, "a track that changed is wanted again");
}

async fn what_is_queued_by_hand_joins_what_waits(fixture: Fixture) {
    let id = fixture.create("A").await;
    let wanted = |kind, priority, delay| NewJob { kind, track_id: id, space: space(), priority, delay, told: None };
    let now = Duration::ZERO;
    let same = wanted(JobKind::EmbedTrack, Priority::Interactive, now);
    assert_eq!(fixture.store.enqueue(vec![same.clone(), same]).await.unwrap(), 0, "the track's own job waits");
    assert_eq!(fixture.store.jobs(None, None, 10).await.unwrap()[0].priority, 0, "at the higher priority");
    let later = wanted(JobKind::EmbedIfNeeded, Priority::Background, LEASE);
    assert_eq!(fixture.store.enqueue(vec![later]).await.unwrap(), 1, "another kind is another job");
    assert_eq!(claim_one(&fixture).await.job.kind, JobKind::EmbedTrack);
    fixture.clock.advance(LEASE);
    assert_eq!(claim_one(&fixture).await.job.kind, JobKind::EmbedIfNeeded);
}

async fn claims_that_end_without_a_word_are_counted(fixture: Fixture) {
    let id = fixture.create("A").await;
    assert_eq!(claim_one(&fixture).await.lost, 0);
    fixture.clock.advance(LEASE + Duration::from_secs(1));
    let lease = claim_one(&fixture).await;
    assert_eq!(lease.lost, 1, "a lease that ran out");
    fixture.store.release(vec![lease]).await.unwrap();
    assert_eq!(claim_one(&fixture).await.lost, 1, "giving back is a word");
    fixture.clock.advance(LEASE + Duration::from_secs(1));
    let lease = claim_one(&fixture).await;
    assert_eq!(lease.lost, 2);
    let discard = Setback::Discard { reason: "deadly".into() };
    fixture.store.settle(vec![SettledJob { lease, result: Err(discard), analysis: None }]).await.unwrap();
    assert_eq!(fixture.store.failures(&space(), vec![id]).await.unwrap(), [(id, "deadly".to_owned())]);
    assert_eq!(fixture.store.retry(Discarded::Kind(JobKind::EmbedIfNeeded)).await.unwrap(), 0);
    assert_eq!(fixture.store.retry(Discarded::Kind(JobKind::EmbedTrack)).await.unwrap(), 1);
    assert_eq!(claim_one(&fixture).await.lost, 0, "a person wants it tried anew");
}

async fn the_queue_keeps_the_contract(fixture: Fixture) {
    let second = soniquebay_domain::Space::parse("second/4/a-1").unwrap();
    let mut tracks = Vec::new();
    for title in ["A", "B", "C", "D", "E", "F"] {
        tracks.push(fixture.create(title).await);
    }
    // The contract is about jobs alone: the tracks' own are done with.
    for lease in fixture.store.claim(&space(), 10, LEASE).await.unwrap() {
        fixture.store.settle(vec![SettledJob { lease, result: Ok(None), analysis: None }]).await.unwrap();
    }
    fixture.store.want_spaces(vec![space(), second.clone()]).await.unwrap();
    let advance = |by: Duration| fixture.clock.advance(by);
    let asked = soniquebay_testkit::job_queue::Rig {
        queue: &*fixture.store,
        settlement: &*fixture.store,
        advance: &advance,
        tracks,
        spaces: [space(), second],
    };
    soniquebay_testkit::job_queue::keeps_the_contract(&asked).await;
}
