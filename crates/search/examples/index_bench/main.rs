//! How fast the memory index is, how right and how large, on made-up libraries.
//!
//!     cargo run --release -p soniquebay-search --example index_bench -- [--kind random|clusters|tight|FILE] [--vectors 100000]
//!
//! FILE holds float32 rows of 396 numbers. With `--rate SECONDS` it tells how many searches a second are answered. With `--serve FOLDER` it writes the vectors and queries it made into the folder
//! and answers questions from standard input, so that `bench/index.py` can ask other indexes beside it.
#![allow(clippy::print_stdout, reason = "a benchmark prints")]

mod library;

use std::fs;
use std::io::{self, BufRead, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use soniquebay_domain::{Filter, Hit, Range, Space, Vector, VectorIndex, dot};
use soniquebay_search::MemoryIndex;

use library::{DIMS, Kind, Library, Log, weighted, year};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

const K: usize = 10;
const WEIGHTS: [f32; 3] = [0.0, 0.5, 1.0];
/// Name, and the years that pass: each year is one row in a thousand.
const FILTERS: [(&str, Option<f64>); 3] = [("none", None), ("5 %", Some(49.0)), ("0.1 %", Some(0.0))];
/// Who asks at one time, where the rate is measured.
const CALLERS: usize = 8;
/// Rows that the writer of the last part adds.
const WRITTEN: usize = 20_000;

struct Options {
    kind: Kind,
    vectors: usize,
    queries: usize,
    serve: Option<PathBuf>,
    rate: Option<f64>,
}

struct Bench {
    library: Arc<Library>,
    log: Arc<Log>,
    index: Arc<MemoryIndex>,
    space: Space,
    runtime: tokio::runtime::Runtime,
    /// Bytes a second, read by one thread.
    bandwidth: f64,
}

fn main() -> Result<()> {
    let options = options()?;
    let library = Arc::new(Library::make(&options.kind, options.vectors, options.queries)?);
    let log = Arc::new(Log { visible: AtomicUsize::new(library.len()), library: Arc::clone(&library) });
    let bench = Bench {
        index: Arc::new(MemoryIndex::new(Arc::<Log>::clone(&log))),
        library,
        log,
        space: Space::external(DIMS)?,
        runtime: tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?,
        bandwidth: bandwidth(),
    };
    match (options.serve, options.rate) {
        (Some(folder), _) => bench.serve(&folder),
        (None, Some(seconds)) => bench.rate(Duration::from_secs_f64(seconds)),
        (None, None) => bench.report(&options.kind),
    }
}

fn options() -> Result<Options> {
    let mut options = Options { kind: Kind::Random, vectors: 100_000, queries: 100, serve: None, rate: None };
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        let value = arguments.next().ok_or_else(|| format!("{name} needs a value"))?;
        match name.as_str() {
            "--kind" => options.kind = value.parse()?,
            "--vectors" => options.vectors = value.parse()?,
            "--queries" => options.queries = value.parse()?,
            "--serve" => options.serve = Some(value.into()),
            "--rate" => options.rate = Some(value.parse()?),
            _ => return Err(format!("{name}: there are --kind, --vectors, --queries, --serve and --rate").into()),
        }
    }
    Ok(options)
}

impl Bench {
    fn search(&self, query: &[f32], most: Option<f64>) -> Result<(Duration, Vec<Hit>)> {
        let query = Vector::new(query.to_vec())?;
        let filter = Filter { years: Range { min: None, max: most }, ..Filter::default() };
        // On a worker, as a request is; answers come back to a thread that waits.
        let (index, space) = (Arc::clone(&self.index), self.space.clone());
        let search = async move {
            let began = Instant::now();
            let hits = index.search(&space, &query, K, &filter).await;
            (began.elapsed(), hits)
        };
        let (took, hits) = self.runtime.block_on(self.runtime.spawn(search))?;
        Ok((took, hits?))
    }

    /// Loads the index; how long that took.
    fn load(&self) -> Result<Duration> {
        Ok(self.search(&self.library.queries[0], None)?.0)
    }

    fn passing(&self, most: Option<f64>) -> usize {
        (0..self.library.len()).filter(|row| most.is_none_or(|most| f64::from(year(*row)) <= most)).count()
    }

    /// What the first stage must read at least, in time: the 1-bit codes of all rows, or the 2-bit codes of those that pass.
    fn floor(&self, most: Option<f64>) -> f64 {
        let bits = self.library.len() * (DIMS.next_power_of_two() / 8 + 2);
        let bytes = self.passing(most) * (DIMS.next_power_of_two() / 4 + 2);
        bits.min(bytes) as f64 / self.bandwidth * 1e3
    }

    fn report(&self, kind: &Kind) -> Result<()> {
        let loaded = self.load()?;
        let count = self.library.len();
        let size = self.index.size();
        println!("{kind:?}, {count} × {DIMS}, k = {K}, one core, memory read at {:.1} GB/s", self.bandwidth / 1e9);
        println!("built in {:.2} s; {}\n", loaded.as_secs_f64(), bytes_each(&size));
        println!("| weight | filter | p50 ms | p99 ms | floor ms | recall@10 |\n|---|---|---|---|---|---|");
        for weight in WEIGHTS {
            let queries: Vec<Vec<f32>> = self.library.queries.iter().map(|query| weighted(query, weight)).collect();
            let truths: Vec<_> = queries.iter().map(|query| self.truth(query)).collect();
            for (at, (name, most)) in FILTERS.into_iter().enumerate() {
                let (mut times, mut right, mut wanted) = (Vec::new(), 0, 0);
                for (query, truth) in queries.iter().zip(&truths) {
                    let (took, hits) = self.search(query, most)?;
                    times.push(took.as_secs_f64() * 1e3);
                    let scores = &truth[at];
                    wanted += scores.len();
                    let least = scores.last().copied().unwrap_or(f32::INFINITY);
                    right += hits.iter().filter(|hit| hit.score >= least).count().min(scores.len());
                }
                let (p50, p99) = percentiles(times);
                let (floor, recall) = (self.floor(most), right as f64 / wanted.max(1) as f64);
                println!("| {weight} | {name} | {p50:.2} | {p99:.2} | {floor:.2} | {recall:.4} |");
            }
        }
        self.write_beside()
    }

    /// The scores of the best rows under each filter, by comparing all.
    fn truth(&self, query: &[f32]) -> [Vec<f32>; FILTERS.len()] {
        let mut scores: [Vec<f32>; FILTERS.len()] = Default::default();
        for (row, vector) in self.library.vectors.chunks_exact(DIMS).enumerate() {
            let (score, year) = (dot(vector, query).clamp(-1.0, 1.0), f64::from(year(row)));
            for ((_, most), best) in FILTERS.iter().zip(&mut scores) {
                let is_better = best.len() < K || best.last().is_some_and(|last| score > *last);
                if is_better && most.is_none_or(|most| year <= most) {
                    best.insert(best.partition_point(|other| *other >= score), score);
                    best.truncate(K);
                }
            }
        }
        scores
    }

    /// Searches while somebody writes, a thousand rows at a time, much faster than vectors are made.
    fn write_beside(&self) -> Result<()> {
        let count = self.library.len();
        let start = count.saturating_sub(WRITTEN);
        self.log.visible.store(start, Ordering::Release);
        let fresh = Bench {
            index: Arc::new(MemoryIndex::new(Arc::<Log>::clone(&self.log))),
            library: Arc::clone(&self.library),
            log: Arc::clone(&self.log),
            space: self.space.clone(),
            runtime: tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?,
            bandwidth: self.bandwidth,
        };
        fresh.load()?;
        let log = Arc::clone(&self.log);
        let writer = std::thread::spawn(move || {
            for visible in (start..=count).step_by(1000) {
                log.visible.store(visible, Ordering::Release);
                std::thread::sleep(Duration::from_millis(50));
            }
        });
        let mut times = Vec::new();
        for query in self.library.queries.iter().cycle() {
            times.push(fresh.search(query, None)?.0.as_secs_f64() * 1e3);
            if writer.is_finished() {
                break;
            }
        }
        writer.join().map_err(|_| "the writer stopped")?;
        let most = times.iter().copied().fold(0.0, f64::max);
        let (p50, p99) = percentiles(times);
        println!("\nwhile 20,000 rows a second are written: p50 {p50:.2} ms, p99 {p99:.2} ms, at most {most:.2} ms");
        Ok(())
    }

    /// How many searches a second are answered for so many callers, each of whom asks again at once.
    fn rate(&self, time: Duration) -> Result<()> {
        self.load()?;
        let began = Instant::now();
        let caller = |caller: usize| {
            let (index, library, space) = (Arc::clone(&self.index), Arc::clone(&self.library), self.space.clone());
            self.runtime.spawn(async move {
                let mut answered = 0u32;
                while began.elapsed() < time {
                    let query = &library.queries[(caller + CALLERS * answered as usize) % library.queries.len()];
                    let query = Vector::new(query.clone()).map_err(|error| error.to_string())?;
                    index.search(&space, &query, K, &Filter::default()).await.map_err(|error| error.to_string())?;
                    answered += 1;
                }
                Ok::<_, String>(answered)
            })
        };
        let callers: Vec<_> = (0..CALLERS).map(caller).collect();
        let mut answered = 0;
        for caller in callers {
            answered += self.runtime.block_on(caller)??;
        }
        println!("{:.0} searches a second, {CALLERS} at a time", f64::from(answered) / began.elapsed().as_secs_f64());
        Ok(())
    }

    /// Writes what was made, loads, and answers a line "query weight years" (years may be −1: no filter) with microseconds
    /// and hits.
    fn serve(&self, folder: &std::path::Path) -> Result<()> {
        fs::create_dir_all(folder)?;
        write_numbers(&folder.join("vectors.f32"), self.library.vectors.chunks_exact(DIMS))?;
        write_numbers(&folder.join("queries.f32"), self.library.queries.iter().map(Vec::as_slice))?;
        let years: Vec<u8> = (0..self.library.len()).flat_map(|row| year(row).to_le_bytes()).collect();
        fs::write(folder.join("years.i32"), years)?;
        let loaded = self.load()?.as_secs_f64();
        let (size, out) = (self.index.size(), io::stdout());
        let floors: Vec<String> = FILTERS.iter().map(|(_, most)| format!("{:.4}", self.floor(*most))).collect();
        let [codes, facts, disk] = [size.code_bytes, size.fact_bytes, size.disk_bytes];
        println!(
            "{{\"rows\": {}, \"built_s\": {loaded:.3}, \"code_bytes\": {codes}, \"fact_bytes\": {facts}, \"disk_bytes\": {disk}, \
             \"bandwidth\": {:.0}, \"floors_ms\": [{}]}}",
            self.library.len(),
            self.bandwidth,
            floors.join(", ")
        );
        for line in io::stdin().lock().lines() {
            let line = line?;
            let [query, weight, most] = line.split(' ').collect::<Vec<_>>()[..] else {
                return Err(format!("{line}: not \"query weight years\"").into());
            };
            let query = self.library.queries.get(query.parse::<usize>()?).ok_or("there is no such query")?;
            let most = Some(most.parse::<f64>()?).filter(|most| *most >= 0.0);
            let (took, hits) = self.search(&weighted(query, weight.parse()?), most)?;
            let hits: Vec<String> =
                hits.iter().map(|hit| format!("{}:{}", hit.track_id.get() - 1, hit.score)).collect();
            writeln!(out.lock(), "{} {}", took.as_nanos() as f64 / 1e3, hits.join(" "))?;
            out.lock().flush()?;
        }
        Ok(())
    }
}

fn bytes_each(size: &soniquebay_search::IndexSize) -> String {
    let each = |bytes: usize| bytes as f64 / size.vectors as f64;
    let (codes, facts, disk) = (each(size.code_bytes), each(size.fact_bytes), each(size.disk_bytes));
    format!("bytes a vector: {codes:.0} of codes and ids, {facts:.0} of facts, {disk:.0} on disk")
}

fn percentiles(mut times: Vec<f64>) -> (f64, f64) {
    times.sort_by(f64::total_cmp);
    (times[times.len() / 2], times[times.len() * 99 / 100])
}

fn write_numbers<'a>(path: &std::path::Path, rows: impl Iterator<Item = &'a [f32]>) -> io::Result<()> {
    let mut file = io::BufWriter::new(fs::File::create(path)?);
    for row in rows {
        let bytes: Vec<u8> = row.iter().flat_map(|number| number.to_le_bytes()).collect();
        file.write_all(&bytes)?;
    }
    file.flush()
}

/// How fast one thread reads memory: the best of five passes over more than the caches hold.
fn bandwidth() -> f64 {
    let words = vec![1u64; 32 << 20];
    let pass = |_| {
        let began = Instant::now();
        let sums = words.chunks_exact(8).fold([0u64; 8], |mut sums, eight| {
            sums.iter_mut().zip(eight).for_each(|(sum, word)| *sum = sum.wrapping_add(*word));
            sums
        });
        std::hint::black_box(sums);
        (words.len() * 8) as f64 / began.elapsed().as_secs_f64()
    };
    (0..5).map(pass).fold(0.0, f64::max)
}
