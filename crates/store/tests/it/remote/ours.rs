use std::sync::Arc;

use soniquebay_domain::{
    Change, ContentHash, Database, Fingerprint, MetadataHash, Space, StoreError, TrackPatch, Tracks, Vector,
    VectorWrite, Vectors,
};

use super::{Served, full, id, ids, mirror, write};
use crate::{Fixture, change, space, titled};

/// A library of our own with so many tracks, served.
async fn library(tracks: i64) -> (Arc<dyn Database>, Served, Fixture) {
    let fixture = Fixture::sqlite().await;
    let writes = (1..=tracks).map(|n| titled(&format!("t{n}"))).collect();
    fixture.store.apply(writes).await.unwrap();
    (fixture.store.clone(), Served::ours(fixture.store.clone(), false).await, fixture)
}

#[tokio::test]
async fn tracks_are_read_as_the_library_has_them() {
    let (store, served, _fixture) = library(700).await;
    let patch = TrackPatch { year: Change::Set(1999), tags: Change::Set(vec!["a, b".into()]), ..TrackPatch::default() };
    store.apply(vec![change(id(3), patch)]).await.unwrap();
    let remote = served.library();
    let asked: Vec<_> = ids(1..=600).into_iter().chain([id(9999)]).collect();
    let mut found = remote.tracks(asked.clone()).await.unwrap();
    let mut there = store.tracks(asked).await.unwrap();
    found.sort_by_key(|track| track.id);
    there.sort_by_key(|track| track.id);
    assert_eq!(found.len(), 600);
    assert_eq!(found, there);
    assert_eq!(found[2].version, 2);
    assert!(remote.tracks(vec![id(9999)]).await.unwrap().is_empty());
    assert!(remote.tracks(Vec::new()).await.unwrap().is_empty());
}

#[tokio::test]
async fn fingerprints_are_walked_in_order() {
    let (store, served, _fixture) = library(2300).await;
    store.remove(vec![id(5), id(2300)], None).await.unwrap();
    let remote = served.library();
    let all = store.fingerprints(0, 9999).await.unwrap();
    assert_eq!(all.len(), 2298);
    assert_eq!(remote.fingerprints(0, 9999).await.unwrap(), all, "more than one page of the API");
    assert_eq!(remote.fingerprints(4, 2).await.unwrap(), all[4..6]);
    assert!(remote.fingerprints(2299, 10).await.unwrap().is_empty());
    assert!(remote.fingerprints(0, 0).await.unwrap().is_empty());
}

#[tokio::test]
async fn vectors_and_what_is_told_arrive_whole() {
    let (store, _fixture) = mirror().await;
    let served = Served::ours(store.clone(), true).await;
    let remote = served.vectors();
    let numbers = [0.1, -1.0 / 3.0, f32::MIN_POSITIVE, 12_345.678];
    let writes: Vec<VectorWrite> = (1..=300).map(|n| write(n, numbers)).collect();
    remote.put(writes).await.unwrap();

    let stored = remote.vectors(&space(), ids(1..=301)).await.unwrap();
    assert_eq!(stored.len(), 300);
    assert!(stored.iter().all(|one| one.vector.as_slice() == numbers), "to the last bit");
    assert_eq!(stored.len(), store.vectors(&space(), ids(1..=301)).await.unwrap().len());
    let track = store.tracks(vec![id(7)]).await.unwrap().remove(0);
    assert_eq!((&track.fields, track.version), (&full(7), 1));
    assert_eq!(track.content_hash, ContentHash::of(&full(7)));
    assert_eq!(track.metadata_hash, MetadataHash::of(&full(7)));

    let found = remote.vector_fingerprints(&space(), 0, 1000).await.unwrap();
    assert_eq!(found.len(), 300);
    // Of the file that a track is heard in, a vector of its words knows nothing.
    assert_eq!(found[6], Fingerprint { file_hash: None, ..Fingerprint::from(&track) });
    assert_eq!(remote.vector_fingerprints(&space(), 298, 1).await.unwrap()[0].track_id, id(299));
    assert!(remote.vector_fingerprints(&Space::external(3).unwrap(), 0, 10).await.unwrap().is_empty());

    let sizes = remote.spaces().await.unwrap();
    assert_eq!((sizes.len(), sizes[0].vectors, sizes[0].space.clone()), (1, 300, space()));

    assert_eq!(remote.forget(vec![id(1), id(2), id(999)]).await.unwrap(), 2);
    assert_eq!(store.vector_page(&space(), 0, 0, 1).await.unwrap()[0].track_id, id(3));
    assert!(store.tracks(ids(1..=2)).await.unwrap().is_empty(), "the tracks are forgotten too");
}

#[tokio::test]
async fn a_put_that_is_more_than_a_body_goes_in_several() {
    let (store, _fixture) = mirror().await;
    let served = Served::ours(store.clone(), true).await;
    let long = Space::parse("long/2000/a").unwrap();
    let numbers: Vec<f32> = (1u16..=2000).map(|n| 1.0 / f32::from(n)).collect();
    let one =
        |n| VectorWrite { space: long.clone(), vector: Vector::new(numbers.clone()).unwrap(), ..write(n, [1.0; 4]) };
    served.vectors().put((1..=400).map(one).collect()).await.unwrap();
    assert_eq!(store.vector_page(&long, 0, 0, 1000).await.unwrap().len(), 400);
}

#[tokio::test]
async fn what_is_refused_names_its_track_and_stores_nothing() {
    let (store, _fixture) = mirror().await;
    let served = Served::ours(store.clone(), true).await;
    let remote = served.vectors();
    let newer = VectorWrite { version: Some(5), ..write(2, [1.0; 4]) };
    remote.put(vec![newer]).await.unwrap();
    let refused = remote.put(vec![write(1, [1.0; 4]), write(2, [2.0; 4])]).await.unwrap_err();
    assert!(matches!(refused, StoreError::Outdated(track) if track == id(2)), "{refused}");
    assert!(store.tracks(vec![id(1)]).await.unwrap().is_empty());

    let (_store, library, _fixture) = library(1).await;
    let refused = library.vectors().put(vec![write(1, [1.0; 4]), write(2, [1.0; 4])]).await.unwrap_err();
    assert!(matches!(refused, StoreError::NoTrack(track) if track == id(2)), "{refused}");
    library.vectors().put(vec![write(1, [1.0; 4])]).await.unwrap();
    assert!(matches!(
        library.vectors().put(vec![write(3, [1.0; 4])]).await.unwrap_err(),
        StoreError::NoTrack(track) if track == id(3)
    ));
}
