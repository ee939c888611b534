//! Made-up libraries: vectors and queries from a seeded generator, and a store that holds them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use soniquebay_domain::{
    Facts, Fingerprint, Space, SpaceCoverage, SpaceSize, StoreError, StoredVector, TrackId, TrackState, VectorChanges,
    VectorStore, VectorWrite, Vectors,
};

/// Text and numbers, as in the product's own space.
pub(crate) const DIMS: usize = 396;
/// The numbers at the end.
const NUMBERS: usize = 12;
/// Tracks of one artist.
const OF_ONE_ARTIST: usize = 12;

/// How vectors lie.
#[derive(Clone, Debug)]
pub(crate) enum Kind {
    /// Every direction alike.
    Random,
    /// 2,000 clusters, points 0.7 from their centre.
    Clusters,
    /// Clusters of a hundred points, 0.05 from their centre.
    Tight,
    /// Float32 rows in a file, and queries from among them.
    File(std::path::PathBuf),
}

impl std::str::FromStr for Kind {
    type Err = std::convert::Infallible;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Ok(match name {
            "random" => Kind::Random,
            "clusters" => Kind::Clusters,
            "tight" => Kind::Tight,
            file => Kind::File(file.into()),
        })
    }
}

/// Unit vectors, one behind the other, and unit queries.
pub(crate) struct Library {
    pub(crate) vectors: Vec<f32>,
    pub(crate) queries: Vec<Vec<f32>>,
}

impl Library {
    pub(crate) fn make(kind: &Kind, count: usize, queries: usize) -> std::io::Result<Self> {
        let mut random = Random(20_261_120);
        let (clusters, spread) = match kind {
            Kind::Random => (0, 1.0),
            Kind::Clusters => (2000, 0.7),
            Kind::Tight => (count.div_ceil(100), 0.05),
            Kind::File(path) => return Self::read(path, count, queries, &mut random),
        };
        let centres: Vec<Vec<f32>> = (0..clusters).map(|_| random.direction()).collect();
        let mut point = || {
            let mut point = random.direction();
            if !centres.is_empty() {
                let centre = &centres[random.below(centres.len())];
                point.iter_mut().zip(centre).for_each(|(n, centre)| *n = centre + *n * spread);
                unit(&mut point);
            }
            point
        };
        let vectors = (0..count).flat_map(|_| point()).collect();
        Ok(Self { vectors, queries: (0..queries).map(|_| point()).collect() })
    }

    fn read(path: &std::path::Path, count: usize, queries: usize, random: &mut Random) -> std::io::Result<Self> {
        let bytes = std::fs::read(path)?;
        let mut vectors: Vec<f32> = bytes.as_chunks::<4>().0.iter().map(|n| f32::from_le_bytes(*n)).collect();
        let rows = (vectors.len() / DIMS).min(count);
        if rows == 0 {
            return Err(std::io::Error::other(format!("{}: not one row of {DIMS} float32 numbers", path.display())));
        }
        vectors.truncate(rows * DIMS);
        vectors.chunks_exact_mut(DIMS).for_each(unit);
        let queries = (0..queries).map(|_| vectors[random.below(rows) * DIMS..][..DIMS].to_vec()).collect();
        Ok(Self { vectors, queries })
    }

    pub(crate) fn len(&self) -> usize {
        self.vectors.len() / DIMS
    }
}

/// A query whose numbers weigh `weight` times as much.
pub(crate) fn weighted(query: &[f32], weight: f32) -> Vec<f32> {
    let mut query = query.to_vec();
    query[DIMS - NUMBERS..].iter_mut().for_each(|n| *n *= weight);
    unit(&mut query);
    query
}

fn unit(numbers: &mut [f32]) {
    let norm = numbers.iter().map(|n| f64::from(*n).powi(2)).sum::<f64>().sqrt();
    numbers.iter_mut().for_each(|n| *n = (f64::from(*n) / norm) as f32);
}

/// Spread evenly over 0 to 999, whatever the order of the rows: years up to 49 are a filter of 5 %, year 0 one of 0.1 %.
pub(crate) fn year(row: usize) -> i32 {
    ((row as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as i32 % 1000
}

/// A store that holds a library as a change log, of which the first `visible` rows have been written.
pub(crate) struct Log {
    pub(crate) library: Arc<Library>,
    pub(crate) visible: AtomicUsize,
}

#[async_trait]
impl Vectors for Log {
    async fn put(&self, _: Vec<VectorWrite>) -> Result<(), StoreError> {
        Ok(())
    }

    async fn vectors(&self, _: &Space, _: Vec<TrackId>) -> Result<Vec<StoredVector>, StoreError> {
        Ok(Vec::new())
    }

    async fn spaces(&self) -> Result<Vec<SpaceSize>, StoreError> {
        Ok(Vec::new())
    }

    async fn vector_fingerprints(&self, _: &Space, _: i64, _: usize) -> Result<Vec<Fingerprint>, StoreError> {
        Ok(Vec::new())
    }

    async fn forget(&self, _: Vec<TrackId>) -> Result<usize, StoreError> {
        Ok(0)
    }
}

#[async_trait]
impl VectorStore for Log {
    async fn vector_page(&self, _: &Space, _: i64, _: usize, _: usize) -> Result<Vec<StoredVector>, StoreError> {
        Ok(Vec::new())
    }

    async fn coverage(&self) -> Result<Vec<SpaceCoverage>, StoreError> {
        Ok(Vec::new())
    }

    async fn remove_vector(&self, _: &Space, _: TrackId) -> Result<bool, StoreError> {
        Ok(false)
    }

    async fn drop_space(&self, _: &Space) -> Result<u64, StoreError> {
        Ok(0)
    }

    async fn states(&self, _: &Space, _: Vec<TrackId>) -> Result<Vec<(TrackId, TrackState)>, StoreError> {
        Ok(Vec::new())
    }

    async fn changes(&self, _: &Space, sequence: i64, limit: usize) -> Result<VectorChanges, StoreError> {
        let (from, visible) = (sequence as usize, self.visible.load(Ordering::Acquire));
        let mut changes = VectorChanges::default();
        for row in from..visible.min(from + limit) {
            let track_id = TrackId::new(row as i64 + 1).ok_or(StoreError::Overloaded)?;
            let numbers = self.library.vectors[row * DIMS..][..DIMS].iter().copied();
            let stored = changes.stored(row as i64 + 1, track_id, numbers, facts(row));
            stored.map_err(|error| StoreError::Unavailable(error.to_string()))?;
        }
        Ok(changes)
    }
}

/// Tags of the usual size, shared as in a usual library.
fn facts(row: usize) -> Facts {
    let artist = row / OF_ONE_ARTIST;
    Facts {
        artist: format!("artist {artist}"),
        genres: vec![format!("genre {}", artist % 60)],
        tags: vec![format!("mood {}", row % 7), format!("tag {}", artist % 200)],
        year: Some(year(row)),
        bpm: Some(60.0 + (row % 120) as f64),
        key: None,
        duration: Some(120.0 + (row % 300) as f64),
        path: Some(format!("/music/artist {artist}/album/{:02} title {row}.flac", row % OF_ONE_ARTIST)),
    }
}

/// SplitMix64.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    /// Between 0 and 1, never 0.
    fn fraction(&mut self) -> f64 {
        ((self.next() >> 11) as f64 + 1.0) / (1u64 << 53) as f64
    }

    /// A unit vector, every direction alike: normally distributed numbers by Box and Muller.
    fn direction(&mut self) -> Vec<f32> {
        let mut numbers = Vec::with_capacity(DIMS);
        while numbers.len() < DIMS {
            let (length, angle) = ((-2.0 * self.fraction().ln()).sqrt(), std::f64::consts::TAU * self.fraction());
            numbers.extend([(length * angle.cos()) as f32, (length * angle.sin()) as f32]);
        }
        unit(&mut numbers);
        numbers
    }
}
