//! One space's rows: codes, ids, facts, and the full vectors behind them.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use hashbrown::HashTable;
use soniquebay_domain::{Facts, Filter, TrackId, VectorChange, VectorChanges, scale_to_unit};

use super::bitmap::Bitmap;
use super::codes::{Encoded, Encoder, Scratch};
use super::facts::{Exclusions, FactTable};
use super::originals::Originals;
use super::pages::Pages;
use crate::kernels::{Factor, GROUP, PIECE, Packed, place};

/// Rows that lie together. Memory grows by so many at a time and never moves.
pub(super) const CHUNK: usize = PIECE;

/// Filters whose rows are remembered.
const FILTERS: usize = 8;

/// Changes of the log, made ready for the segment: that takes long, and needs no lock.
pub(super) struct Ready {
    changes: Vec<Change>,
    /// Unit vectors, one behind the other, and their codes: pieces of memory for each would cost a tenth of a load.
    units: Vec<f32>,
    codes: Vec<u8>,
}

struct Change {
    sequence: i64,
    id: TrackId,
    now: Option<Now>,
}

/// What a track is after a change.
struct Now {
    facts: Facts,
    encoded: Encoded,
    /// Where its numbers begin among the units, and its codes among those of all.
    unit: usize,
    codes: usize,
}

/// What estimates by the codes of [`CHUNK`] rows are multiplied with, and how good they are.
pub(super) struct Chunk {
    pub(super) bit_factors: Box<[Factor]>,
    pub(super) coarse_factors: Box<[Factor]>,
    pub(super) fine_factors: Box<[f32]>,
    pub(super) fine_noises: Box<[f32]>,
}

/// A space's rows, up to one point of the change log. The row of a removed track is free for another one.
pub(super) struct Segment {
    pub(super) chunks: Vec<Chunk>,
    /// In groups, as the kernel reads them.
    pub(super) bits: Pages,
    /// One row behind the other.
    pub(super) coarse: Pages,
    pub(super) fine: Pages,
    pub(super) ids: Vec<TrackId>,
    pub(super) facts: FactTable,
    pub(super) originals: Originals,
    /// The most noise that a row's coarse code has.
    pub(super) coarse_noise: f32,
    encoder: Arc<Encoder>,
    sequence: i64,
    row_of: HashTable<u32>,
    hash: RandomState,
    free: Vec<u32>,
    /// Room for full vectors on their way to the file, kept for the next ones.
    outgoing: Vec<u8>,
    /// Rows that hold a track.
    taken: Arc<Bitmap>,
    /// The rows that pass the filters asked last, the latest first. They follow each change.
    filters: Mutex<VecDeque<(Filter, Arc<Bitmap>)>>,
}

/// Makes changes ready. A vector of another length than the space's is left out.
pub(super) fn prepare(encoder: &Encoder, changes: VectorChanges) -> Ready {
    let mut scratch = Scratch::default();
    let (changes, mut units) = changes.into_parts();
    let mut codes = vec![0; changes.len() * encoder.code_width()];
    let mut prepare = |(at, VectorChange { sequence, track_id: id, now, numbers }): (usize, VectorChange)| {
        let now = now.and_then(|facts| {
            let (found, expected) = (numbers.len(), encoder.dims());
            if found != expected {
                tracing::warn!(
                    track.id = %id, found, expected,
                    "A stored vector has another length than its space and is left out"
                );
                return None;
            }
            let (unit, at) = (numbers.start, at * encoder.code_width());
            let numbers = &mut units[numbers];
            scale_to_unit(numbers);
            let encoded = encoder.encode(numbers, &mut scratch, &mut codes[at..][..encoder.code_width()]);
            Some(Now { facts, encoded, unit, codes: at })
        });
        Change { sequence, id, now }
    };
    let changes = changes.into_iter().enumerate().map(&mut prepare).collect();
    Ready { changes, units, codes }
}

impl Ready {
    /// Parts of so many changes at most, one after the other.
    pub(super) fn parts(&self, most: usize) -> impl Iterator<Item = Part<'_>> {
        self.changes.chunks(most).map(|changes| Part { changes, ready: self })
    }
}

/// Some changes that are ready.
pub(super) struct Part<'a> {
    changes: &'a [Change],
    ready: &'a Ready,
}

impl Segment {
    /// Empty, with its full vectors in a file in `folder`.
    pub(super) fn new(encoder: Arc<Encoder>, folder: &Path) -> Self {
        let pages = |width: usize| Pages::new(CHUNK * width);
        Self {
            chunks: Vec::new(),
            bits: pages(encoder.bit_width()),
            coarse: pages(encoder.width(Packed::Two)),
            fine: pages(encoder.width(Packed::Four)),
            ids: Vec::new(),
            facts: FactTable::new(),
            originals: Originals::new(encoder.dims(), folder),
            coarse_noise: 0.0,
            encoder,
            sequence: 0,
            row_of: HashTable::new(),
            hash: RandomState::default(),
            free: Vec::new(),
            outgoing: Vec::new(),
            taken: Arc::default(),
            filters: Mutex::default(),
        }
    }

    /// Number of the last change that is in.
    pub(super) fn sequence(&self) -> i64 {
        self.sequence
    }

    pub(super) fn encoder(&self) -> &Encoder {
        &self.encoder
    }

    /// The chunk of a row, and where in it the row stands.
    pub(super) fn place(&self, row: u32) -> (&Chunk, usize) {
        (&self.chunks[row as usize / CHUNK], row as usize % CHUNK)
    }

    /// Tracks that are in.
    pub(super) fn len(&self) -> usize {
        self.taken.count()
    }

    /// The full vectors of those of these tracks that are in.
    ///
    /// # Errors
    /// Where the disk does not give them back.
    pub(super) fn units(&self, ids: &[TrackId]) -> io::Result<HashMap<TrackId, Vec<f32>>> {
        let rows = self.rows_of(ids);
        let mut units = HashMap::with_capacity(rows.len());
        self.originals.read(rows, |row, numbers| {
            units.insert(self.ids[row as usize], numbers.to_vec());
        })?;
        Ok(units)
    }

    /// The rows of those of these tracks that are in, ascending.
    fn rows_of<'a>(&self, ids: impl IntoIterator<Item = &'a TrackId>) -> Vec<u32> {
        let mut rows: Vec<u32> = ids.into_iter().filter_map(|id| self.known_row(*id)).collect();
        rows.sort_unstable();
        rows.dedup();
        rows
    }

    /// What a filter excludes by name.
    pub(super) fn exclusions(&self, filter: &Filter) -> Exclusions {
        self.facts.exclusions(filter, self.rows_of(&filter.excluded_tracks))
    }

    /// The rows that pass a filter, its exclusions aside.
    pub(super) fn passing(&self, filter: &Filter) -> Arc<Bitmap> {
        let common = FactTable::common(filter);
        if common == Filter::default() {
            return Arc::clone(&self.taken);
        }
        let mut known = self.filters.lock().unwrap_or_else(PoisonError::into_inner);
        let found = match known.iter().position(|(filter, _)| *filter == common) {
            Some(at) => known.remove(at).map(|(_, rows)| rows),
            None => None,
        };
        // Two that ask for the same new filter at one time: the second one waits and finds it.
        let rows = found.unwrap_or_else(|| Arc::new(self.facts.passing(&common, &self.taken, &self.ids)));
        known.truncate(FILTERS - 1);
        known.push_front((common, Arc::clone(&rows)));
        rows
    }

    /// Takes changes in. Those that are in already are left out: a search that was given up leaves its batch to finish
    /// behind a later one, and must not bring an older vector back.
    ///
    /// # Errors
    /// Where the full vectors are lost or there is no memory; the segment is of no use then.
    pub(super) fn apply(&mut self, Part { changes, ready }: Part<'_>) -> io::Result<()> {
        let dims = self.encoder.dims();
        // New rows lie one behind the other: they are written at once.
        let (mut first, mut count, mut bytes) = (0, 0, std::mem::take(&mut self.outgoing));
        bytes.clear();
        for change in changes {
            if change.sequence <= self.sequence {
                continue;
            }
            self.sequence = change.sequence;
            let Some(now) = &change.now else {
                self.remove(change.id);
                continue;
            };
            let row = self.row(change.id)?;
            self.put(row, &now.encoded, &ready.codes[now.codes..][..self.encoder.code_width()], &now.facts);
            if first + count != row {
                self.write(first, &bytes)?;
                (first, count) = (row, 0);
                bytes.clear();
            }
            bytes.extend(ready.units[now.unit..][..dims].iter().flat_map(|number| number.to_le_bytes()));
            count += 1;
        }
        self.write(first, &bytes)?;
        self.outgoing = bytes;
        Ok(())
    }

    fn write(&mut self, first: u32, bytes: &[u8]) -> io::Result<()> {
        if bytes.is_empty() { Ok(()) } else { self.originals.write(first, bytes) }
    }

    fn known_row(&self, id: TrackId) -> Option<u32> {
        self.row_of.find(self.hash_of(id), |row| self.ids[*row as usize] == id).copied()
    }

    /// The row of a track, which may be new.
    fn row(&mut self, id: TrackId) -> io::Result<u32> {
        if let Some(row) = self.known_row(id) {
            return Ok(row);
        }
        let row = match self.free.pop() {
            Some(row) => {
                self.ids[row as usize] = id;
                row
            }
            None => {
                if self.ids.len().is_multiple_of(CHUNK) {
                    for pages in [&mut self.bits, &mut self.coarse, &mut self.fine] {
                        pages.grow()?;
                    }
                    self.ids.reserve_exact(CHUNK);
                    self.chunks.push(Chunk::new());
                }
                self.ids.push(id);
                self.ids.len() as u32 - 1
            }
        };
        let (ids, hash, key) = (&self.ids, &self.hash, self.hash_of(id));
        self.row_of.insert_unique(key, row, |row| hash_of(hash, ids[*row as usize]));
        Ok(row)
    }

    fn put(&mut self, row: u32, vector: &Encoded, codes: &[u8], facts: &Facts) {
        let (index, at) = (row as usize / CHUNK, row as usize % CHUNK);
        let [bits, coarse, fine] = self.encoder.apart(codes);
        let (chunk, first) = (self.bits.chunk_mut(index), at / GROUP * GROUP * bits.len() + place(at % GROUP));
        for (byte, bits) in bits.iter().enumerate() {
            chunk[first + byte * GROUP] = *bits;
        }
        self.coarse.chunk_mut(index)[at * coarse.len()..][..coarse.len()].copy_from_slice(coarse);
        self.fine.chunk_mut(index)[at * fine.len()..][..fine.len()].copy_from_slice(fine);
        let chunk = &mut self.chunks[index];
        chunk.bit_factors[at] = Factor::new(vector.bit_factor);
        let (coarse, fine) = (vector.coarse, vector.fine);
        chunk.coarse_factors[at] = Factor::new(coarse.factor);
        chunk.fine_factors[at] = fine.factor;
        chunk.fine_noises[at] = fine.noise;
        self.coarse_noise = self.coarse_noise.max(coarse.noise);
        self.facts.set(row, facts);
        Arc::make_mut(&mut self.taken).set(row, true);
        let id = self.ids[row as usize];
        for (filter, rows) in self.filters.get_mut().unwrap_or_else(PoisonError::into_inner) {
            Arc::make_mut(rows).set(row, filter.admits(id, facts));
        }
    }

    fn remove(&mut self, id: TrackId) {
        let key = self.hash_of(id);
        let Ok(entry) = self.row_of.find_entry(key, |row| self.ids[*row as usize] == id) else { return };
        let (row, _) = entry.remove();
        self.facts.clear(row);
        Arc::make_mut(&mut self.taken).set(row, false);
        for (_, rows) in self.filters.get_mut().unwrap_or_else(PoisonError::into_inner) {
            Arc::make_mut(rows).set(row, false);
        }
        self.free.push(row);
    }

    fn hash_of(&self, id: TrackId) -> u64 {
        hash_of(&self.hash, id)
    }

    /// Bytes of memory that vectors, ids and bookkeeping take; those of facts and filters; those on disk.
    pub(super) fn bytes(&self) -> (usize, usize, usize) {
        let chunk = |chunk: &Chunk| {
            let factors = size_of_val(&*chunk.bit_factors) + size_of_val(&*chunk.coarse_factors);
            let of_fine = size_of_val(&*chunk.fine_factors) + size_of_val(&*chunk.fine_noises);
            factors + of_fine
        };
        let (in_memory, on_disk) = self.originals.bytes();
        let filters = self.filters.lock().unwrap_or_else(PoisonError::into_inner);
        let vectors = self.chunks.iter().map(chunk).sum::<usize>()
            + [&self.bits, &self.coarse, &self.fine].map(Pages::bytes).iter().sum::<usize>()
            + self.ids.capacity() * size_of::<TrackId>()
            + self.row_of.allocation_size()
            + self.free.capacity() * 4
            + self.taken.bytes()
            + self.outgoing.capacity()
            + in_memory;
        (vectors, self.facts.bytes() + filters.iter().map(|(_, rows)| rows.bytes()).sum::<usize>(), on_disk)
    }
}

fn hash_of(hash: &RandomState, id: TrackId) -> u64 {
    hash.hash_one(id)
}

impl Chunk {
    fn new() -> Self {
        let (numbers, factors) = (|| vec![0.0; CHUNK].into(), || vec![Factor::default(); CHUNK].into());
        Self { bit_factors: factors(), coarse_factors: factors(), fine_factors: numbers(), fine_noises: numbers() }
    }
}
