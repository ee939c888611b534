//! Both sides of a move, counted and compared to the last bit.

use std::fmt::Debug;

use sha2::{Digest, Sha256};
use soniquebay_domain::{Database, JobId, JobState, Space, StoreError, StoredVector};

use super::{BATCH, Steps, TransferError};

/// Rows counted, and a hash over all that they hold.
#[derive(Default)]
pub(super) struct Counted {
    rows: u64,
    hash: Sha256,
}

impl Counted {
    fn add(&mut self, row: &dyn Debug) {
        self.rows += 1;
        self.hash.update(format!("{row:?}\n"));
    }
}

pub(super) fn same(what: &'static str, source: &Counted, copied: &Counted) -> Result<u64, TransferError> {
    let equal = source.rows == copied.rows && source.hash.clone().finalize() == copied.hash.clone().finalize();
    if equal { Ok(source.rows) } else { Err(TransferError::Differs(what)) }
}

pub(super) async fn tracks(store: &dyn Database, steps: &mut Steps<'_>) -> Result<Counted, StoreError> {
    let (mut counted, mut after) = (Counted::default(), 0);
    loop {
        let page = store.page(after, 0, BATCH).await?;
        let Some(last) = page.last() else { return Ok(counted) };
        after = last.id.get();
        page.iter().for_each(|track| counted.add(track));
        steps.done(page.len());
    }
}

pub(super) async fn vectors(store: &dyn Database, space: &Space, steps: &mut Steps<'_>) -> Result<Counted, StoreError> {
    let (mut counted, mut after) = (Counted::default(), 0);
    loop {
        let page = store.vector_page(space, after, 0, BATCH).await?;
        let Some(last) = page.last() else { return Ok(counted) };
        after = last.track_id.get();
        steps.done(page.len());
        for stored in page {
            let hashes = (&stored.content_hash, &stored.metadata_hash);
            counted.add(&(stored.track_id, &stored.space, hashes, stored.updated_at, bits(&stored)));
        }
    }
}

pub(super) async fn jobs(store: &dyn Database) -> Result<Counted, StoreError> {
    let (mut counted, mut after): (_, Option<JobId>) = (Counted::default(), None);
    loop {
        let page = store.jobs(None, after, BATCH).await?;
        let Some(last) = page.last() else { return Ok(counted) };
        after = Some(last.job.id.clone());
        page.iter().filter(|job| job.state != JobState::Running).for_each(|job| counted.add(job));
    }
}

pub(super) async fn keys(store: &dyn Database) -> Result<Counted, StoreError> {
    let mut counted = Counted::default();
    // A hash does not show itself.
    store.keys().await?.iter().for_each(|key| counted.add(&(key, key.hash.0)));
    Ok(counted)
}

pub(super) fn bits(stored: &StoredVector) -> Vec<u32> {
    stored.vector.as_slice().iter().map(|number| number.to_bits()).collect()
}
