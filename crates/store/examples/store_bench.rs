//! How fast the stores are: writing tracks, claiming and settling jobs; and pgvector's index beside the memory index.
//!
//!     cargo run --release -p soniquebay-store --example store_bench -- [VECTORS]
//!
//! Vectors are made up, of 396 numbers around one centre in a hundred. PostgreSQL is one of the tests' own, durable, with
//! shared_buffers of 1 GB.
#![allow(clippy::print_stdout, reason = "a benchmark prints")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use soniquebay_domain::{
    Change, Database, Filter, Hit, Priority, Range, SettledJob, Space, SystemClock, Target, TrackId, TrackPatch,
    TrackWrite, Vector, VectorIndex, VectorWrite, WriteMode,
};
use soniquebay_search::MemoryIndex;
use soniquebay_store::postgres::PostgresStore;
use soniquebay_store::sqlite::SqliteStore;
use soniquebay_testkit::postgres::{DURABLE, PostgresServer};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

const DIMS: usize = 396;
const BATCH: usize = 64;
const QUERIES: u64 = 200;
const K: usize = 10;

#[tokio::main]
async fn main() -> Result<()> {
    let vectors: usize = std::env::args().nth(1).map_or(Ok(100_000), |number| number.parse())?;
    let space = Space::new("bench", DIMS, "1")?;
    let folder = tempfile::tempdir()?;
    let sqlite = SqliteStore::open(&folder.path().join("library.db"), Arc::new(SystemClock)).await?;
    fill("SQLite", &sqlite, &space, vectors).await?;

    let settings = [&DURABLE[..], &["shared_buffers=1GB"]].concat();
    let server = tokio::task::spawn_blocking(move || PostgresServer::start_with(&settings)).await?;
    let postgres = PostgresStore::connect(&server.new_database(), Arc::new(SystemClock)).await?;
    fill("PostgreSQL", &postgres, &space, vectors).await?;

    let postgres = Arc::new(postgres);
    let memory = MemoryIndex::new(Arc::<PostgresStore>::clone(&postgres));
    let began = Instant::now();
    memory.search(&space, &vector(0)?, K, &Filter::default()).await?;
    println!("memory index: loaded from PostgreSQL in {:.1} s", began.elapsed().as_secs_f64());
    let pgvector = postgres.pgvector_index();
    let began = Instant::now();
    pgvector.build(&space).await?;
    println!("HNSW: built in {:.1} s", began.elapsed().as_secs_f64());
    for (name, filter) in filters()? {
        let exact = ask(&format!("memory index, {name}"), &memory, &space, &filter, None).await?;
        ask(&format!("pgvector, {name}"), &pgvector, &space, &filter, Some(&exact)).await?;
    }
    Ok(())
}

fn filters() -> Result<[(&'static str, Filter); 8]> {
    let until = |last| Range { min: None, max: Some(last) };
    let any = Filter::default;
    Ok([
        ("no filter", any()),
        ("one track left out", Filter { excluded_tracks: [TrackId::new(1).ok_or("no track")?].into(), ..any() }),
        ("one artist left out", Filter { excluded_artists: ["artist 1".to_owned()].into(), ..any() }),
        ("20 % by year", Filter { years: until(1919.0), ..any() }),
        ("5 % by genre", Filter { genres: vec!["genre 7".to_owned()], ..any() }),
        ("2 % by year", Filter { years: until(1901.0), ..any() }),
        ("20 % that lie far from most questions", Filter { duration: until(119.0), ..any() }),
        ("0.1 % by tempo", Filter { bpm: until(60.0), ..any() }),
    ])
}

/// Writes tracks, then makes all their vectors as one worker would.
async fn fill(name: &str, store: &dyn Database, space: &Space, tracks: usize) -> Result<()> {
    store.want_spaces(vec![space.clone()]).await?;
    let began = Instant::now();
    for first in (0..tracks).step_by(1000) {
        store.apply((first..tracks.min(first + 1000)).map(track).collect()).await?;
    }
    let rate = |began: Instant| tracks as f64 / began.elapsed().as_secs_f64();
    println!("{name}: {:.0} tracks/s written", rate(began));
    let (began, mut working) = (Instant::now(), Duration::ZERO);
    loop {
        let leases = store.claim(space, BATCH, Duration::from_secs(60)).await?;
        if leases.is_empty() {
            break;
        }
        // What a worker does between is not the store's.
        let made = Instant::now();
        let ids = leases.iter().map(|lease| lease.job.track_id).collect();
        let hashes: std::collections::HashMap<_, _> =
            store.tracks(ids).await?.into_iter().map(|track| (track.id, track.content_hash)).collect();
        let mut settled = Vec::new();
        for lease in leases {
            let (id, hash) = (lease.job.track_id, hashes.get(&lease.job.track_id).cloned());
            let write = VectorWrite::new(id, space.clone(), vector(id.get().unsigned_abs())?, hash);
            settled.push(SettledJob { lease, result: Ok(Some(write)), analysis: None });
        }
        working += made.elapsed();
        store.settle(settled).await?;
    }
    let seconds = (began.elapsed() - working).as_secs_f64();
    println!("{name}: {:.0} jobs/s claimed and settled, {BATCH} at a time", tracks as f64 / seconds);
    Ok(())
}

fn track(number: usize) -> TrackWrite {
    TrackWrite {
        target: Target::Recognised { id: None },
        mode: WriteMode::Merge,
        patch: TrackPatch {
            title: Change::Set(format!("Track {number}")),
            artist: Change::Set(format!("Artist {}", number / 12)),
            genre: Change::Set(format!("Genre {}", number / 12 % 20)),
            year: Change::Set(1900 + (number / 100 % 100) as i32),
            // As the centres of the vectors go.
            duration: Change::Set(100.0 + (number % 100) as f64),
            bpm: Change::Set(60.0 + (number % 1000) as f64 / 10.0),
            ..TrackPatch::default()
        },
        priority: Priority::Bulk,
    }
}

/// Asks one question after the other; prints times and, beside what is right, the recall.
async fn ask(
    name: &str,
    index: &dyn VectorIndex,
    space: &Space,
    filter: &Filter,
    right: Option<&[Vec<Hit>]>,
) -> Result<Vec<Vec<Hit>>> {
    let (mut times, mut answers) = (Vec::new(), Vec::new());
    for query in 0..QUERIES {
        // Of the same kind as the tracks, and none of them.
        let query = vector(1_000_000_000 + query)?;
        let began = Instant::now();
        answers.push(index.search(space, &query, K, filter).await?);
        times.push(began.elapsed());
    }
    times.sort();
    let recall = right.map_or(String::new(), |right| {
        let same = |(found, right): (&Vec<Hit>, &Vec<Hit>)| {
            right.iter().filter(|hit| found.iter().any(|other| other.track_id == hit.track_id)).count()
        };
        let hits: usize = right.iter().map(Vec::len).sum();
        format!(", recall@{K} {:.3}", answers.iter().zip(right).map(same).sum::<usize>() as f64 / hits as f64)
    });
    let at = |share: usize| times[times.len() * share / 100].as_secs_f64() * 1e3;
    println!("{name}: p50 {:.2} ms, p95 {:.2} ms{recall}", at(50), at(95));
    Ok(answers)
}

/// A made-up vector: one of a hundred centres, and as much again of its own.
fn vector(seed: u64) -> Result<Vector> {
    let numbers = |seed: u64| {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(0x5eed);
        (0..DIMS).map(move |_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 40) as f32 / 8_388_608.0 - 1.0
        })
    };
    Ok(Vector::new(numbers(1 + seed % 100).zip(numbers(1000 + seed)).map(|(centre, own)| centre + own).collect())?)
}
