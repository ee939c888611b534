//! The command line: help, exit codes, JSON.

use crate::program::Data;

#[test]
fn help_teaches() {
    let data = Data::without_model();
    let help = data.run(&["--help"]).expect(0).out;
    for word in
        ["serve", "scan", "import", "similar", "search", "eval", "model", "db", "demo", "Examples:", "Exit codes:"]
    {
        assert!(help.contains(word), "{word} in {help}");
    }
    for command in ["serve", "scan", "import", "similar", "search", "eval", "db", "demo"] {
        assert!(data.run(&[command, "--help"]).expect(0).out.contains("Usage:"));
    }
    data.run(&["no-such-command"]).expect(2);
    data.run(&["similar"]).expect(2);
    data.run(&["search", ""]).expect(2);
    data.run(&["similar", "1", "--years", "long ago"]).expect(2);
}

#[test]
fn imports_say_what_they_did_and_twice_changes_nothing() {
    let data = Data::with_model();
    let csv = data.beside("tracks.csv");
    std::fs::write(
        &csv,
        "Title;Artist Name;Genre;Year\nSo What;Miles Davis;Jazz;1959\nBlue in Green;Miles Davis;Jazz;1959\n",
    )
    .unwrap();
    let import = |code: i32, input: &str| data.run_with_input(&["import", "-", "--json"], input).expect(code).json();
    let lines = "{\"title\":\"Jóga\",\"artist_name\":\"Björk\",\"bpm\":\"86\"}\n\nnot json\n{\"artist\":\"no title\"}\n\
                 {\"title\":\"Hot\",\"energy\":85}\n";
    let report = import(4, lines);
    assert_eq!((&report["created"], &report["failed_total"]), (&1.into(), &3.into()), "{report}");
    let failed: Vec<(i64, &str)> = report["failed"]
        .as_array()
        .unwrap()
        .iter()
        .map(|failure| (failure["line"].as_i64().unwrap(), failure["reason"].as_str().unwrap()))
        .collect();
    assert_eq!(failed.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [3, 4, 5]);
    assert!(failed[1].1.contains("title") && failed[2].1.contains("energy"), "{failed:?}");
    let again = import(4, lines);
    assert_eq!((&again["created"], &again["updated"], &again["unchanged"]), (&0.into(), &0.into(), &1.into()));
    let csv_report = data.run(&["import", csv.to_str().unwrap(), "--json"]).expect(0).json();
    assert_eq!(csv_report["created"], 2, "{csv_report}");

    let similar = data.run(&["similar", "miles davis - so what", "--limit", "1"]).expect(0).out;
    assert!(similar.contains("Blue in Green") && similar.contains("same artist"), "{similar}");
    let filtered = data.run(&["similar", "So What", "--exclude-same-artist", "--json"]).expect(0).json();
    assert_eq!(filtered["items"].as_array().unwrap().len(), 1);
    assert_eq!(filtered["items"][0]["track"]["artist"], "Björk");
    let none = data.run(&["similar", "So What", "--years", "2001..", "--json"]).expect(0).json();
    assert!(none["items"].as_array().unwrap().is_empty());
    let relaxed = ["similar", "So What", "--years", "2001..", "--relax", "--fold", "--numbers", "0.5"];
    assert!(data.run(&relaxed).expect(0).out.contains("year given up"));
    let both =
        ["similar", "So What", "--like", "0.5*Jóga", "--unlike", "0.1*Blue in Green", "--text", "0.2*slow and cold"];
    let both = data.run(&both).expect(0).out;
    for part in
        ["like Miles Davis – So What", "like Björk – Jóga (× 0.5)", "unlike Miles Davis – Blue", "\"slow and cold\""]
    {
        assert!(both.contains(part), "{part} in {both}");
    }
    let by_words = data.run(&["similar", "--text", "jazz trumpet", "--limit", "1", "--json"]).expect(0).json();
    assert_eq!(by_words["items"][0]["track"]["artist"], "Miles Davis", "{by_words}");
    data.run(&["similar", "--unlike", "1"]).expect(2);
    data.run(&["similar", "So What", "--numbers", "2"]).expect(2);
    data.run(&["similar", "So What", "--bpm-octaves"]).expect(2);
    assert!(data.run(&["similar", "nothing like this"]).expect(3).err.contains("no track"));
    assert!(data.run(&["similar", "4711"]).expect(3).err.contains("4711"));
    assert!(data.run(&["similar", "So What", "--key", "H flat"]).expect(2).err.contains("--key"));
    assert!(
        data.run(&["similar", "Miles Davis - Kind of Pink"]).expect(3).err.contains("no track"),
        "not another title"
    );
    assert_eq!(data.run(&["similar", "so whta", "--json"]).expect(0).json()["of"]["title"], "So What");
    assert!(data.run(&["similar", "So What", "--genre", "Polka"]).expect(0).out.contains("no other track"));
    assert!(data.run(&["search", "björk"]).expect(0).out.contains("Jóga"));
}

#[test]
fn a_standard_error_that_is_full_or_closed_stops_nothing() {
    let data = Data::with_model();
    let file = data.beside("tracks.jsonl");
    std::fs::write(&file, "{\"title\":\"A\"}\nnot json\n").unwrap();
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let status = data.command(&["import", file.to_str().unwrap()]).stderr(full).status().unwrap();
    assert_eq!(status.code(), Some(4));
    data.run(&["similar", "A"]).expect(0);
}

#[test]
fn the_model_is_listed_and_its_folder_told() {
    let data = Data::without_model();
    assert_eq!(data.run(&["model", "list", "--json"]).expect(0).json()[0]["status"], "missing");
    data.install_model();
    assert_eq!(data.run(&["model", "list", "--json"]).expect(0).json()[0]["status"], "installed");
    let path = data.run(&["model", "path"]).expect(0).out;
    assert!(std::path::Path::new(path.trim()).join("model.safetensors").exists());
}

#[test]
fn other_machines_are_kept_out_unless_asked_for() {
    let data = Data::without_model();
    let refused = data.run(&["serve", "--listen", "0.0.0.0:0"]).expect(2);
    assert!(refused.err.contains("--insecure"), "{}", refused.err);
}

#[test]
fn an_evaluation_prints_its_table() {
    let data = Data::with_model();
    let file = data.beside("labelled.jsonl");
    let lines: Vec<String> = ["Death Metal", "Bossa Nova"]
        .iter()
        .flat_map(|genre| (0..20).map(move |i| {
            format!("{{\"title\":\"Song {i}\",\"artist\":\"{genre} artist {i}\",\"genre\":\"{genre}\",\"label\":\"{genre}\"}}")
        }))
        .collect();
    std::fs::write(&file, lines.join("\n")).unwrap();
    let table = data.run(&["eval", file.to_str().unwrap(), "--k", "5", "--json"]).expect(0).json();
    assert_eq!((&table["tracks"], &table["labels"], &table["k"]), (&40.into(), &2.into(), &5.into()), "{table}");
    let unlabelled = data.beside("unlabelled.jsonl");
    std::fs::write(&unlabelled, "{\"title\":\"A\",\"artist\":\"B\"}\n").unwrap();
    assert!(data.run(&["eval", unlabelled.to_str().unwrap()]).expect(1).err.contains("label"));
}
