//! Vectors: of their space's length, finite, with a direction, and with their track's filter data.

use std::collections::HashMap;

use soniquebay_domain::{Progress, SpaceSize, StoreError, StoredVector, TrackId};

use super::{Fault, Found, Maintained, Page, page};

pub(super) async fn check(
    store: &dyn Maintained,
    repair: bool,
    told: &(dyn Fn(Progress) + Sync),
) -> Result<Vec<Fault>, StoreError> {
    let mut faults = Vec::new();
    for size in store.spaces().await? {
        faults.extend(check_space(store, &size, repair, told).await?);
    }
    Ok(faults)
}

async fn check_space(
    store: &dyn Maintained,
    SpaceSize { space, vectors: total, .. }: &SpaceSize,
    repair: bool,
    told: &(dyn Fn(Progress) + Sync),
) -> Result<Vec<Fault>, StoreError> {
    let (mut broken, mut behind) = (Found::default(), Found::default());
    let (mut after, mut done, total) = (0, 0, *total);
    loop {
        let vectors = match page(after, |after, limit| store.vector_page(space, after, 0, limit)).await? {
            Page::Rows(vectors) => vectors,
            Page::Unreadable(id) => {
                broken.add(id);
                after = id;
                if let Some(id) = TrackId::new(id).filter(|_| repair) {
                    store.remove_vector(space, id).await?;
                }
                continue;
            }
        };
        let Some(last) = vectors.last() else { break };
        after = last.track_id.get();
        done += vectors.len() as u64;
        told(Progress { step: "vectors".into(), done, total, per_second: 0.0 });
        let ids = vectors.iter().map(|vector| vector.track_id).collect();
        let tracks = store.tracks(ids).await?;
        let metadata: HashMap<TrackId, _> = tracks.into_iter().map(|track| (track.id, track.metadata_hash)).collect();
        let mut amiss: Vec<StoredVector> = Vec::new();
        for vector in vectors {
            if vector.vector.as_slice().len() != space.dims() {
                broken.add(vector.track_id.get());
                if repair {
                    store.remove_vector(space, vector.track_id).await?;
                }
            } else if metadata.get(&vector.track_id).is_some_and(|hash| *hash != vector.metadata_hash) {
                behind.add(vector.track_id.get());
                amiss.push(vector);
            }
        }
        if repair && !amiss.is_empty() {
            store.restore_vectors(amiss).await?;
        }
    }
    let broken = broken.told(&format!("vectors of {space} have another length than {}, or no direction", space.dims()));
    let behind = behind.told(&format!("vectors of {space} bear filter data of what their tracks were"));
    let found = [("broken_vectors", broken), ("filter_data", behind)];
    Ok(found.into_iter().filter_map(|(name, what)| Some(Fault::mended(name, what?, repair))).collect())
}
