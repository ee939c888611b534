//! Tracks: what is computed from their fields.

use std::collections::HashSet;

use soniquebay_domain::{ContentHash, MetadataHash, Progress, StoreError, Track, TrackId};

use super::{Fault, Fix, Found, Maintained, Page, page};

pub(super) async fn check(
    store: &dyn Maintained,
    repair: bool,
    told: &(dyn Fn(Progress) + Sync),
) -> Result<Vec<Fault>, StoreError> {
    let (mut unreadable, mut hashes, mut misfiled) = (Found::default(), Found::default(), Found::default());
    let (mut after, mut done, total) = (0, 0, store.counts().await?.tracks);
    loop {
        let tracks = match page(after, |after, limit| store.page(after, 0, limit)).await? {
            Page::Rows(tracks) => tracks,
            Page::Unreadable(id) => {
                unreadable.add(id);
                after = id;
                continue;
            }
        };
        let Some(last) = tracks.last() else { break };
        after = last.id.get();
        done += tracks.len() as u64;
        told(Progress { step: "tracks".into(), done, total, per_second: 0.0 });
        let wrong: HashSet<TrackId> = tracks.iter().filter(|track| *track != &hashed(track)).map(|t| t.id).collect();
        wrong.iter().for_each(|id| hashes.add(id.get()));
        let elsewhere: HashSet<TrackId> = store.misfiled(&tracks).await?.into_iter().collect();
        elsewhere.iter().for_each(|id| misfiled.add(id.get()));
        let amiss: Vec<Track> = tracks
            .iter()
            .filter(|track| wrong.contains(&track.id) || elsewhere.contains(&track.id))
            .map(hashed)
            .collect();
        if repair && !amiss.is_empty() {
            store.restore_tracks(amiss).await?;
        }
    }
    let by_hand = Fix::ByHand("remove them (DELETE /api/tracks/{id}) and scan or import them again");
    let unreadable =
        unreadable.told("tracks cannot be read").map(|what| Fault::new("unreadable_tracks", what, by_hand));
    let hashes = hashes.told("tracks bear hashes that are not theirs");
    let misfiled = misfiled.told("tracks are filed under other names than theirs");
    let mended = [("track_hashes", hashes), ("track_names", misfiled)];
    let mended = mended.into_iter().filter_map(|(name, what)| Some(Fault::mended(name, what?, repair)));
    Ok(unreadable.into_iter().chain(mended).collect())
}

/// The track with the hashes that its fields have, those that were heard included.
fn hashed(track: &Track) -> Track {
    let counts = track.counts();
    let (content_hash, metadata_hash) = (ContentHash::of(&counts), MetadataHash::of(&counts));
    Track { content_hash, metadata_hash, ..track.clone() }
}
