use std::sync::Arc;

use soniquebay_domain::{
    Catalog, Change, Database, Filter, JobQueue, Reconcile, Space, StoreError, TrackFields, TrackId, TrackPatch,
    TrackState, Tracks, VectorIndex, VectorStore, VectorWrite, Vectors,
};
use soniquebay_search::MemoryIndex;

use crate::{Fixture, change, space, vector};

fn write(id: TrackId, values: [f32; 4]) -> VectorWrite {
    VectorWrite::new(id, space(), vector(values), None)
}

#[tokio::test]
async fn the_sqlite_vec_index_keeps_the_contract() {
    let fixture = Fixture::new().await;
    let index = fixture.store.vec0_index();
    soniquebay_search::contract::vector_index(&index, &fixture.store, &fixture.store).await;
}

#[tokio::test]
async fn the_memory_index_keeps_the_contract() {
    let fixture = Fixture::new().await;
    let index = MemoryIndex::new(Arc::new(fixture.store.clone()));
    soniquebay_search::contract::vector_index(&index, &fixture.store, &fixture.store).await;
}

#[tokio::test]
async fn a_vector_needs_its_track_and_all_are_stored_or_none() {
    let fixture = Fixture::new().await;
    let id = fixture.create("A").await;
    let absent = TrackId::new(99).unwrap();
    let refused = fixture.store.put(vec![write(id, [1.0, 0.0, 0.0, 0.0]), write(absent, [1.0; 4])]).await;
    assert!(matches!(refused, Err(StoreError::NoTrack(missing)) if missing == absent));
    assert!(fixture.store.vectors(&space(), vec![id]).await.unwrap().is_empty());
}

#[tokio::test]
async fn vectors_are_answered_as_they_were_stored() {
    let fixture = Fixture::new().await;
    let id = fixture.create("A").await;
    let external = Space::external(4).unwrap();
    let values = vector([3.0, -4.0, 0.5, 1e-20]);
    fixture.store.put(vec![VectorWrite::new(id, external.clone(), values.clone(), None)]).await.unwrap();
    let stored = fixture.store.vectors(&external, vec![id]).await.unwrap().remove(0);
    assert_eq!((stored.vector, stored.space), (values, external.clone()));
    assert_eq!(fixture.store.states(&external, vec![id]).await.unwrap(), [(id, TrackState::Ready)]);
    assert!(fixture.store.vectors(&space(), vec![id]).await.unwrap().is_empty(), "spaces do not mix");
    assert!(fixture.store.remove_vector(&external, id).await.unwrap());
    assert!(!fixture.store.remove_vector(&external, id).await.unwrap());
}

#[tokio::test]
async fn spaces_are_bounded_and_their_names_do_not_collide() {
    let fixture = Fixture::new().await;
    let id = fixture.create("A").await;
    let put = async |name: &str| {
        let space = Space::parse(name).unwrap();
        fixture.store.put(vec![VectorWrite { space, ..write(id, [1.0, 0.0, 0.0, 0.0]) }]).await
    };
    for name in ["a.b/4", "a-b/4", "Q/4", "q/4", "x/4", "x/4/chunks", "x/4/rowids", "x/4/1"] {
        put(name).await.unwrap_or_else(|error| panic!("{name}: {error}"));
        let (index, searched) = (fixture.store.vec0_index(), Space::parse(name).unwrap());
        let found = index.search(&searched, &vector([1.0; 4]), 1, &Filter::default()).await.unwrap();
        assert_eq!(found.len(), 1, "{name}");
    }
    let mut refused = None;
    for number in 0..40 {
        refused = refused.or(put(&format!("n{number}/4")).await.err());
    }
    assert!(matches!(refused, Some(StoreError::TooManySpaces(32))), "{refused:?}");
    put("n1/4").await.unwrap();
}

#[tokio::test]
async fn filter_data_follows_the_track_without_a_new_vector() {
    let fixture = Fixture::new().await;
    let id = fixture.create("A").await;
    fixture.store.put(vec![write(id, [1.0, 0.0, 0.0, 0.0])]).await.unwrap();
    let seen = fixture.store.changes(&space(), 0, 10).await.unwrap().last().unwrap().sequence;
    let moved = TrackPatch { path: Change::Set("/music/a.mp3".into()), ..TrackPatch::default() };
    fixture.write(change(id, moved)).await;
    let changes = fixture.store.changes(&space(), seen, 10).await.unwrap();
    let facts = &changes[0].now.as_ref().unwrap().1;
    assert_eq!((changes.len(), facts.path.as_deref()), (1, Some("/music/a.mp3")));
    let track = fixture.store.tracks(vec![id]).await.unwrap().remove(0);
    let stored = fixture.store.vectors(&space(), vec![id]).await.unwrap().remove(0);
    assert_eq!((stored.metadata_hash, stored.content_hash), (track.metadata_hash, track.content_hash));
}

#[tokio::test]
async fn the_change_log_tells_of_removals_and_stays_small() {
    let fixture = Fixture::new().await;
    let id = fixture.create("A").await;
    for _ in 0..20 {
        fixture.store.put(vec![write(id, [1.0, 0.0, 0.0, 0.0])]).await.unwrap();
    }
    assert_eq!(fixture.store.changes(&space(), 0, 100).await.unwrap().len(), 1);
    fixture.store.remove(vec![id]).await.unwrap();
    let changes = fixture.store.changes(&space(), 0, 100).await.unwrap();
    assert_eq!(changes.len(), 1);
    assert!(changes[0].now.is_none());
}

#[tokio::test]
async fn the_serving_table_follows_the_wanted_space() {
    let fixture = Fixture::new().await;
    let id = fixture.create("A").await;
    let other = Space::parse("test/4/b-1").unwrap();
    fixture.store.put(vec![write(id, [1.0, 0.0, 0.0, 0.0])]).await.unwrap();
    fixture.store.put(vec![VectorWrite { space: other.clone(), ..write(id, [0.0, 1.0, 0.0, 0.0]) }]).await.unwrap();
    for wanted in [&other, &space(), &other] {
        fixture.store.want_spaces(vec![wanted.clone()]).await.unwrap();
        for (searched, values) in [(&other, [0.0, 1.0, 0.0, 0.0]), (&space(), [1.0, 0.0, 0.0, 0.0])] {
            let index = fixture.store.vec0_index();
            let hits = index.search(searched, &vector(values), 5, &Filter::default()).await.unwrap();
            assert_eq!((hits.len(), hits[0].score > 0.999), (1, true), "{searched} while {wanted} is wanted");
        }
    }
    let coverage = fixture.store.spaces().await.unwrap();
    assert!(coverage.iter().all(|c| c.ready == 1 && c.wanted == (c.space == other)), "{coverage:?}");
}

#[tokio::test]
async fn a_space_is_dropped_on_command_and_not_while_it_is_wanted() {
    let fixture = Fixture::new().await;
    let (kept, other) = (space(), Space::parse("test/4/b-1").unwrap());
    let id = fixture.create("A").await;
    for space in [&kept, &other] {
        let write = VectorWrite { space: space.clone(), ..write(id, [1.0, 0.0, 0.0, 0.0]) };
        fixture.store.put(vec![write]).await.unwrap();
    }
    let refused = fixture.store.drop_space(&kept).await;
    assert!(matches!(refused, Err(StoreError::SpaceWanted(space)) if space == kept));
    assert_eq!(fixture.store.drop_space(&other).await.unwrap(), 1);
    assert_eq!(fixture.store.drop_space(&other).await.unwrap(), 0);
    assert_eq!(fixture.store.spaces().await.unwrap().len(), 1);
    let changes = fixture.store.changes(&other, 0, 10).await.unwrap();
    assert!(changes.len() == 1 && changes[0].now.is_none(), "indexes hear of it");
    let index = fixture.store.vec0_index();
    assert!(index.search(&other, &vector([1.0, 0.0, 0.0, 0.0]), 5, &Filter::default()).await.unwrap().is_empty());
    // It may come back.
    fixture.store.want_spaces(vec![kept.clone(), other.clone()]).await.unwrap();
    assert_eq!(fixture.store.reconcile().await.unwrap(), 1);
}

#[tokio::test]
async fn a_mirror_keeps_what_it_is_told_and_refuses_what_is_older() {
    let fixture = Fixture::new().await;
    let mirror = fixture.store.clone().mirror();
    let id = TrackId::new(7).unwrap();
    let told = |title: &str| TrackFields { title: Some(title.into()), year: Some(1999), ..TrackFields::default() };
    let write = |version, title: &str| VectorWrite {
        version: Some(version),
        told: Some(Arc::new(told(title))),
        ..write(id, [1.0, 0.0, 0.0, 0.0])
    };
    mirror.put(vec![write(3, "B")]).await.unwrap();
    let older = mirror.put(vec![write(2, "A")]).await;
    assert!(matches!(older, Err(StoreError::Outdated(of)) if of == id), "{older:?}");
    mirror.put(vec![write(3, "B")]).await.unwrap();
    let track = mirror.tracks(vec![id]).await.unwrap().remove(0);
    assert_eq!((track.version, track.fields), (3, told("B")));
    let prints = mirror.vector_fingerprints(&space(), 0, 10).await.unwrap();
    assert_eq!((prints.len(), &prints[0].metadata_hash), (1, &track.metadata_hash));
    assert_eq!(mirror.fingerprints(0, 10).await.unwrap()[0].metadata_hash, track.metadata_hash);
    assert_eq!(mirror.job_counts().await.unwrap(), soniquebay_domain::JobCounts::default(), "it queues nothing");
    assert_eq!(mirror.forget(vec![id]).await.unwrap(), 1);
    assert!(mirror.vectors(&space(), vec![id]).await.unwrap().is_empty());
}
