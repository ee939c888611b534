//! Jobs: whether each track that needs a vector has one.

use std::collections::HashSet;

use soniquebay_domain::{JobId, Progress, Space, StoreError, TrackId};

use super::{BATCH, Fault, Fix, Found, Maintained};

pub(super) async fn check(
    store: &dyn Maintained,
    repair: bool,
    told: &(dyn Fn(Progress) + Sync),
) -> Result<Vec<Fault>, StoreError> {
    let wanted = store.wanted_spaces().await?;
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let queued = queued(store, told).await?;
    let mut forgotten = Found::default();
    for space in &wanted {
        let (mut after, mut done) = (0, 0);
        loop {
            let tracks = store.fingerprints(after, BATCH).await?;
            let Some(last) = tracks.last() else { break };
            let vectors = store.vector_fingerprints(space, after, BATCH).await?;
            after = last.track_id.get();
            done += tracks.len() as u64;
            told(Progress { step: "jobs".into(), done, total: done, per_second: 0.0 });
            let current: HashSet<_> = vectors.iter().map(|vector| (vector.track_id, &vector.content_hash)).collect();
            let lacks = tracks.iter().filter(|track| {
                let made_from = track.made_from(space);
                made_from.is_some_and(|hash| !current.contains(&(track.track_id, hash)))
            });
            let lacks = lacks.filter(|track| !queued.contains(&(track.track_id, space.clone())));
            lacks.for_each(|track| forgotten.add(track.track_id.get()));
        }
    }
    if repair && forgotten.count > 0 {
        store.reconcile().await?;
    }
    let by_itself = Fix::ByItself("whatever serves or reads the library next makes their jobs; Celery's lie elsewhere");
    let fix = if repair { Fix::Done } else { by_itself };
    let what = forgotten.told("vectors are missing, and no job of the table makes them");
    Ok(what.map(|what| Fault::new("missing_jobs", what, fix)).into_iter().collect())
}

/// The tracks and spaces that jobs are about.
async fn queued(
    store: &dyn Maintained,
    told: &(dyn Fn(Progress) + Sync),
) -> Result<HashSet<(TrackId, Space)>, StoreError> {
    let counts = store.job_counts().await?;
    let total = counts.available + counts.scheduled + counts.running + counts.discarded;
    let (mut queued, mut after): (_, Option<JobId>) = (HashSet::new(), None);
    loop {
        let page = store.jobs(None, after, BATCH).await?;
        let Some(last) = page.last() else { return Ok(queued) };
        after = Some(last.job.id.clone());
        queued.extend(page.into_iter().map(|job| (job.job.track_id, job.job.space)));
        told(Progress { step: "jobs".into(), done: queued.len() as u64, total, per_second: 0.0 });
    }
}
