use std::collections::HashMap;
use std::time::Duration;

use soniquebay_domain::{Catalog, EmbedError, Lease, SettledJob, StoreError, Track, Vector, VectorWrite, Vectorizer};

use crate::retry;

/// What became of each job of a batch.
///
/// # Errors
/// Where the catalogue cannot be read; the leases then run out and the jobs come again.
pub(crate) async fn execute(
    catalog: &dyn Catalog,
    vectorizer: &dyn Vectorizer,
    time_limit: Duration,
    leases: Vec<Lease>,
) -> Result<Vec<SettledJob>, StoreError> {
    let ids = leases.iter().map(|lease| lease.job.track_id).collect();
    let mut tracks: HashMap<_, _> = catalog.tracks(ids).await?.into_iter().map(|track| (track.id, track)).collect();
    let mut settled = Vec::with_capacity(leases.len());
    let mut todo = Vec::with_capacity(leases.len());
    for lease in leases {
        if lease.job.space != *vectorizer.space() {
            let reason = format!("this worker makes vectors of {}", vectorizer.space());
            let error = EmbedError::Unavailable(reason);
            settled.push(SettledJob { result: Err(retry::setback(&lease.job, &error)), lease });
        } else if let Some(track) = tracks.remove(&lease.job.track_id) {
            todo.push((lease, track));
        } else {
            // Removed after it was queued: nothing left to do.
            settled.push(SettledJob { lease, result: Ok(None) });
        }
    }
    // Halves of a batch that failed, until the track that spoils it stands alone.
    let mut batches = vec![todo];
    while let Some(mut batch) = batches.pop() {
        match vectorize(vectorizer, time_limit, &batch).await {
            Ok(vectors) => {
                settled
                    .extend(batch.into_iter().zip(vectors).map(|((lease, track), vector)| done(lease, track, vector)));
            }
            Err(EmbedError::Failed(_) | EmbedError::Refused(_)) if batch.len() > 1 => {
                let half = batch.split_off(batch.len() / 2);
                batches.extend([half, batch]);
            }
            Err(error) => {
                let is_away = !matches!(error, EmbedError::Failed(_) | EmbedError::Refused(_));
                if is_away {
                    // One line for all: it says nothing about any of them.
                    tracing::warn!(%error, space = %vectorizer.space(), jobs = batch.len(), "jobs wait");
                }
                let fail = |(lease, _): (Lease, Track)| {
                    let setback = retry::setback(&lease.job, &error);
                    if !is_away {
                        let (track, job) = (lease.job.track_id, lease.job.id.0);
                        tracing::warn!(track.id = %track, job.id = job, ?setback, "not embedded");
                    }
                    SettledJob { result: Err(setback), lease }
                };
                settled.extend(batch.into_iter().map(fail));
            }
        }
    }
    Ok(settled)
}

async fn vectorize(
    vectorizer: &dyn Vectorizer,
    time_limit: Duration,
    batch: &[(Lease, Track)],
) -> Result<Vec<Vector>, EmbedError> {
    if batch.is_empty() {
        return Ok(Vec::new());
    }
    let fields = batch.iter().map(|(_, track)| track.fields.clone()).collect();
    let vectors = tokio::time::timeout(time_limit, vectorizer.vectorize(fields))
        .await
        .map_err(|_| EmbedError::Failed(format!("took longer than {} s", time_limit.as_secs())))??;
    if vectors.len() == batch.len() {
        Ok(vectors)
    } else {
        Err(EmbedError::Failed(format!("{} vectors came back for {} tracks", vectors.len(), batch.len())))
    }
}

fn done(lease: Lease, track: Track, vector: Vector) -> SettledJob {
    let write = VectorWrite {
        track_id: track.id,
        space: lease.job.space.clone(),
        vector,
        content_hash: Some(track.content_hash),
    };
    SettledJob { lease, result: Ok(Some(write)) }
}
