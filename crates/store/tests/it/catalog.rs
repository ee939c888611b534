use soniquebay_domain::{Applied, Change, Outcome, Target, TrackId, TrackPatch, TrackWrite};

use crate::{Fixture, change, on_each_store, titled};

on_each_store!(
    the_same_track_is_recognised_again,
    the_callers_id_is_kept,
    a_write_to_an_older_version_is_refused,
    two_tracks_cannot_have_one_file,
    names_are_found_with_typing_errors_and_without_accents,
    removing_a_track_takes_its_job_along,
);

fn song(artist: &str, title: &str, duration: Option<f64>) -> TrackWrite {
    let mut write = titled(title);
    write.patch.artist = Change::Set(artist.into());
    write.patch.duration = duration.map_or(Change::Keep, Change::Set);
    write
}

async fn the_same_track_is_recognised_again(fixture: Fixture) {
    let Applied::Done { id, outcome: Outcome::Created } = fixture.write(song("Björk", "Jóga", Some(305.0))).await
    else {
        panic!("created")
    };
    let again = fixture.write(song("BJORK", "joga", Some(306.5))).await;
    assert!(matches!(again, Applied::Done { id: same, outcome: Outcome::Updated } if same == id), "{again:?}");
    let same = fixture.write(song("BJORK", "joga", Some(306.5))).await;
    assert_eq!(same, Applied::Done { id, outcome: Outcome::Unchanged });
    let live = fixture.write(song("Björk", "Jóga", Some(400.0))).await;
    assert!(matches!(live, Applied::Done { id: other, outcome: Outcome::Created } if other != id), "another recording");
    let mut moved = song("Someone", "Else", None);
    moved.patch.musicbrainz_id = Change::Set("mb-1".into());
    let Applied::Done { id: with_mbid, .. } = fixture.write(moved.clone()).await else { panic!() };
    moved.patch.title = Change::Set("Retitled".into());
    assert_eq!(fixture.write(moved).await, Applied::Done { id: with_mbid, outcome: Outcome::Updated });
}

async fn the_callers_id_is_kept(fixture: Fixture) {
    let id = TrackId::new(4711).unwrap();
    let write = TrackWrite { target: Target::Recognised { id: Some(id) }, ..titled("A") };
    assert_eq!(fixture.write(write.clone()).await, Applied::Done { id, outcome: Outcome::Created });
    assert_eq!(fixture.write(write).await, Applied::Done { id, outcome: Outcome::Unchanged });
    assert_eq!(fixture.create("B").await.get(), 4712);
}

async fn a_write_to_an_older_version_is_refused(fixture: Fixture) {
    let id = fixture.create("A").await;
    let retitle = |title: &str, version| {
        let mut write = change(id, TrackPatch { title: Change::Set(title.into()), ..TrackPatch::default() });
        write.target = Target::Existing { id, version: Some(version) };
        write
    };
    assert!(matches!(fixture.write(retitle("B", 1)).await, Applied::Done { outcome: Outcome::Updated, .. }));
    assert_eq!(fixture.write(retitle("C", 1)).await, Applied::Outdated { id, version: 2 });
    let absent = TrackId::new(99).unwrap();
    assert_eq!(fixture.write(change(absent, TrackPatch::default())).await, Applied::Missing(absent));
}

async fn two_tracks_cannot_have_one_file(fixture: Fixture) {
    let at = |path: &str| TrackPatch { path: Change::Set(path.into()), ..TrackPatch::default() };
    let (a, b) = (fixture.create("A").await, fixture.create("B").await);
    fixture.write(change(a, at("/m/a.mp3"))).await;
    assert!(matches!(fixture.write(change(b, at("/m/a.mp3"))).await, Applied::Refused(error) if error.field == "path"));
    let files = fixture.store.files_below("/m/".into()).await.unwrap();
    assert_eq!(files.iter().map(|file| file.id).collect::<Vec<_>>(), [a]);
    assert!(fixture.store.files_below("/other".into()).await.unwrap().is_empty());
}

async fn names_are_found_with_typing_errors_and_without_accents(fixture: Fixture) {
    for (artist, title) in [
        ("Michael Jackson", "Billie Jean"),
        ("Sigur Rós", "Hoppípolla"),
        ("坂本龍一", "戦場のメリークリスマス"),
        ("ゆず", "夏色"),
        ("비", "가"),
        ("Ｕ２", "One"),
    ] {
        fixture.write(song(artist, title, None)).await;
    }
    for (query, title) in [
        ("billie jean", "Billie Jean"),
        ("bilie jaen", "Billie Jean"),
        ("sigur ros", "Hoppípolla"),
        ("hoppipola", "Hoppípolla"),
        ("坂本龍一", "戦場のメリークリスマス"),
        ("micheal jackson \"billie", "Billie Jean"),
        // Names whose letters fold into others, too short for trigrams.
        ("ゆず", "夏色"),
        ("비", "가"),
        ("가", "가"),
        ("u2", "One"),
        ("Ｕ２", "One"),
    ] {
        let hits = fixture.store.find_text(query.into(), 5).await.unwrap();
        let ids = hits.iter().map(|hit| hit.id).collect();
        let tracks = fixture.store.tracks(ids).await.unwrap();
        assert!(tracks.iter().any(|t| t.fields.title.as_deref() == Some(title)), "{query} finds {title}: {hits:?}");
    }
    for nothing in ["", "  ", "* OR NOT", "zzzzqqqq"] {
        assert!(fixture.store.find_text(nothing.into(), 5).await.unwrap().is_empty(), "{nothing:?}");
    }
}

async fn removing_a_track_takes_its_job_along(fixture: Fixture) {
    let id = fixture.create("A").await;
    assert_eq!(fixture.store.job_counts().await.unwrap().available, 1);
    assert_eq!(fixture.store.remove(vec![id], Some(2)).await.unwrap(), 0, "it has version 1");
    assert_eq!(fixture.store.job_counts().await.unwrap().available, 1);
    assert_eq!(fixture.store.remove(vec![id, TrackId::new(99).unwrap()], Some(1)).await.unwrap(), 1);
    assert_eq!(fixture.store.job_counts().await.unwrap().available, 0);
    assert!(fixture.store.find_text("A".into(), 5).await.unwrap().is_empty());
}
