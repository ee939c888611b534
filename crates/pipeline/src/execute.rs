use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Instant;

use metrics::{counter, histogram};
use soniquebay_domain::{
    ContentHash, JobKind, Lease, Made, MakeError, Maker, Setback, SettledJob, Space, StoreError, Subject, TrackFields,
    TrackId, Tracks, VectorWrite, Vectors,
};
use tracing::Instrument;

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
struct Todo {
    lease: Lease,
    subject: Subject,
    /// The track's version; `None` where nobody said.
    version: Option<i64>,
}

/// What became of each job of a batch.
///
/// # Errors
/// Where the catalogue cannot be read; the leases then run out and the jobs come again.
pub(crate) async fn execute(
    sources: Sources<'_>,
    maker: &dyn Maker,
    leases: Vec<Lease>,
) -> Result<Vec<SettledJob>, StoreError> {
    let mut settled = Vec::with_capacity(leases.len());
    let mut ours = Vec::with_capacity(leases.len());
    for lease in leases {
        if lease.job.space != *maker.space() {
            let error = MakeError::Away(format!("this worker makes vectors of {}", maker.space()));
            settled.push(ended(lease.clone(), Err(retry::setback(&lease.job, &error))));
        } else if lease.lost >= MOST_LOST {
            let reason = format!("whoever worked on this track ended without a word, {} times", lease.lost);
            tracing::error!(track.id = %lease.job.track_id, job.id = %lease.job.id, reason, "given up");
            settled.push(ended(lease, Err(Setback::Discard { reason })));
        } else {
            ours.push(lease);
        }
    }
    let todo = subjects(&sources, maker.space(), ours, &mut settled).await?;
    let todo = without_ready(&sources, maker.space(), todo, &mut settled).await?;
    if todo.is_empty() {
        return Ok(settled);
    }
    let (rest, subjects): (Vec<_>, Vec<_>) =
        todo.into_iter().map(|Todo { lease, subject, version }| ((lease, version), subject)).unzip();
    let (space, began) = (maker.space().to_string(), Instant::now());
    let span = tracing::debug_span!("vectorize", %space, tracks = subjects.len() as i64);
    let made = maker.make(&subjects).instrument(span).await;
    histogram!("soniquebay_embedding_duration_seconds", "space" => space.clone()).record(began.elapsed().as_secs_f64());
    let number = made.iter().filter(|made| made.vector.is_ok()).count();
    counter!("soniquebay_vectors_made_total", "space" => space).increment(number as u64);
    let mut away: Option<(MakeError, usize)> = None;
    for (((lease, version), subject), Made { vector, analysis }) in rest.into_iter().zip(subjects).zip(made) {
        let result = match vector {
            Ok(vector) => Ok(Some(VectorWrite {
                track_id: lease.job.track_id,
                space: lease.job.space.clone(),
                vector,
                content_hash: Some(subject.made_from),
                version,
                told: Some(subject.fields),
            })),
            Err(error) => {
                let setback = retry::setback(&lease.job, &error);
                if matches!(error, MakeError::Away(_)) {
                    away.get_or_insert((error, 0)).1 += 1;
                } else {
                    tracing::warn!(track.id = %lease.job.track_id, job.id = %lease.job.id, ?setback, "no vector was made");
                }
                Err(setback)
            }
        };
        settled.push(SettledJob { lease, result, analysis });
    }
    if let Some((error, jobs)) = away {
        // One line for all: it says nothing about any of them.
        tracing::warn!(%error, space = %maker.space(), jobs, "jobs wait");
    }
    for setback in settled.iter().filter_map(|settled| settled.result.as_ref().err()) {
        let setback = match setback {
            Setback::Retry { .. } => "retry",
            Setback::Snooze { .. } => "snooze",
            Setback::Discard { .. } => "discard",
        };
        counter!("soniquebay_jobs_failed_total", "setback" => setback).increment(1);
    }
    Ok(settled)
}

fn ended(lease: Lease, result: Result<Option<VectorWrite>, Setback>) -> SettledJob {
    SettledJob { lease, result, analysis: None }
}

/// What counts of a track, what its vector is made from, and its version.
type Known = (Arc<TrackFields>, Option<ContentHash>, Option<i64>);

/// What each job's vector is made of: the track as it is now, or what the message says of it where there is no catalogue.
async fn subjects(
    sources: &Sources<'_>,
    space: &Space,
    leases: Vec<Lease>,
    settled: &mut Vec<SettledJob>,
) -> Result<Vec<Todo>, StoreError> {
    let mut known: HashMap<TrackId, Known> = HashMap::new();
    if let Some(catalog) = sources.tracks {
        let ids: HashSet<TrackId> = leases.iter().map(|lease| lease.job.track_id).collect();
        let tracks = if ids.is_empty() { Vec::new() } else { catalog.tracks(ids.into_iter().collect()).await? };
        known.extend(tracks.into_iter().map(|track| {
            let fields = Arc::new(track.counts().into_owned());
            (track.id, (fields, track.made_from(space), Some(track.version)))
        }));
    }
    let mut todo = Vec::with_capacity(leases.len());
    for mut lease in leases {
        let track_id = lease.job.track_id;
        let found = match (sources.tracks, lease.job.told.take()) {
            (Some(_), _) => known.get(&track_id).cloned(),
            (None, Some(fields)) => {
                let made_from = match space.is_sound() {
                    true => ContentHash::of_file(&fields.identity),
                    false => Some(ContentHash::of(&fields)),
                };
                Some((Arc::from(fields), made_from, None))
            }
            (None, None) => {
                let reason = "the message says nothing of the track, and there is no library to ask".to_owned();
                settled.push(ended(lease, Err(Setback::Discard { reason })));
                continue;
            }
        };
        match found {
            Some((fields, Some(made_from), version)) => {
                todo.push(Todo { lease, subject: Subject { track_id, fields, made_from }, version });
            }
            // Removed after it was queued, or its file was: nothing left to do.
            Some((_, None, _)) | None => settled.push(ended(lease, Ok(None))),
        }
    }
    Ok(todo)
}

/// Sets jobs aside that ask for a vector only where it is needed, and find one. Files are heard only where they changed:
/// an event tells of a write, and not of which.
async fn without_ready(
    sources: &Sources<'_>,
    space: &Space,
    todo: Vec<Todo>,
    settled: &mut Vec<SettledJob>,
) -> Result<Vec<Todo>, StoreError> {
    let asks = |todo: &Todo| todo.lease.job.kind != JobKind::EmbedTrack;
    let ids: Vec<TrackId> = todo.iter().filter(|todo| asks(todo)).map(|todo| todo.lease.job.track_id).collect();
    if ids.is_empty() {
        return Ok(todo);
    }
    let stored = sources.vectors.vectors(space, ids).await?;
    let ready: HashMap<_, _> = stored.into_iter().map(|stored| (stored.track_id, stored.content_hash)).collect();
    let is_ready = |todo: &Todo| asks(todo) && ready.get(&todo.lease.job.track_id) == Some(&todo.subject.made_from);
    let (done, todo): (Vec<_>, Vec<_>) = todo.into_iter().partition(is_ready);
    settled.extend(done.into_iter().map(|todo| ended(todo.lease, Ok(None))));
    Ok(todo)
}
