//! Transactions of several processes that overlap: the change log, versions, and filter data that follows its track.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use soniquebay_domain::{Applied, Change, Target, TrackId, TrackPatch, TrackWrite, VectorWrite, WriteMode};
use soniquebay_store::check::{Maintained, check};

use crate::{Fixture, change, on_each_store, space, titled, vector};

on_each_store!(what_overlaps_is_followed_to_its_end, of_two_that_saw_one_version_one_wins);

const TRACKS: i64 = 40;

/// Longest wait for what happens at once.
const SOON: Duration = Duration::from_secs(60);

/// What an index knows of a track: the first number of its vector, and its file.
type Known = BTreeMap<TrackId, (f32, Option<String>)>;

/// Takes what is new; the number of the last change.
async fn follow(store: &dyn Maintained, known: &mut Known, mut sequence: i64) -> i64 {
    loop {
        let changes = store.changes(&space(), sequence, 7).await.unwrap();
        let Some(last) = changes.last() else { return sequence };
        assert!(changes.windows(2).all(|pair| pair[0].sequence < pair[1].sequence) && last.sequence > sequence);
        sequence = last.sequence;
        for change in changes.iter() {
            match &change.now {
                Some(facts) => known.insert(change.track_id, (changes.numbers(change)[0], facts.path.clone())),
                None => known.remove(&change.track_id),
            };
        }
    }
}

async fn what_overlaps_is_followed_to_its_end(fixture: Fixture) {
    for number in 0..TRACKS {
        fixture.create(&format!("Title {number}")).await;
    }
    let mut writing = Vec::new();
    for writer in 0..4 {
        // As processes of their own: nothing is shared but the database.
        let store = fixture.another().await;
        writing.push(tokio::spawn(async move {
            for round in 0..60 {
                let id = TrackId::new((round * 7 + writer * 11) % TRACKS + 1).unwrap();
                match (round + writer) % 4 {
                    0 | 1 => {
                        let numbers = [(round * 10 + writer + 1) as f32, 1.0, 0.0, 0.0];
                        let write = VectorWrite::new(id, space(), vector(numbers), None);
                        // Another one may have removed the track.
                        let _ = store.put(vec![write]).await;
                    }
                    2 => {
                        let path = Change::Set(format!("/music/{writer}/{round}.mp3"));
                        let patch = TrackPatch { path, ..TrackPatch::default() };
                        store.apply(vec![change(id, patch)]).await.unwrap();
                    }
                    _ if round % 20 == 19 => {
                        store.remove(vec![id], None).await.unwrap();
                    }
                    _ => {
                        let patch = titled(&format!("Title {round} of {writer}")).patch;
                        store.apply(vec![change(id, patch)]).await.unwrap();
                    }
                }
            }
        }));
    }
    let (mut known, mut sequence) = (Known::new(), 0);
    let reader = fixture.another().await;
    while writing.iter().any(|writer| !writer.is_finished()) {
        sequence = follow(&*reader, &mut known, sequence).await;
    }
    for writer in writing {
        tokio::time::timeout(SOON, writer).await.unwrap().unwrap();
    }
    follow(&*reader, &mut known, sequence).await;
    let tracks = fixture.store.page(0, 0, 1000).await.unwrap();
    let vectors = fixture.store.vector_page(&space(), 0, 0, 1000).await.unwrap();
    let path = |id: TrackId| tracks.iter().find(|track| track.id == id).unwrap().fields.identity.path.clone();
    let there: Known = vectors.iter().map(|v| (v.track_id, (v.vector.as_slice()[0], path(v.track_id)))).collect();
    assert!(there.len() > 10 && tracks.len() < TRACKS as usize, "{} vectors, {} tracks", there.len(), tracks.len());
    assert_eq!(known, there, "who follows the log knows what is there");
    // Hashes, filter data, names and indexes agree with the tracks as they are now.
    fixture.store.reconcile().await.unwrap();
    assert_eq!(check(&*fixture.store, false, &|_| ()).await.unwrap(), []);
}

async fn of_two_that_saw_one_version_one_wins(fixture: Fixture) {
    let id = fixture.create("A").await;
    let stores: Vec<Arc<dyn Maintained>> = vec![fixture.another().await, fixture.another().await];
    for round in 0..20 {
        let version = fixture.store.tracks(vec![id]).await.unwrap()[0].version;
        let attempts = stores.iter().enumerate().map(|(who, store)| {
            let write = TrackWrite {
                target: Target::Existing { id, version: Some(version) },
                mode: WriteMode::Merge,
                ..titled(&format!("Title {round} of {who}"))
            };
            store.apply(vec![write])
        });
        let applied: Vec<Applied> =
            futures_util::future::join_all(attempts).await.into_iter().map(|done| done.unwrap().remove(0)).collect();
        let won = applied.iter().filter(|applied| matches!(applied, Applied::Done { .. })).count();
        let lost = |applied: &Applied| matches!(applied, Applied::Outdated { version: now, .. } if *now == version + 1);
        assert!(won == 1 && applied.iter().any(lost), "{applied:?}");
    }
}
