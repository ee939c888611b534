//! From a folder of audio files to "similar tracks".

use std::path::Path;

use soniquebay_testkit::audio::{AudioFormat, TrackTags, write_track};

use crate::program::Data;

fn song(folder: &Path, name: &str, format: AudioFormat, artist: &str, title: &str, genre: &str) {
    let tags = TrackTags {
        title: title.into(),
        artist: artist.into(),
        album: format!("{artist}'s album"),
        genres: vec![genre.into()],
        date: "1999".into(),
        ..TrackTags::default()
    };
    std::fs::create_dir_all(folder).unwrap();
    write_track(&folder.join(format!("{name}.{}", format.extension())), format, &tags).unwrap();
}

/// A track of each format and genre, so that each has one of its kind in the other half of the formats.
fn fill(music: &Path) {
    for (index, (format, genre)) in
        AudioFormat::ALL.into_iter().cycle().zip(["Death Metal", "Bossa Nova"].into_iter().cycle()).take(14).enumerate()
    {
        let artist = format!("Artist {index}");
        song(&music.join(genre), &format!("{index}"), format, &artist, &format!("Song {index}"), genre);
    }
}

#[test]
fn a_folder_becomes_similar_tracks_over_http_and_on_the_command_line() {
    let data = Data::with_model();
    let music = data.beside("music");
    fill(&music);
    let server = data.serve();
    let folder = music.to_str().unwrap();
    // Beside a running server: the scan writes the catalogue, the server makes the vectors, the scan waits for them.
    let report = data.run(&["scan", folder, "--json"]).expect(0).json();
    assert_eq!((&report["files"], &report["created"], &report["tags_read"]), (&14.into(), &14.into(), &14.into()));
    let (status, tracks) = server.get("/api/tracks/?limit=100");
    assert_eq!((status, tracks.as_array().unwrap().len()), (200, 14));
    for track in tracks.as_array().unwrap() {
        let (status, answer) = server.get(&format!("/api/tracks/{}/similar?limit=5", track["id"]));
        assert_eq!(status, 200, "{answer}");
        let items = answer["items"].as_array().unwrap();
        assert_eq!(items.len(), 5);
        let same = items.iter().filter(|item| item["track"]["genre"] == track["genre"]).count();
        assert_eq!(same, 5, "the nearest of {} are its kind: {answer}", track["title"]);
    }
    let on_the_command_line = data.run(&["similar", "Artist 0 - Song 0", "--limit", "3", "--json"]).expect(0).json();
    let over_http = server.get("/api/tracks/1/similar?limit=3").1;
    let ids = |answer: &serde_json::Value| -> Vec<i64> {
        answer["items"].as_array().unwrap().iter().map(|item| item["track"]["id"].as_i64().unwrap()).collect()
    };
    let asked = on_the_command_line["items"][0]["track"]["genre"].clone();
    assert_eq!(ids(&data.run(&["similar", "1", "--limit", "3", "--json"]).json()), ids(&over_http));
    assert!(asked.is_string());
    // The vectors are as DESIGN says: 384 of words, 12 numbers, of length 1.
    let vector = server.get("/api/track-vectors/1").1;
    let numbers: Vec<f64> = vector["embedding"].as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect();
    assert_eq!((numbers.len(), vector["space"].as_str()), (396, Some("all-MiniLM-L6-v2/396/parts-1")));
    assert!((numbers.iter().map(|v| v * v).sum::<f64>() - 1.0).abs() < 1e-5);
    assert!(numbers[384..].iter().any(|v| *v != 0.0), "the numeric block is not always zero: the year is known");
    assert_eq!(server.terminate(), Some(0));
}

#[test]
fn a_second_scan_touches_nothing_and_changes_are_noticed() {
    let data = Data::with_model();
    let music = data.beside("music");
    fill(&music);
    let folder = music.to_str().unwrap();
    let scan = || data.run(&["scan", folder, "--json"]).expect(0).json();
    scan();
    let database = rusqlite::Connection::open(data.path().join("soniquebay.db")).unwrap();
    let fingerprint = || -> (i64, i64, i64) {
        let sql = "SELECT (SELECT sum(version) FROM tracks), (SELECT max(updated_at) FROM tracks), \
                   (SELECT max(sequence) FROM vector_changes)";
        database.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).unwrap()
    };
    let before = fingerprint();
    let second = scan();
    assert_eq!((&second["unchanged"], &second["tags_read"], &second["updated"]), (&14.into(), &0.into(), &0.into()));
    assert_eq!(fingerprint(), before, "no row was touched");

    let id = |title: &str| -> i64 {
        database.query_row("SELECT id FROM tracks WHERE title = ?1", [title], |row| row.get(0)).unwrap()
    };
    let moved_id = id("Song 0");
    std::fs::rename(music.join("Death Metal/0.mp3"), music.join("moved.mp3")).unwrap();
    std::fs::remove_file(music.join("Bossa Nova/1.flac")).unwrap();
    song(&music.join("Death Metal"), "2", AudioFormat::Ogg, "Artist 2", "Retitled", "Death Metal");
    song(&music, "new", AudioFormat::Wav, "Newcomer", "Brand New", "Techno");
    let third = scan();
    for (what, count) in [("moved", 1), ("removed", 1), ("updated", 1), ("created", 1), ("unchanged", 11)] {
        assert_eq!(third[what], count, "{what}: {third}");
    }
    assert_eq!(id("Song 0"), moved_id, "a moved file keeps its track");
    let neighbours = data.run(&["similar", "Newcomer - Brand New", "--json"]).expect(0).json();
    assert_eq!(neighbours["items"].as_array().unwrap().len(), 10);

    std::fs::rename(&music, data.beside("elsewhere")).unwrap();
    std::fs::create_dir(&music).unwrap();
    let unmounted = data.run(&["scan", folder, "--json"]).expect(0).json();
    assert_eq!(unmounted["removed"], 0, "an empty folder looks like a drive that is not mounted");
    assert!(unmounted["warnings"][0].as_str().unwrap().contains("--allow-empty"));
    let emptied = data.run(&["scan", folder, "--allow-empty", "--json"]).expect(0).json();
    assert_eq!(emptied["removed"], 14);
}
