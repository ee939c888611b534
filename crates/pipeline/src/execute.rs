use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use soniquebay_domain::{
    ContentHash, EmbedError, JobKind, Lease, Setback, SettledJob, StoreError, TrackFields, TrackId, Tracks, Vector,
    VectorWrite, Vectorizer, Vectors,
};

use crate::retry;

/// So many claims that ended without a word are enough: whoever works on this track alone dies of it.
const MOST_LOST: u32 = 8;

/// What is read and compared while jobs are done.
pub(crate) struct Sources<'a> {
    /// The catalogue, or nothing where the jobs themselves say all there is to know.
    pub(crate) tracks: Option<&'a dyn Tracks>,
    /// Vectors that are there already.
    pub(crate) vectors: &'a dyn Vectors,
}

/// A job with what its vector is made of.
struct Subject {
    lease: Lease,
    fields: Arc<TrackFields>,
    content_hash: ContentHash,
    /// `None` where nobody said.
    version: Option<i64>,
}

/// What became of each job of a batch.
///
/// # Errors
/// Where the catalogue cannot be read; the leases then run out and the jobs come again.
pub(crate) async fn execute(
    sources: Sources<'_>,
    vectorizer: &dyn Vectorizer,
    time_limit: Duration,
    leases: Vec<Lease>,
) -> Result<Vec<SettledJob>, StoreError> {
    let mut settled = Vec::with_capacity(leases.len());
    let mut ours = Vec::with_capacity(leases.len());
    for lease in leases {
        if lease.job.space != *vectorizer.space() {
            let reason = format!("this worker makes vectors of {}", vectorizer.space());
            let error = EmbedError::Unavailable(reason);
            settled.push(SettledJob { result: Err(retry::setback(&lease.job, &error)), lease });
        } else if lease.lost >= MOST_LOST {
            let reason = format!("whoever worked on this track ended without a word, {} times", lease.lost);
            tracing::error!(track.id = %lease.job.track_id, job.id = %lease.job.id, reason, "given up");
            settled.push(SettledJob { lease, result: Err(Setback::Discard { reason }) });
        } else {
            ours.push(lease);
        }
    }
    let todo = subjects(&sources, ours, &mut settled).await?;
    let todo = without_ready(&sources, vectorizer, todo, &mut settled).await?;
    // Halves of a batch that failed, until the track that spoils it stands alone.
    let mut batches = vec![todo];
    while let Some(mut batch) = batches.pop() {
        match vectorize(vectorizer, time_limit, &batch).await {
            Ok(vectors) => {
                settled.extend(batch.into_iter().zip(vectors).map(|(subject, vector)| done(subject, vector)));
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
                let fail = |Subject { lease, .. }: Subject| {
                    let setback = retry::setback(&lease.job, &error);
                    if !is_away {
                        tracing::warn!(track.id = %lease.job.track_id, job.id = %lease.job.id, ?setback, "not embedded");
                    }
                    SettledJob { result: Err(setback), lease }
                };
                settled.extend(batch.into_iter().map(fail));
            }
        }
    }
    Ok(settled)
}

/// What each job's vector is made of: the track as it is now, or what the message says of it where there is no catalogue.
async fn subjects(
    sources: &Sources<'_>,
    leases: Vec<Lease>,
    settled: &mut Vec<SettledJob>,
) -> Result<Vec<Subject>, StoreError> {
    let Some(catalog) = sources.tracks else {
        let mut todo = Vec::with_capacity(leases.len());
        for mut lease in leases {
            match lease.job.told.take() {
                Some(fields) => {
                    let content_hash = ContentHash::of(&fields);
                    todo.push(Subject { lease, fields: Arc::from(fields), content_hash, version: None });
                }
                None => {
                    let reason = "the message says nothing of the track, and there is no library to ask".to_owned();
                    settled.push(SettledJob { lease, result: Err(Setback::Discard { reason }) });
                }
            }
        }
        return Ok(todo);
    };
    let ids: HashSet<TrackId> = leases.iter().map(|lease| lease.job.track_id).collect();
    let tracks = if ids.is_empty() { Vec::new() } else { catalog.tracks(ids.into_iter().collect()).await? };
    let mut known: HashMap<_, _> = HashMap::with_capacity(tracks.len());
    known.extend(tracks.into_iter().map(|track| {
        let fields = Arc::new(track.fields);
        (track.id, (fields, track.content_hash, track.version))
    }));
    let mut todo = Vec::with_capacity(leases.len());
    for lease in leases {
        match known.get(&lease.job.track_id).cloned() {
            Some((fields, content_hash, version)) => {
                todo.push(Subject { lease, fields, content_hash, version: Some(version) });
            }
            // Removed after it was queued: nothing left to do.
            None => settled.push(SettledJob { lease, result: Ok(None) }),
        }
    }
    Ok(todo)
}

/// Sets jobs aside that ask for a vector only where it is needed, and find one.
async fn without_ready(
    sources: &Sources<'_>,
    vectorizer: &dyn Vectorizer,
    todo: Vec<Subject>,
    settled: &mut Vec<SettledJob>,
) -> Result<Vec<Subject>, StoreError> {
    let asks = |subject: &Subject| subject.lease.job.kind == JobKind::EmbedIfNeeded;
    let ids: Vec<TrackId> =
        todo.iter().filter(|subject| asks(subject)).map(|subject| subject.lease.job.track_id).collect();
    if ids.is_empty() {
        return Ok(todo);
    }
    let stored = sources.vectors.vectors(vectorizer.space(), ids).await?;
    let ready: HashMap<_, _> = stored.into_iter().map(|stored| (stored.track_id, stored.content_hash)).collect();
    let is_ready =
        |subject: &Subject| asks(subject) && ready.get(&subject.lease.job.track_id) == Some(&subject.content_hash);
    let (done, todo): (Vec<_>, Vec<_>) = todo.into_iter().partition(is_ready);
    settled.extend(done.into_iter().map(|subject| SettledJob { lease: subject.lease, result: Ok(None) }));
    Ok(todo)
}

async fn vectorize(
    vectorizer: &dyn Vectorizer,
    time_limit: Duration,
    batch: &[Subject],
) -> Result<Vec<Vector>, EmbedError> {
    if batch.is_empty() {
        return Ok(Vec::new());
    }
    let fields = batch.iter().map(|subject| TrackFields::clone(&subject.fields)).collect();
    let vectors = tokio::time::timeout(time_limit, vectorizer.vectorize(fields))
        .await
        .map_err(|_| EmbedError::Failed(format!("took longer than {} s", time_limit.as_secs())))??;
    if vectors.len() == batch.len() {
        Ok(vectors)
    } else {
        Err(EmbedError::Failed(format!("{} vectors came back for {} tracks", vectors.len(), batch.len())))
    }
}

fn done(subject: Subject, vector: Vector) -> SettledJob {
    let Subject { lease, fields, content_hash, version } = subject;
    let write = VectorWrite {
        track_id: lease.job.track_id,
        space: lease.job.space.clone(),
        vector,
        content_hash: Some(content_hash),
        version,
        told: Some(fields),
    };
    SettledJob { lease, result: Ok(Some(write)) }
}
