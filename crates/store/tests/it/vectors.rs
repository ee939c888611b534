use std::sync::Arc;

use proptest::prelude::*;
use soniquebay_domain::{
    Change, Filter, Space, SpaceSize, StoreError, TrackFields, TrackId, TrackPatch, TrackState, VectorWrite,
};
use soniquebay_search::{MemoryIndex, contract};

use crate::{Fixture, change, on_each_store, space, titled, vector};

on_each_store!(
    the_memory_index_keeps_the_contract,
    a_vector_needs_its_track_and_all_are_stored_or_none,
    vectors_are_answered_as_they_were_stored,
    spaces_are_bounded_and_their_names_do_not_collide,
    filter_data_follows_the_track_without_a_new_vector,
    the_change_log_tells_of_removals_and_stays_small,
    what_spaces_hold_is_told_as_it_is_now,
    the_serving_table_follows_the_wanted_space,
    a_space_is_dropped_on_command_and_not_while_it_is_wanted,
    a_mirror_keeps_what_it_is_told_and_refuses_what_is_older,
);

fn write(id: TrackId, values: [f32; 4]) -> VectorWrite {
    VectorWrite::new(id, space(), vector(values), None)
}

#[tokio::test]
async fn the_sqlite_vec_index_keeps_the_contract() {
    let fixture = Fixture::sqlite().await;
    let index = fixture.store.stored_index();
    contract::vector_index(&*index, &*fixture.store, &*fixture.store).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_pgvector_index_keeps_the_contract_while_it_scans() {
    let fixture = Fixture::postgres().await;
    let index = fixture.store.stored_index();
    contract::vector_index(&*index, &*fixture.store, &*fixture.store).await;
}

async fn the_memory_index_keeps_the_contract(fixture: Fixture) {
    let index = MemoryIndex::new(fixture.store.clone());
    contract::vector_index(&index, &*fixture.store, &*fixture.store).await;
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_pgvector_index_answers_any_library_as_the_oracle_does(case in (any::<u64>(), 0..200usize, 2..48usize)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let fixture = Fixture::postgres().await;
            let index = fixture.store.stored_index();
            contract::any_library(&*index, &*fixture.store, &*fixture.store, case).await;
        });
    }

    #[test]
    fn the_sqlite_vec_index_answers_any_library_as_the_oracle_does(case in (any::<u64>(), 0..200usize, 2..48usize)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let fixture = Fixture::sqlite().await;
            let index = fixture.store.stored_index();
            contract::any_library(&*index, &*fixture.store, &*fixture.store, case).await;
        });
    }
}

async fn a_vector_needs_its_track_and_all_are_stored_or_none(fixture: Fixture) {
    let id = fixture.create("A").await;
    let absent = TrackId::new(99).unwrap();
    let refused = fixture.store.put(vec![write(id, [1.0, 0.0, 0.0, 0.0]), write(absent, [1.0; 4])]).await;
    assert!(matches!(refused, Err(StoreError::NoTrack(missing)) if missing == absent));
    assert!(fixture.store.vectors(&space(), vec![id]).await.unwrap().is_empty());
}

async fn vectors_are_answered_as_they_were_stored(fixture: Fixture) {
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

async fn spaces_are_bounded_and_their_names_do_not_collide(fixture: Fixture) {
    let id = fixture.create("A").await;
    let put = async |name: &str| {
        let space = Space::parse(name).unwrap();
        fixture.store.put(vec![VectorWrite { space, ..write(id, [1.0, 0.0, 0.0, 0.0]) }]).await
    };
    for name in ["a.b/4", "a-b/4", "Q/4", "q/4", "x/4", "x/4/chunks", "x/4/rowids", "x/4/1"] {
        put(name).await.unwrap_or_else(|error| panic!("{name}: {error}"));
        let (index, searched) = (fixture.store.stored_index(), Space::parse(name).unwrap());
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

async fn filter_data_follows_the_track_without_a_new_vector(fixture: Fixture) {
    let id = fixture.create("A").await;
    fixture.store.put(vec![write(id, [1.0, 0.0, 0.0, 0.0])]).await.unwrap();
    let seen = fixture.store.changes(&space(), 0, 10).await.unwrap().last().unwrap().sequence;
    let moved = TrackPatch { path: Change::Set("/music/a.mp3".into()), ..TrackPatch::default() };
    fixture.write(change(id, moved)).await;
    let changes = fixture.store.changes(&space(), seen, 10).await.unwrap();
    let facts = changes[0].now.as_ref().unwrap();
    assert_eq!((changes.len(), facts.path.as_deref()), (1, Some("/music/a.mp3")));
    let track = fixture.store.tracks(vec![id]).await.unwrap().remove(0);
    let stored = fixture.store.vectors(&space(), vec![id]).await.unwrap().remove(0);
    assert_eq!((stored.metadata_hash, stored.content_hash), (track.metadata_hash, track.content_hash));
}

async fn what_spaces_hold_is_told_as_it_is_now(fixture: Fixture) {
    let other = fixture.another().await;
    let held = async |of: &dyn soniquebay_store::check::Maintained| {
        let (all, sizes) = (of.coverage().await.unwrap(), of.spaces().await.unwrap());
        let ours = all.iter().find(|coverage| coverage.space == space()).unwrap();
        let size = SpaceSize { space: space(), wanted: ours.wanted, vectors: ours.ready + ours.stale };
        assert!(sizes.contains(&size), "{sizes:?}");
        (ours.ready, ours.stale)
    };
    let mut ids = Vec::new();
    for number in 0..6 {
        assert_eq!((held(&*fixture.store).await, held(&*other).await), ((number, 0), (number, 0)));
        ids.push(fixture.create(&format!("Title {number}")).await);
        let writer = if number % 2 == 0 { &fixture.store } else { &other };
        writer.put(vec![write(ids[number as usize], [1.0, 0.0, 0.0, 0.0])]).await.unwrap();
    }
    other.apply(vec![change(ids[0], titled("Another").patch)]).await.unwrap();
    assert_eq!((held(&*fixture.store).await, held(&*other).await), ((5, 1), (5, 1)));
    fixture.store.remove(vec![ids[0], ids[1]], None).await.unwrap();
    assert_eq!((held(&*fixture.store).await, held(&*other).await), ((4, 0), (4, 0)));
    assert_eq!(held(&*fixture.store).await, (4, 0), "asked again");
}

async fn the_change_log_tells_of_removals_and_stays_small(fixture: Fixture) {
    let id = fixture.create("A").await;
    for _ in 0..20 {
        fixture.store.put(vec![write(id, [1.0, 0.0, 0.0, 0.0])]).await.unwrap();
    }
    assert_eq!(fixture.store.changes(&space(), 0, 100).await.unwrap().len(), 1);
    fixture.store.remove(vec![id], None).await.unwrap();
    let changes = fixture.store.changes(&space(), 0, 100).await.unwrap();
    assert_eq!(changes.len(), 1);
    assert!(changes[0].now.is_none());
}

async fn the_serving_table_follows_the_wanted_space(fixture: Fixture) {
    let id = fixture.create("A").await;
    let other = Space::parse("test/4/b-1").unwrap();
    fixture.store.put(vec![write(id, [1.0, 0.0, 0.0, 0.0])]).await.unwrap();
    fixture.store.put(vec![VectorWrite { space: other.clone(), ..write(id, [0.0, 1.0, 0.0, 0.0]) }]).await.unwrap();
    for wanted in [&other, &space(), &other] {
        fixture.store.want_spaces(vec![wanted.clone()]).await.unwrap();
        for (searched, values) in [(&other, [0.0, 1.0, 0.0, 0.0]), (&space(), [1.0, 0.0, 0.0, 0.0])] {
            let index = fixture.store.stored_index();
            let hits = index.search(searched, &vector(values), 5, &Filter::default()).await.unwrap();
            assert_eq!((hits.len(), hits[0].score > 0.999), (1, true), "{searched} while {wanted} is wanted");
        }
    }
    let sizes = fixture.store.spaces().await.unwrap();
    assert!(sizes.iter().all(|of| of.vectors == 1 && of.wanted == (of.space == other)), "{sizes:?}");
}

async fn a_space_is_dropped_on_command_and_not_while_it_is_wanted(fixture: Fixture) {
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
    let index = fixture.store.stored_index();
    assert!(index.search(&other, &vector([1.0, 0.0, 0.0, 0.0]), 5, &Filter::default()).await.unwrap().is_empty());
    // It may come back.
    fixture.store.want_spaces(vec![kept.clone(), other.clone()]).await.unwrap();
    assert_eq!(fixture.store.reconcile().await.unwrap(), 1);
}

async fn a_mirror_keeps_what_it_is_told_and_refuses_what_is_older(fixture: Fixture) {
    let mirror = &fixture.mirror;
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
    assert_eq!(fixture.store.forget(vec![id]).await.unwrap(), 0, "a library's own tracks are nobody else's to forget");
    assert_eq!(mirror.forget(vec![id]).await.unwrap(), 1);
    assert!(mirror.vectors(&space(), vec![id]).await.unwrap().is_empty());
}
