//! What is counted: every metric by name, in one table, and the numbers of the process itself.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use metrics::{Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

/// Says what was counted, in Prometheus' text format.
pub(crate) type Counters = Arc<dyn Fn() -> String + Send + Sync>;

/// What a metric's number does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Only grows while the process runs.
    Counter,
    /// Is what it is now.
    Gauge,
    /// How often something took how long, in seconds.
    Histogram,
}

/// A metric: its name, what its number does, its labels, and what it says. docs/metrics.md lists the same, checked by a test.
struct Metric(&'static str, Kind, &'static str, &'static str);

use Kind::{Counter, Gauge, Histogram};

/// Those that the API writes by itself when it is asked, with its own words.
#[cfg(test)]
const OF_STORES: [Metric; 4] = [
    Metric("soniquebay_tracks", Gauge, "", "Tracks in the library."),
    Metric(
        "soniquebay_vectors",
        Gauge,
        "space, state",
        "Tracks by the state of their vector in each space: ready, stale or missing.",
    ),
    Metric(
        "soniquebay_jobs",
        Gauge,
        "kind, state",
        "Jobs by kind and state: available, scheduled, running or discarded. Jobs that are messages have the kind message.",
    ),
    Metric(
        "soniquebay_jobs_waiting_seconds",
        Gauge,
        "kind",
        "How long the job that has waited longest could have been done.",
    ),
];

/// Those that parts count while they work. Counters without labels are there from the start, as 0.
const COUNTED: [Metric; 36] = [
    Metric("soniquebay_build_info", Gauge, "version, target", "1; which program this is."),
    Metric(
        "soniquebay_http_request_duration_seconds",
        Histogram,
        "method, route, status",
        "Requests by route and status, until the answer begins.",
    ),
    Metric(
        "soniquebay_embedding_duration_seconds",
        Histogram,
        "space",
        "How long it took to make the vectors of a batch of tracks.",
    ),
    Metric("soniquebay_vectors_made_total", Counter, "space", "Vectors that were made for jobs."),
    Metric(
        "soniquebay_embedding_cache_hits_total",
        Counter,
        "layer",
        "Texts whose vector was remembered: in memory, in the library's file or in Redis.",
    ),
    Metric("soniquebay_embedding_cache_misses_total", Counter, "", "Texts that had to be embedded."),
    Metric("soniquebay_embedding_server_requests_total", Counter, "model", "Requests to the embedding server."),
    Metric("soniquebay_embedding_server_texts_total", Counter, "model", "Texts that it embedded."),
    Metric(
        "soniquebay_embedding_server_retries_total",
        Counter,
        "model",
        "Requests that were sent again after a fault.",
    ),
    Metric(
        "soniquebay_embedding_server_truncated_texts_total",
        Counter,
        "model",
        "Texts that were longer than the model reads.",
    ),
    Metric("soniquebay_embedding_server_refused_texts_total", Counter, "model", "Texts that it refused, each alone."),
    Metric(
        "soniquebay_embedding_server_rejected_answers_total",
        Counter,
        "model",
        "Answers that were not what was asked for. None should ever come.",
    ),
    Metric(
        "soniquebay_embedding_server_breaker_opened_total",
        Counter,
        "model",
        "Times that it was given a rest after failing.",
    ),
    Metric(
        "soniquebay_embedding_server_resting",
        Gauge,
        "model",
        "1 while it is given a rest (the breaker is open), else 0.",
    ),
    Metric("soniquebay_events_heard_total", Counter, "", "Events of tracks that were heard over Redis."),
    Metric("soniquebay_events_unknown_total", Counter, "", "Events of a type that is not known here."),
    Metric("soniquebay_events_malformed_total", Counter, "", "Messages on the channel that are no events."),
    Metric("soniquebay_events_published_total", Counter, "", "Events that were told over Redis."),
    Metric(
        "soniquebay_events_unpublished_total",
        Counter,
        "",
        "Events that could not be told; comparing finds what they would have said.",
    ),
    Metric(
        "soniquebay_events_postponed_total",
        Counter,
        "",
        "Times that events waited, as the queue could not be written.",
    ),
    Metric("soniquebay_jobs_queued_total", Counter, "", "Jobs that the listener made."),
    Metric("soniquebay_jobs_joined_total", Counter, "", "Jobs that were asked for and waited already."),
    Metric("soniquebay_jobs_redelivered_total", Counter, "", "Jobs whose former worker ended without a word."),
    Metric("soniquebay_jobs_settled_total", Counter, "", "Jobs that were settled."),
    Metric(
        "soniquebay_jobs_settled_late_total",
        Counter,
        "",
        "Settlements that changed nothing, as the lease was another's.",
    ),
    Metric(
        "soniquebay_jobs_failed_total",
        Counter,
        "setback",
        "Jobs that did not get their vector: retry, snooze (a service is away) or discard.",
    ),
    Metric("soniquebay_analysis_files_total", Counter, "outcome", "Files that were heard, or whose sound was known."),
    Metric("soniquebay_analysis_audio_seconds_total", Counter, "", "Audio that was heard, in seconds of playing."),
    Metric("soniquebay_analysis_failures_total", Counter, "reason", "Files that could not be heard, by reason."),
    Metric(
        "soniquebay_reconciler_repairs_total",
        Counter,
        "",
        "Jobs made by comparing tracks with vectors, for what no event told.",
    ),
    Metric("process_start_time_seconds", Gauge, "", "When the process began, in seconds since 1970."),
    Metric("process_resident_memory_bytes", Gauge, "", "Memory that the process holds."),
    Metric("process_virtual_memory_bytes", Gauge, "", "Addresses that the process has, mapped files too."),
    Metric("process_cpu_seconds_total", Counter, "", "Time that the process computed."),
    Metric("process_open_fds", Gauge, "", "Files and connections that are open."),
    Metric("process_max_fds", Gauge, "", "Files and connections that may be open."),
];

/// Bounds of all histograms, in seconds: from an answer from memory to a model that is loaded first.
const BUCKETS: [f64; 14] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0];

/// How often samples of histograms are put into their buckets; until then each takes memory.
const UPKEEP: Duration = Duration::from_secs(5);

/// Begins to count. `refresh` is called before each telling.
pub(crate) fn start(refresh: impl Fn() + Send + Sync + 'static) -> anyhow::Result<Counters> {
    let builder = PrometheusBuilder::new().set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &BUCKETS)?;
    let counted: PrometheusHandle = builder.install_recorder().context("nothing can be counted")?;
    for Metric(name, kind, labels, what) in &COUNTED {
        // A metric's unit is part of its name already.
        match kind {
            Counter => describe_counter!(*name, Unit::Count, *what),
            Gauge => describe_gauge!(*name, Unit::Count, *what),
            Histogram => describe_histogram!(*name, Unit::Count, *what),
        }
        if *kind == Counter && labels.is_empty() {
            counter!(*name).absolute(0);
        }
    }
    let target = format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS);
    gauge!("soniquebay_build_info", "version" => env!("CARGO_PKG_VERSION"), "target" => target).set(1.0);
    let kept = counted.clone();
    tokio::spawn(async move {
        let mut ticks = tokio::time::interval(UPKEEP);
        loop {
            ticks.tick().await;
            kept.run_upkeep();
        }
    });
    Ok(Arc::new(move || {
        refresh();
        tell_process();
        counted.render()
    }))
}

/// What the kernel says of this process; nothing where there is no /proc.
fn tell_process() {
    let Some(process) = Process::look() else { return };
    gauge!("process_start_time_seconds").set(process.started);
    gauge!("process_resident_memory_bytes").set(process.resident);
    gauge!("process_virtual_memory_bytes").set(process.virtual_size);
    counter!("process_cpu_seconds_total").absolute(process.cpu_seconds as u64);
    if let Ok(open) = std::fs::read_dir("/proc/self/fd") {
        gauge!("process_open_fds").set(open.count() as f64);
    }
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let most: Option<f64> =
        limits.lines().find_map(|line| line.strip_prefix("Max open files")?.split_whitespace().next()?.parse().ok());
    if let Some(most) = most {
        gauge!("process_max_fds").set(most);
    }
}

struct Process {
    started: f64,
    resident: f64,
    virtual_size: f64,
    cpu_seconds: f64,
}

impl Process {
    fn look() -> Option<Self> {
        /// Ticks a second, as Linux tells them on every processor.
        const TICKS: f64 = 100.0;
        let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
        // The name before it may hold anything.
        let fields: Vec<f64> =
            stat.rsplit_once(')')?.1.split_whitespace().map(|field| field.parse().unwrap_or(0.0)).collect();
        let field = |number: usize| fields.get(number - 3).copied();
        let boot = std::fs::read_to_string("/proc/stat").ok()?;
        let boot: f64 = boot.lines().find_map(|line| line.strip_prefix("btime ")?.trim().parse().ok())?;
        let status = std::fs::read_to_string("/proc/self/status").ok()?;
        let kilobytes = |name: &str| -> Option<f64> {
            let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
            line.split_whitespace().next()?.parse().ok()
        };
        Some(Self {
            started: boot + field(22)? / TICKS,
            resident: kilobytes("VmRSS")? * 1024.0,
            virtual_size: kilobytes("VmSize")? * 1024.0,
            cpu_seconds: (field(14)? + field(15)?) / TICKS,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::{Path, PathBuf};

    use super::{COUNTED, Kind, Metric, OF_STORES, Process};

    fn project() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
    }

    fn all() -> impl Iterator<Item = &'static Metric> {
        OF_STORES.iter().chain(&COUNTED)
    }

    fn read(path: &str) -> String {
        std::fs::read_to_string(project().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    /// Names of metrics in a text.
    fn named(text: &str) -> BTreeSet<String> {
        let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
        let is_ours = |word: &&str| word.starts_with("soniquebay_") || word.starts_with("process_");
        words.filter(is_ours).map(str::to_owned).collect()
    }

    #[test]
    fn the_document_lists_what_is_counted() {
        let row = |Metric(name, kind, labels, what): &Metric| {
            let kind = format!("{kind:?}").to_lowercase();
            format!("| `{name}` | {kind} | {labels} | {what} |\n").replace("|  |", "| |")
        };
        let table: String = all().map(row).collect();
        assert!(read("docs/metrics.md").contains(&table), "docs/metrics.md should hold:\n{table}");
    }

    #[test]
    fn names_are_as_prometheus_has_them() {
        let mut names = BTreeSet::new();
        for Metric(name, kind, labels, what) in all() {
            assert!(names.insert(*name), "{name} stands there twice");
            assert_eq!(name.ends_with("_total"), *kind == Kind::Counter, "{name}");
            assert!(*kind != Kind::Histogram || name.ends_with("_seconds"), "{name}: in base units");
            assert!(what.ends_with('.') && !what.contains('|'), "{name}");
            assert!(labels.chars().all(|c| c.is_ascii_lowercase() || c == '_' || c == ',' || c == ' '), "{name}");
        }
    }

    #[test]
    fn whatever_the_code_counts_is_in_the_table() {
        let known: BTreeSet<&str> = all().map(|Metric(name, ..)| *name).collect();
        let mut folders = vec![project().join("crates")];
        let mut used = BTreeSet::new();
        while let Some(folder) = folders.pop() {
            for path in std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()) {
                let is_source = path.components().any(|part| part.as_os_str() == "src");
                if path.is_dir() {
                    folders.push(path);
                } else if is_source && path.extension().is_some_and(|extension| extension == "rs") {
                    let text = std::fs::read_to_string(&path).unwrap();
                    let strings = text.split('"').skip(1).step_by(2);
                    let is_metric = |text: &&str| {
                        text.strip_prefix("soniquebay_").is_some_and(|rest| !rest.is_empty())
                            && named(text).contains(*text)
                    };
                    used.extend(strings.filter(is_metric).map(str::to_owned));
                }
            }
        }
        // Headers of messages.
        used.retain(|name| !["soniquebay_reason", "soniquebay_space", "soniquebay_subject"].contains(&name.as_str()));
        let unknown: Vec<_> = used.iter().filter(|name| !known.contains(name.as_str())).collect();
        assert!(unknown.is_empty(), "counted, and not in the table: {unknown:?}");
        assert!(used.len() > 20, "{used:?}");
    }

    #[test]
    fn dashboard_and_alerts_ask_for_what_there_is() {
        let known: BTreeSet<&str> = all().map(|Metric(name, ..)| *name).collect();
        for file in ["contrib/grafana-dashboard.json", "contrib/prometheus-alerts.yml"] {
            let asked = named(&read(file));
            assert!(asked.len() > 5, "{file}: {asked:?}");
            for name in asked {
                let family = ["_bucket", "_sum", "_count"].iter().find_map(|part| name.strip_suffix(part));
                assert!(known.contains(family.unwrap_or(&name)), "{file} asks for {name}, which nobody counts");
            }
        }
        let dashboard: serde_json::Value = serde_json::from_str(&read("contrib/grafana-dashboard.json")).unwrap();
        assert!(dashboard["panels"].as_array().unwrap().len() > 8);
    }

    #[test]
    fn the_kernel_tells_of_this_process() {
        let process = Process::look().unwrap();
        assert!(process.resident > 1e5 && process.virtual_size >= process.resident);
        assert!(process.started > 1.5e9);
    }
}
