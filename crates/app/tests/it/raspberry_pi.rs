//! The whole flow within what a small machine has: two cores and one gigabyte, and no embedding server.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::program::{Data, Ran, Server};

/// One gigabyte.
const MEMORY: u64 = 1 << 30;

/// What one process may take at most of it, with its caches: a Raspberry Pi has other things to do.
const MOST: u64 = 512 << 20;

/// A control group of version 2 or 1, with its limits set; removed when it is dropped.
struct Group {
    folders: Vec<PathBuf>,
    peak: PathBuf,
    version: u8,
}

impl Group {
    /// `None` where none can be made here: we are not root, or hold no controller.
    fn new() -> Option<Self> {
        let name = format!("soniquebay-test-{}", std::process::id());
        Self::version_2(&name).or_else(|| Self::version_1(&name))
    }

    fn version_2(name: &str) -> Option<Self> {
        let root = Path::new("/sys/fs/cgroup");
        let held = std::fs::read_to_string(root.join("cgroup.controllers")).ok()?;
        if !held.split_whitespace().any(|controller| controller == "memory") {
            return None;
        }
        let _ = std::fs::write(root.join("cgroup.subtree_control"), "+memory +cpu");
        let folder = root.join(name);
        std::fs::create_dir(&folder).ok()?;
        let group = Self { peak: folder.join("memory.peak"), folders: vec![folder.clone()], version: 2 };
        std::fs::write(folder.join("memory.max"), MEMORY.to_string()).ok()?;
        let _ = std::fs::write(folder.join("memory.swap.max"), "0");
        std::fs::write(folder.join("cpu.max"), "200000 100000").ok()?;
        Some(group)
    }

    fn version_1(name: &str) -> Option<Self> {
        let (memory, cpu) = (Path::new("/sys/fs/cgroup/memory").join(name), Path::new("/sys/fs/cgroup/cpu").join(name));
        std::fs::create_dir(&memory).ok()?;
        let peak = memory.join("memory.max_usage_in_bytes");
        let mut group = Self { peak, folders: vec![memory.clone()], version: 1 };
        std::fs::create_dir(&cpu).ok()?;
        group.folders.push(cpu.clone());
        std::fs::write(memory.join("memory.limit_in_bytes"), MEMORY.to_string()).ok()?;
        std::fs::write(cpu.join("cpu.cfs_period_us"), "100000").ok()?;
        std::fs::write(cpu.join("cpu.cfs_quota_us"), "200000").ok()?;
        Some(group)
    }

    /// A process that is in the group before it is our program.
    fn holding(&self, command: &Command) -> Command {
        let join = "for group; do [ \"$group\" = -- ] && break; echo $$ > \"$group/cgroup.procs\"; shift; done; shift; exec \"$@\"";
        let mut held = Command::new("sh");
        held.args(["-euc", join, "sh"])
            .args(&self.folders)
            .arg("--")
            .arg(command.get_program())
            .args(command.get_args());
        held
    }

    fn peak(&self) -> u64 {
        std::fs::read_to_string(&self.peak).unwrap().trim().parse().unwrap()
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        for folder in &self.folders {
            // Who was in it has ended, or is about to.
            while std::fs::remove_dir(folder).is_err_and(|error| error.kind() == std::io::ErrorKind::ResourceBusy) {
                std::thread::sleep(std::time::Duration::from_millis(10));
            }
        }
    }
}

#[test]
fn two_cores_and_a_gigabyte_are_enough() {
    let group = Group::new();
    match &group {
        Some(group) => println!("held in a control group of version {}", group.version),
        None => println!(
            "!!! NO CONTROL GROUP CAN BE MADE HERE: two cores by taskset, and no limit of memory but what is measured"
        ),
    }
    let data = Data::with_model();
    let held = |arguments: &[&str]| {
        let mut command = match &group {
            Some(group) => group.holding(&data.command(arguments)),
            None => {
                let mut command = Command::new("taskset");
                let inner = data.command(arguments);
                command.args(["--cpu-list", "0,1"]).arg(inner.get_program()).args(inner.get_args());
                command
            }
        };
        // No embedding server is anywhere.
        command.env_remove("RUST_LOG").env("OLLAMA_HOST", "127.0.0.1:1");
        command
    };
    let shown = Ran::from(held(&["config", "show", "--json"]).output().unwrap()).expect(0).json();
    if group.is_some() {
        assert_eq!(shown["profile"]["name"], "pi", "{}", shown["profile"]);
        assert_eq!(shown["profile"]["memory_bytes"], MEMORY);
        let held = |key: &str| {
            let all = shown["settings"].as_array().unwrap();
            all.iter().find(|setting| setting["key"] == key).unwrap()["value"].as_str().unwrap().to_owned()
        };
        let limits = [
            "work.concurrency",
            "work.batch",
            "work.time_limit",
            "work.scan_batch",
            "embedding.embedding_batch",
            "sound.analysis_time_limit",
        ];
        assert_eq!(limits.map(held), ["2", "25", "3600", "25", "16", "60"], "the written design's limits");
    }

    let music = data.beside("music");
    std::fs::create_dir_all(&music).unwrap();
    for n in 0..40 {
        let tags = soniquebay_testkit::audio::TrackTags {
            title: format!("Song {n}"),
            artist: format!("Artist {}", n % 7),
            ..Default::default()
        };
        let path = music.join(format!("{n}.mp3"));
        soniquebay_testkit::audio::write_track(&path, soniquebay_testkit::audio::AudioFormat::Mp3, &tags).unwrap();
    }
    let scan = Ran::from(held(&["scan", music.to_str().unwrap(), "--json"]).output().unwrap()).expect(0);
    assert_eq!(scan.json()["created"], 40);
    let catalogue = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../data/demo-tracks.jsonl");
    Ran::from(held(&["import", catalogue.to_str().unwrap()]).output().unwrap()).expect(0);

    let server = Server::start(held(&["serve", "--listen", "127.0.0.1:0"]));
    let (status, answer) = server.get("/api/tracks/1/similar");
    assert_eq!((status, answer["items"].as_array().map(Vec::len)), (200, Some(10)), "{answer}");
    let found = server.get("/api/search?q=daft+punk").1;
    assert!(!found["items"].as_array().unwrap().is_empty(), "{found}");
    server.post("/api/tracks/", r#"{"title": "One more", "artist": "Somebody"}"#);
    server.wait_until_vectorized();
    assert_eq!(server.terminate(), Some(0));
    if let Some(group) = group {
        let peak = group.peak();
        println!("at most {} MB were taken, with the files that the kernel kept for it", peak >> 20);
        assert!(peak < MOST, "{peak}");
    }
}
