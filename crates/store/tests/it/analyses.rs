//! What is known of tracks' audio: whose file was heard, what counts because of it, and what is to be heard.

use std::time::Duration;

use soniquebay_domain::{
    Analysis, Applied, Aspect, AudioHash, Change, ContentHash, Filter, JobKind, Key, Lease, Measure, Measured,
    MetadataHash, Priority, QueueCounts, Range, Setback, SettledJob, Space, Target, Track, TrackId, TrackPatch,
    TrackState, TrackWrite, VectorWrite, WriteMode,
};

use crate::{Fixture, change, on_each_store, space, titled, vector};

on_each_store!(
    a_file_is_heard_when_it_is_new_or_changed_and_not_when_it_moves_or_its_track_does,
    what_was_measured_counts_where_tags_say_nothing,
    an_analysis_of_another_file_is_not_kept,
    the_vector_the_analysis_and_the_end_of_the_job_are_one_step,
    what_cannot_be_heard_says_why_and_keeps_what_was_measured,
    the_reconciler_finds_files_that_nobody_heard,
    known_audio_is_found_by_its_fingerprint,
    a_pause_holds_until_it_is_taken_back,
);

const LEASE: Duration = Duration::from_secs(60);

fn sound() -> Space {
    Space::sound(4, "ears-1").unwrap()
}

async fn hearing(fixture: &Fixture) {
    fixture.store.want_spaces(vec![space(), sound()]).await.unwrap();
}

fn file(path: &str, size: i64) -> TrackPatch {
    TrackPatch {
        title: Change::Set(format!("of {path}")),
        path: Change::Set(path.into()),
        file_size: Change::Set(size),
        file_mtime: Change::Set(1_700_000_000_000_000_000),
        ..TrackPatch::default()
    }
}

async fn scanned(fixture: &Fixture, patch: TrackPatch) -> TrackId {
    let write = TrackWrite { target: Target::File, mode: WriteMode::Merge, patch, priority: Priority::Bulk };
    match fixture.write(write).await {
        Applied::Done { id, .. } => id,
        other => panic!("{other:?}"),
    }
}

async fn track(fixture: &Fixture, id: TrackId) -> Track {
    fixture.store.tracks(vec![id]).await.unwrap().remove(0)
}

async fn waiting(fixture: &Fixture, space: &Space) -> usize {
    let jobs = fixture.store.jobs(None, None, 100).await.unwrap();
    let of_space: Vec<_> = jobs.iter().filter(|job| job.job.space == *space).collect();
    assert!(of_space.iter().all(|job| job.job.kind == JobKind::of(space)));
    of_space.len()
}

/// Ends every job of a space with a vector, and an analysis where one is given.
async fn work(fixture: &Fixture, space: &Space, analysis: Option<&Analysis>) -> usize {
    let leases = fixture.store.claim(space, 100, LEASE).await.unwrap();
    let mut settled = Vec::new();
    for lease in leases {
        let id = lease.job.track_id;
        let made_from = track(fixture, id).await.made_from(space);
        let write = VectorWrite::new(id, space.clone(), vector([1.0, 2.0, 3.0, 4.0]), made_from);
        settled.push(SettledJob { lease, result: Ok(Some(write)), analysis: analysis.cloned() });
    }
    fixture.store.settle(settled).await.unwrap()
}

fn heard(track: &Track, values: &[(Aspect, f64, f64)]) -> Analysis {
    let mut measured = Measured::default();
    for (aspect, value, confidence) in values {
        measured.set(*aspect, Measure { value: *value, confidence: *confidence });
    }
    Analysis {
        audio: AudioHash::parse(&"ab".repeat(16)).unwrap(),
        revision: "ears-1".into(),
        file: ContentHash::of_file(&track.fields.identity).unwrap(),
        measured,
    }
}

async fn a_file_is_heard_when_it_is_new_or_changed_and_not_when_it_moves_or_its_track_does(fixture: Fixture) {
    hearing(&fixture).await;
    let id = scanned(&fixture, file("/m/a.flac", 100)).await;
    let silent = fixture.create("no file at all").await;
    assert_eq!((waiting(&fixture, &space()).await, waiting(&fixture, &sound()).await), (2, 1));
    assert_eq!(fixture.store.states(&sound(), vec![silent]).await.unwrap(), [], "there is nothing to hear");
    assert_eq!(fixture.store.states(&sound(), vec![id]).await.unwrap(), [(id, TrackState::Pending)]);
    assert_eq!(work(&fixture, &sound(), None).await, 1);
    assert_eq!(fixture.store.states(&sound(), vec![id]).await.unwrap(), [(id, TrackState::Ready)]);

    fixture.write(change(id, TrackPatch { path: Change::Set("/m/moved.flac".into()), ..TrackPatch::default() })).await;
    fixture.write(change(id, TrackPatch { genre: Change::Set("Jazz".into()), ..TrackPatch::default() })).await;
    assert_eq!(waiting(&fixture, &sound()).await, 0, "the file is the same");
    assert_eq!(fixture.store.states(&sound(), vec![id]).await.unwrap(), [(id, TrackState::Ready)]);
    fixture.write(change(id, TrackPatch { file_size: Change::Set(101), ..TrackPatch::default() })).await;
    assert_eq!(waiting(&fixture, &sound()).await, 1, "the file changed");
    assert_eq!(fixture.store.states(&sound(), vec![id]).await.unwrap(), [(id, TrackState::Stale)]);
    let coverage = fixture.store.coverage().await.unwrap();
    let of_sound = coverage.iter().find(|coverage| coverage.space == sound()).unwrap();
    assert_eq!((of_sound.ready, of_sound.stale), (0, 1));
    let counts = fixture.store.counts_by_work().await.unwrap();
    assert_eq!((counts.embedding.available, counts.analysis.available), (2, 1));

    fixture.store.remove(vec![id], None).await.unwrap();
    assert_eq!(waiting(&fixture, &sound()).await, 0);
    assert!(fixture.store.vectors(&sound(), vec![id]).await.unwrap().is_empty());
}

async fn what_was_measured_counts_where_tags_say_nothing(fixture: Fixture) {
    hearing(&fixture).await;
    let mut patch = file("/m/a.flac", 100);
    patch.loudness = Change::Set(-7.0);
    let id = scanned(&fixture, patch).await;
    work(&fixture, &space(), None).await;
    let before = track(&fixture, id).await;
    let values = [
        (Aspect::Tempo, 93.0, 0.9),
        (Aspect::Loudness, -9.5, 1.0),
        (Aspect::Energy, 0.8, 0.1),
        (Aspect::Key, 21.0, 0.8),
    ];
    let analysis = heard(&before, &values);
    assert_eq!(work(&fixture, &sound(), Some(&analysis)).await, 1);

    let after = track(&fixture, id).await;
    assert_eq!((&after.fields, after.analysis.as_ref()), (&before.fields, Some(&analysis)), "tags stay what they are");
    assert!(after.version > before.version);
    assert_eq!(after.content_hash, ContentHash::of(&after.counts()));
    assert_eq!(after.metadata_hash, MetadataHash::of(&after.counts()));
    assert_eq!((after.counts().features.bpm, after.counts().features.loudness), (Some(93.0), Some(-7.0)));
    assert_eq!(fixture.store.states(&sound(), vec![id]).await.unwrap(), [(id, TrackState::Ready)]);
    assert_eq!(fixture.store.states(&space(), vec![id]).await.unwrap(), [(id, TrackState::Stale)]);
    assert_eq!(work(&fixture, &space(), None).await, 1, "what counts changed: its vector is made anew");

    let index = fixture.store.stored_index();
    let near = vector([1.0, 2.0, 3.0, 4.0]);
    let bpm = Range { min: Some(90.0), max: Some(95.0) };
    let passes = Filter { bpm, key: Key::parse("A minor"), ..Filter::default() };
    assert_eq!(index.search(&space(), &near, 5, &passes).await.unwrap().len(), 1, "filters go by what counts");
    fixture.write(change(id, TrackPatch { bpm: Change::Set(140.0), ..TrackPatch::default() })).await;
    assert!(index.search(&space(), &near, 5, &passes).await.unwrap().is_empty(), "a tag counts where there is one");
    assert_eq!(track(&fixture, id).await.analysis, Some(analysis));
    fixture.write(change(id, TrackPatch { bpm: Change::Clear, ..TrackPatch::default() })).await;
    assert_eq!(index.search(&space(), &near, 5, &passes).await.unwrap().len(), 1);
    assert_eq!(track(&fixture, id).await.fields, before.fields);
}

async fn an_analysis_of_another_file_is_not_kept(fixture: Fixture) {
    hearing(&fixture).await;
    let id = scanned(&fixture, file("/m/a.flac", 100)).await;
    let analysis = heard(&track(&fixture, id).await, &[(Aspect::Tempo, 93.0, 0.9)]);
    fixture.write(change(id, TrackPatch { file_size: Change::Set(200), ..TrackPatch::default() })).await;
    let kept = fixture.store.keep_analyses(vec![(id, analysis.clone()), (TrackId::new(99).unwrap(), analysis)]).await;
    let kept = kept.unwrap();
    assert_eq!((kept.len(), &kept[0].analysis), (1, &None));
}

async fn the_vector_the_analysis_and_the_end_of_the_job_are_one_step(fixture: Fixture) {
    hearing(&fixture).await;
    let id = scanned(&fixture, file("/m/a.flac", 100)).await;
    let lease: Lease = fixture.store.claim(&sound(), 1, LEASE).await.unwrap().remove(0);
    let before = track(&fixture, id).await;
    let write = VectorWrite::new(id, sound(), vector([1.0, 0.0, 0.0, 0.0]), before.made_from(&sound()));
    let analysis = Some(heard(&before, &[(Aspect::Tempo, 93.0, 0.9)]));
    let late = SettledJob { lease, result: Ok(Some(write)), analysis };
    fixture.clock.advance(LEASE + Duration::from_secs(1));
    assert_eq!(fixture.store.claim(&sound(), 1, LEASE).await.unwrap().len(), 1);
    assert_eq!(fixture.store.settle(vec![late]).await.unwrap(), 0);
    assert_eq!(track(&fixture, id).await.analysis, None, "who lost the lease says nothing");
    assert_eq!(fixture.store.states(&sound(), vec![id]).await.unwrap(), [(id, TrackState::Pending)]);
}

async fn what_cannot_be_heard_says_why_and_keeps_what_was_measured(fixture: Fixture) {
    hearing(&fixture).await;
    let id = scanned(&fixture, file("/m/a.m4a", 100)).await;
    work(&fixture, &space(), None).await;
    let lease = fixture.store.claim(&sound(), 1, LEASE).await.unwrap().remove(0);
    let analysis = heard(&track(&fixture, id).await, &[(Aspect::Loudness, -70.0, 1.0)]);
    let result = Err(Setback::Discard { reason: "it is silent".into() });
    fixture.store.settle(vec![SettledJob { lease, result, analysis: Some(analysis.clone()) }]).await.unwrap();
    let state = TrackState::Failed { reason: "it is silent".into() };
    assert_eq!(fixture.store.states(&sound(), vec![id]).await.unwrap(), [(id, state)]);
    assert_eq!(track(&fixture, id).await.analysis, Some(analysis));
    assert_eq!(fixture.store.reconcile().await.unwrap(), 0, "a person's word or another file is waited for");
    assert_eq!(fixture.store.vectors(&space(), vec![id]).await.unwrap().len(), 1);
    fixture.write(change(id, TrackPatch { file_size: Change::Set(200), ..TrackPatch::default() })).await;
    assert_eq!(fixture.store.counts_by_work().await.unwrap().analysis.available, 1, "another file, another try");
}

async fn the_reconciler_finds_files_that_nobody_heard(fixture: Fixture) {
    let id = scanned(&fixture, file("/m/a.flac", 100)).await;
    fixture.create("no file").await;
    assert_eq!(waiting(&fixture, &sound()).await, 0, "nobody wants to hear files yet");
    hearing(&fixture).await;
    assert_eq!(fixture.store.reconcile().await.unwrap(), 1);
    assert_eq!(fixture.store.reconcile().await.unwrap(), 0);
    work(&fixture, &sound(), None).await;
    assert_eq!(fixture.store.reconcile().await.unwrap(), 0);
    let prints = fixture.store.fingerprints(0, 10).await.unwrap();
    assert_eq!(prints[0].file_hash, track(&fixture, id).await.made_from(&sound()), "made alike here and there");
    assert_eq!(prints[1].file_hash, None);
    fixture.store.want_spaces(vec![space()]).await.unwrap();
    assert_eq!(fixture.store.vectors(&sound(), vec![id]).await.unwrap().len(), 1, "what was heard is kept");
}

async fn known_audio_is_found_by_its_fingerprint(fixture: Fixture) {
    hearing(&fixture).await;
    let id = scanned(&fixture, file("/m/a.flac", 100)).await;
    let analysis = heard(&track(&fixture, id).await, &[(Aspect::Tempo, 93.0, 0.9)]);
    assert_eq!(fixture.store.analysis_of(&analysis.audio, "ears-1").await.unwrap(), None);
    fixture.store.keep_analyses(vec![(id, analysis.clone())]).await.unwrap();
    let found = fixture.store.analysis_of(&analysis.audio, "ears-1").await.unwrap();
    assert_eq!(found, Some((id, analysis.clone())));
    assert_eq!(fixture.store.analysis_of(&analysis.audio, "ears-2").await.unwrap(), None, "another revision");
    fixture.store.remove(vec![id], None).await.unwrap();
    assert_eq!(fixture.store.analysis_of(&analysis.audio, "ears-1").await.unwrap(), None, "it went with its track");
}

async fn a_pause_holds_until_it_is_taken_back(fixture: Fixture) {
    let store = &fixture.store;
    assert!(!store.analysis_paused().await.unwrap());
    for paused in [true, true, false, false] {
        store.pause_analysis(paused).await.unwrap();
        assert_eq!(store.analysis_paused().await.unwrap(), paused);
    }
    assert_eq!(store.counts_by_work().await.unwrap(), QueueCounts::default());
    fixture.write(titled("A")).await;
}
