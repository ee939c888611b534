//! Where settings come from, and what is said of those that mean nothing.

use std::path::Path;

use serde_json::Value;

use crate::program::{Data, Ran};

/// What `config show` says of a setting: its value, and where it is from.
fn held(shown: &Value, key: &str) -> (String, String) {
    let all = shown["settings"].as_array().unwrap();
    let setting = all.iter().find(|setting| setting["key"] == key).unwrap_or_else(|| panic!("{key}: {shown}"));
    (setting["value"].as_str().unwrap_or("-").to_owned(), setting["from"].as_str().unwrap().to_owned())
}

fn show(data: &Data, environment: &[(&str, &str)], arguments: &[&str]) -> Value {
    let mut command = data.command(&["config", "show", "--json"]);
    Ran::from(command.args(arguments).envs(environment.iter().copied()).output().unwrap()).expect(0).json()
}

fn write(data: &Data, text: &str) {
    std::fs::write(data.path().join("config.toml"), text).unwrap();
}

#[test]
fn a_flag_goes_before_the_environment_before_the_file_before_the_profile() {
    let data = Data::without_model();
    let holds = |environment: &[(&str, &str)], arguments: &[&str], value: &str, from: &str| {
        let found = held(&show(&data, environment, arguments), "work.batch");
        assert_eq!((found.0.as_str(), found.1.as_str()), (value, from));
    };
    holds(&[("SONIQUEBAY_PROFILE", "pi")], &[], "25", "profile pi");
    holds(&[("SONIQUEBAY_PROFILE", "desktop")], &[], "64", "profile desktop");
    write(&data, "profile = \"pi\"\n\n[work]\nbatch = 30\n");
    holds(&[], &[], "30", "config.toml, line 4");
    holds(&[("WORKER_BATCH", "40")], &[], "40", "environment, WORKER_BATCH");
    holds(&[("WORKER_BATCH", "")], &[], "30", "config.toml, line 4");
    holds(&[("WORKER_BATCH", "40")], &["--batch", "50"], "50", "command line");

    let shown = show(&data, &[], &[]);
    assert_eq!(shown["profile"]["name"], "pi");
    assert_eq!(shown["profile"]["chosen_by"], "config.toml, line 1");
    assert_eq!(held(&shown, "work.scan_batch"), ("25".into(), "profile pi".into()));
    assert_eq!(held(&shown, "embedding.model"), ("all-MiniLM-L6-v2".into(), "default".into()));
    assert_eq!(held(&shown, "services.redis_url"), ("-".into(), "default".into()));
    // What a person reads says the same.
    let text = data.run(&["config", "show"]).expect(0).out;
    let line = text.lines().map(str::trim).find(|line| line.starts_with("work.batch ")).unwrap();
    assert!(line.contains("30") && line.ends_with("config.toml, line 4"), "{text}");
}

#[test]
fn what_the_file_says_takes_effect() {
    let data = Data::with_model();
    write(
        &data,
        "[http]\nlisten = \"127.0.0.1:0\"\n\n[embedding]\nollama_pull = false\nmodel = \"all-MiniLM-L6-v2-int8\"\n",
    );
    let server = crate::program::Server::start(data.command(&["serve"]));
    let spaces = server.get("/api/spaces").1;
    assert!(spaces["serving"].as_str().is_some_and(|space| space.starts_with("all-MiniLM-L6-v2-int8/")), "{spaces}");
    assert_eq!(server.terminate(), Some(0));
}

#[test]
fn a_collector_of_traces_is_not_ignored_in_silence() {
    let data = Data::without_model();
    let collector = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9");
    let mut command = data.command(&["serve", "--listen", "127.0.0.1:0"]);
    command.env(collector.0, collector.1);
    let server = crate::program::Server::start(command);
    // The build that sends them has a test of its own.
    if !cfg!(feature = "otlp") {
        let log = server.log();
        assert_eq!(log.matches("no traces are sent").count(), 1, "{log}");
    }
    assert_eq!(server.terminate(), Some(0));
    // What ends at once has none to send.
    let mut command = data.command(&["spaces", "list"]);
    assert_eq!(Ran::from(command.env(collector.0, collector.1).output().unwrap()).expect(0).err, "");
    let mut command = data.command(&["spaces", "list"]);
    let refused = Ran::from(command.env(collector.0, "localhost").output().unwrap()).expect(2);
    assert!(refused.err.contains("http://localhost:4318"), "{}", refused.err);
}

#[test]
fn what_means_nothing_is_told_with_its_line_and_what_is_allowed() {
    let data = Data::without_model();
    let refused = |text: &str, said: &[&str]| {
        write(&data, text);
        // Every command says so, not only the one that would have looked.
        for command in [&["config", "check"][..], &["similar", "1"]] {
            let ran = data.run(command).expect(2);
            for word in said {
                assert!(ran.err.contains(word), "{text}\n{}", ran.err);
            }
        }
    };
    refused("[work]\n\nbatch = 0\n", &["config.toml:3:", "work.batch = 0", "1..=1000"]);
    refused("[work]\nbatch = \"many\"\n", &["config.toml:2:", "work.batch = \"many\"", "invalid digit"]);
    refused("log_format = \"xml\"\n", &["config.toml:1:", "log_format", "text, json"]);
    refused("[work]\nbatsh = 3\n", &["config.toml:2:", "no such setting", "did you mean work.batch?"]);
    refused("batch = 3\n", &["config.toml:1:", "did you mean work.batch?"]);
    refused("[embeding]\n", &["config.toml:1:", "did you mean [embedding]?"]);
    refused("[work\n", &["config.toml:1:"]);
    refused("[work]\nbatch = 3\nbatch = 4\n", &["config.toml:3:", "duplicate"]);
    refused("[embedding]\nollama_pull = \"yes\"\n", &["config.toml:2:", "true or false"]);
    refused("[work]\nbatch = [1, 2]\n", &["config.toml:2:", "one value, not several"]);
    refused("[work]\nbatch = 2026-01-01\n", &["config.toml:2:", "datetime"]);
    refused("data = \"/elsewhere\"\n", &["config.toml:1:", "data folder"]);
    refused("config = \"/elsewhere\"\n", &["config.toml:1:", "no such setting"]);
    refused("[services]\napi_key = [[\"hunter2\"]]\n", &["config.toml:2:", "services.api_key"]);
    // All at once, in their order.
    refused(
        "profile = \"huge\"\n[work]\nlease = -1\n[nothing]\n",
        &["config.toml:1:", "config.toml:3:", "config.toml:4:"],
    );
    write(&data, &"#".repeat(300_000));
    assert!(data.run(&["config", "check"]).expect(2).err.contains("no configuration file"));
    std::fs::write(data.path().join("config.toml"), [0xff, 0xfe]).unwrap();
    assert!(data.run(&["config", "check"]).expect(1).err.contains("config.toml"));
}

#[test]
fn a_wrong_variable_is_named() {
    let data = Data::without_model();
    let mut command = data.command(&["jobs", "stats"]);
    let ran = Ran::from(command.env("WORKER_BATCH", "0").output().unwrap()).expect(2);
    assert!(
        ran.err.contains("1..=1000") && ran.err.contains("WORKER_BATCH is set so in the environment"),
        "{}",
        ran.err
    );
    let ran = data.run(&["jobs", "stats", "--batch", "0"]).expect(2);
    assert!(!ran.err.contains("environment"), "{}", ran.err);
}

#[test]
fn empty_variables_say_nothing() {
    let data = Data::without_model();
    let documented = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/configuration.md"));
    let documented = documented.unwrap();
    let rows = documented.split("## All settings").nth(1).unwrap().lines().filter(|line| line.starts_with("| `"));
    let all: Vec<&str> = rows.map(|row| row.split('`').nth(3).unwrap()).collect();
    assert!(all.len() > 25 && all.contains(&"REDIS_URL"), "{all:?}");
    let mut command = data.command(&["jobs", "stats", "--json"]);
    command.envs(all.iter().map(|name| (*name, ""))).env("RUST_LOG", "");
    Ran::from(command.output().unwrap()).expect(0);
}

#[test]
fn switches_understand_the_usual_words() {
    let data = Data::without_model();
    for (word, is_on) in
        [("1", "true"), ("yes", "true"), ("on", "true"), ("false", "false"), ("0", "false"), ("", "false")]
    {
        let shown = show(&data, &[("OLLAMA_PULL", word)], &[]);
        assert_eq!(held(&shown, "embedding.ollama_pull").0, is_on, "{word}");
        let mut command = data.command(&["jobs", "stats"]);
        Ran::from(command.env("OLLAMA_PULL", word).output().unwrap()).expect(0);
    }
    let mut command = data.command(&["jobs", "stats"]);
    Ran::from(command.env("OLLAMA_PULL", "perhaps").output().unwrap()).expect(2);
}

#[test]
fn secrets_are_not_shown() {
    let data = Data::without_model();
    write(&data, "[services]\nredis_url = \"redis://:hunter2@host:6379/0\"\napi_key = \"hunter2\"\n");
    let environment = [("DATABASE_URL", "postgres://me:hunter2@host/name"), ("EMBEDDING_API_KEY", "hunter2")];
    for arguments in [&["config", "show"][..], &["config", "show", "--json"]] {
        let mut command = data.command(arguments);
        let ran = Ran::from(command.envs(environment).output().unwrap()).expect(0);
        assert!(!ran.out.contains("hunter2") && ran.out.contains("redis://:***@host:6379/0"), "{}", ran.out);
        assert!(ran.out.contains("postgres://me:***@host/name"), "{}", ran.out);
    }
    for arguments in [&["--help"][..], &["serve", "--help"], &["config", "check"]] {
        let mut command = data.command(arguments);
        let ran = Ran::from(command.envs(environment).output().unwrap()).expect(0);
        assert!(!ran.out.contains("hunter2"), "{}", ran.out);
    }
}

#[test]
fn a_new_file_is_whole_and_every_line_of_it_can_be_used() {
    let data = Data::without_model();
    let path = data.run(&["config", "init"]).expect(0).out.trim().to_owned();
    assert_eq!(path, data.path().join("config.toml").to_str().unwrap());
    assert_eq!(data.run(&["config", "path"]).expect(0).out.trim(), path);
    assert!(data.run(&["config", "init"]).expect(2).err.contains("is there already"));
    data.run(&["config", "check"]).expect(0);
    let before = show(&data, &[("SONIQUEBAY_PROFILE", "desktop")], &[]);
    // Uncommented, it says what holds without it. `data` alone cannot stand in a data folder.
    let text = std::fs::read_to_string(&path).unwrap();
    let is_setting = |line: &str| line.starts_with('#') && !line.starts_with("# ") && !line.starts_with("#data");
    let lines = text.lines().map(|line| if is_setting(line) { &line[1..] } else { line });
    std::fs::write(&path, lines.collect::<Vec<_>>().join("\n")).unwrap();
    data.run(&["config", "check"]).expect(0);
    let after = show(&data, &[("SONIQUEBAY_PROFILE", "desktop")], &[]);
    for (before, after) in before["settings"].as_array().unwrap().iter().zip(after["settings"].as_array().unwrap()) {
        assert_eq!(before["value"], after["value"], "{}", before["key"]);
    }
}

#[test]
fn another_file_can_be_named() {
    let data = Data::without_model();
    write(&data, "[work]\nbatch = 30\n");
    let other = data.beside("other.toml");
    let named = other.to_str().unwrap();
    let missing = data.run(&["--config", named, "jobs", "stats"]).expect(2);
    assert!(missing.err.contains(named) && missing.err.contains("config init"), "{}", missing.err);
    std::fs::write(&other, format!("data = {:?}\n[work]\nbatch = 31\n", data.path())).unwrap();
    let shown = show(&data, &[("SONIQUEBAY_CONFIG", named)], &[]);
    assert_eq!(held(&shown, "work.batch"), ("31".into(), "other.toml, line 3".into()));
    assert!(shown["not_read"].as_str().unwrap().ends_with("config.toml"), "{shown}");
}
