//! The index that holds every vector of a space in memory and follows the store's change log.

use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use soniquebay_domain::{Filter, Hit, Space, StoreError, TrackId, Vector, VectorIndex, VectorStore, may_wait};
use tokio::sync::{Mutex, Semaphore};
use tokio::task::{JoinHandle, spawn_blocking};

use super::cascade::{self, Estimates};
use super::codes::Encoder;
use super::segment::{Ready, Segment, prepare};

/// Changes read at once: some megabytes.
const BATCH: usize = 2000;

/// Changes that go in while searches wait: less than a millisecond.
const STEP: usize = 200;

/// How often a long load says how far it is.
const TELL_EVERY: Duration = Duration::from_secs(5);

/// Rooms for estimates that are kept between searches: given back to the allocator each time, such large pieces slow all
/// else down that it does.
const ROOMS: usize = 2;

/// Searches that may wait for a processor; more are refused.
const WAITING: usize = 512;

/// Nearest neighbours by a cascade over codes in memory, as fresh as the store.
///
/// A space is loaded at its first search and kept: 1.2 bytes a number and the track's [`Facts`] in memory, and the full
/// vectors in a file without a name, in the system's folder for such files unless [`Self::in_folder`] names another.
///
/// Scores are exact. A row is missed only where its 1-bit estimate, which large libraries are thinned by, lies 3.1 standard
/// deviations too low, or one of its closer ones four; 2.2 and 2.9 where a million rows are compared.
///
/// [`Facts`]: soniquebay_domain::Facts
pub struct MemoryIndex {
    vectors: Arc<dyn VectorStore>,
    folder: PathBuf,
    loaded: RwLock<HashMap<Space, Arc<Loaded>>>,
    waiting: Arc<Semaphore>,
    scans: Arc<Semaphore>,
}

/// How much an index holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IndexSize {
    /// Vectors, of all spaces.
    pub vectors: usize,
    /// Bytes of memory for codes, ids and bookkeeping.
    pub code_bytes: usize,
    /// Bytes of memory for what filters ask, as far as can be told.
    pub fact_bytes: usize,
    /// Bytes on disk.
    pub disk_bytes: usize,
}

struct Loaded {
    /// Held while the log is read, so that searches at one time read it once.
    following: Mutex<()>,
    /// Changes that were read, where they are many; else 0.
    catching_up: AtomicUsize,
    encoder: Arc<Encoder>,
    segment: RwLock<Segment>,
    rooms: std::sync::Mutex<Vec<Estimates>>,
}

impl MemoryIndex {
    /// An index over `vectors`, empty until the first search.
    pub fn new(vectors: Arc<dyn VectorStore>) -> Self {
        // More scans at one time than processors make each one slower and none sooner.
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            vectors,
            folder: std::env::temp_dir(),
            loaded: RwLock::default(),
            waiting: Arc::new(Semaphore::new(WAITING)),
            scans: Arc::new(Semaphore::new(processors)),
        }
    }

    /// Keeps full vectors in a file in this folder: the system's own may lie in memory, or be small.
    #[must_use]
    pub fn in_folder(mut self, folder: PathBuf) -> Self {
        self.folder = folder;
        self
    }

    /// What it holds now.
    pub fn size(&self) -> IndexSize {
        let all = self.loaded.read().unwrap_or_else(PoisonError::into_inner);
        all.values().map(|loaded| loaded.size()).fold(IndexSize::default(), |a, b| IndexSize {
            vectors: a.vectors + b.vectors,
            code_bytes: a.code_bytes + b.code_bytes,
            fact_bytes: a.fact_bytes + b.fact_bytes,
            disk_bytes: a.disk_bytes + b.disk_bytes,
        })
    }

    /// Reads the log to its end. `None` where the space never held a vector: such names come from outside and must
    /// not fill the map.
    async fn follow(&self, space: &Space) -> Result<Option<Arc<Loaded>>, StoreError> {
        let known = self.loaded.read().unwrap_or_else(PoisonError::into_inner).get(space).cloned();
        // Most find nothing new, and need not wait for each other to know.
        let sequence = known.as_ref().map_or(0, |loaded| loaded.sequence());
        if self.vectors.changes(space, sequence, 1).await?.is_empty() {
            return Ok(known);
        }
        let loaded = match known {
            Some(loaded) => loaded,
            None => {
                let mut all = self.loaded.write().unwrap_or_else(PoisonError::into_inner);
                let new = || Arc::new(Loaded::new(space.dims(), &self.folder));
                Arc::clone(all.entry(space.clone()).or_insert_with(new))
            }
        };
        let guard = loaded.following.lock().await;
        let told = Told(&loaded.catching_up);
        self.catch_up(space, &loaded).await?;
        drop((told, guard));
        Ok(Some(loaded))
    }

    async fn catch_up(&self, space: &Space, loaded: &Arc<Loaded>) -> Result<(), StoreError> {
        let (began, mut told) = (Instant::now(), Instant::now());
        let (mut read, mut sequence) = (0, loaded.sequence());
        let mut preparing: Option<JoinHandle<Ready>> = None;
        let mut applying: Option<JoinHandle<io::Result<()>>> = None;
        loop {
            // While one batch is read, the one before is made ready, and the one before that goes in.
            let changes = self.vectors.changes(space, sequence, BATCH).await?;
            let found = changes.len();
            if let Some(last) = changes.last() {
                (read, sequence) = (read + found, last.sequence);
            }
            let encoder = Arc::clone(&loaded.encoder);
            let next = (found > 0).then(|| spawn_blocking(move || prepare(&encoder, changes)));
            // The log ended here after this search began: what came since is for later ones.
            let is_last = found < BATCH;
            for ready in [std::mem::replace(&mut preparing, next), preparing.take_if(|_| is_last)].into_iter().flatten()
            {
                let ready = finished(ready).await?;
                if let Some(applying) = applying.take() {
                    finished(applying).await?.map_err(|error| self.lost(space, loaded, &error))?;
                }
                let target = Arc::clone(loaded);
                applying = Some(spawn_blocking(move || target.apply(&ready)));
            }
            if is_last {
                break;
            }
            loaded.catching_up.store(read, Ordering::Relaxed);
            if told.elapsed() > TELL_EVERY {
                told = Instant::now();
                tracing::info!(%space, "The index is being loaded: {read} vectors so far");
            }
        }
        if let Some(applying) = applying {
            finished(applying).await?.map_err(|error| self.lost(space, loaded, &error))?;
        }
        if read >= BATCH {
            let IndexSize { vectors, code_bytes, fact_bytes, disk_bytes } = loaded.size();
            tracing::info!(
                %space, kernels = loaded.encoder.isa().name(), vectors, code_bytes, fact_bytes, disk_bytes, duration_ms = began.elapsed().as_millis() as u64,
                "The index has caught up with {read} changes"
            );
        }
        Ok(())
    }

    /// Lets go of a space whose full vectors are lost: the next search loads it again.
    fn lost(&self, space: &Space, lost: &Arc<Loaded>, error: &io::Error) -> StoreError {
        let mut all = self.loaded.write().unwrap_or_else(PoisonError::into_inner);
        if all.get(space).is_some_and(|now| Arc::ptr_eq(now, lost)) {
            all.remove(space);
        }
        let folder = self.folder.display();
        StoreError::Unavailable(format!(
            "the index lost its vectors, in memory or in its file in {folder}: {error}; ask again to load it anew"
        ))
    }
}

/// How far a load is, told for as long as somebody is at it: it may be given up at any moment.
struct Told<'a>(&'a AtomicUsize);

impl Drop for Told<'_> {
    fn drop(&mut self) {
        self.0.store(0, Ordering::Relaxed);
    }
}

impl Loaded {
    fn new(dims: usize, folder: &std::path::Path) -> Self {
        let encoder = Arc::new(Encoder::new(dims));
        let segment = RwLock::new(Segment::new(Arc::clone(&encoder), folder));
        let (following, catching_up) = (Mutex::new(()), AtomicUsize::new(0));
        Self { following, catching_up, encoder, segment, rooms: std::sync::Mutex::default() }
    }

    fn nearest(&self, query: Vec<f32>, k: usize, filter: &Filter) -> io::Result<Vec<Hit>> {
        let rooms = || self.rooms.lock().unwrap_or_else(PoisonError::into_inner);
        let mut room = rooms().pop().unwrap_or_default();
        let hits = cascade::nearest(&self.read(), query, k, filter, &mut room);
        let mut rooms = rooms();
        if rooms.len() < ROOMS {
            rooms.push(room);
        }
        hits
    }

    fn read(&self) -> RwLockReadGuard<'_, Segment> {
        self.segment.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn sequence(&self) -> i64 {
        self.read().sequence()
    }

    /// Takes changes in, a few at a time, so that searches get their turn.
    fn apply(&self, ready: &Ready) -> io::Result<()> {
        for part in ready.parts(STEP) {
            self.segment.write().unwrap_or_else(PoisonError::into_inner).apply(part)?;
        }
        Ok(())
    }

    fn size(&self) -> IndexSize {
        let segment = self.read();
        let (code_bytes, fact_bytes, disk_bytes) = segment.bytes();
        let rooms = self.rooms.lock().unwrap_or_else(PoisonError::into_inner);
        let code_bytes = code_bytes + rooms.iter().map(Estimates::bytes).sum::<usize>();
        IndexSize { vectors: segment.len(), code_bytes, fact_bytes, disk_bytes }
    }
}

#[async_trait]
impl VectorIndex for MemoryIndex {
    async fn search(&self, space: &Space, query: &Vector, k: usize, filter: &Filter) -> Result<Vec<Hit>, StoreError> {
        if query.as_slice().len() != space.dims() || k == 0 {
            return Ok(Vec::new());
        }
        let waiting = Arc::clone(&self.waiting).try_acquire_owned().map_err(|_| StoreError::Overloaded)?;
        let Some(loaded) = self.follow(space).await? else { return Ok(Vec::new()) };
        let scan = Arc::clone(&self.scans).acquire_owned().await.map_err(|_| StoreError::Overloaded)?;
        let (query, filter, searched) = (query.to_unit(), filter.clone(), Arc::clone(&loaded));
        let search = move || {
            let hits = searched.nearest(query, k, &filter);
            // A caller that leaves does not stop the scan, so the places go with it.
            drop((waiting, scan));
            hits
        };
        let hits = if may_wait() { search() } else { finished(spawn_blocking(search)).await? };
        hits.map_err(|error| self.lost(space, &loaded, &error))
    }

    fn catching_up(&self, space: &Space) -> Option<usize> {
        let all = self.loaded.read().unwrap_or_else(PoisonError::into_inner);
        all.get(space).map(|loaded| loaded.catching_up.load(Ordering::Relaxed)).filter(|read| *read > 0)
    }

    async fn units(&self, space: &Space, ids: &[TrackId]) -> Result<Option<HashMap<TrackId, Vec<f32>>>, StoreError> {
        let Some(loaded) = self.follow(space).await? else { return Ok(Some(HashMap::new())) };
        let (ids, asked) = (ids.to_vec(), Arc::clone(&loaded));
        let read = move || asked.read().units(&ids);
        let units = if may_wait() { read() } else { finished(spawn_blocking(read)).await? };
        units.map(Some).map_err(|error| self.lost(space, &loaded, &error))
    }
}

/// What came of work that takes milliseconds of a processor, and is done away from the async threads.
async fn finished<T>(work: JoinHandle<T>) -> Result<T, StoreError> {
    work.await.map_err(|error| StoreError::Unavailable(format!("the index stopped: {error}")))
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::sync::Arc;

    use proptest::prelude::*;
    use soniquebay_domain::{Filter, Space, TrackId, Vector, VectorIndex};

    use super::MemoryIndex;
    use crate::contract;
    use crate::fakes::Library;

    #[tokio::test]
    async fn it_keeps_the_contract() {
        let library = Arc::new(Library::default());
        let index = MemoryIndex::new(library.clone());
        contract::vector_index(&index, &*library, &*library).await;
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn any_library_is_answered_as_the_oracle_answers(case in (any::<u64>(), 0..300usize, 2..48usize)) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let library = Arc::new(Library::default());
            let index = MemoryIndex::new(library.clone());
            runtime.block_on(contract::any_library(&index, &*library, &*library, case));
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn searches_at_one_time_see_the_same() {
        let library = Arc::new(Library::default());
        let space = Space::external(2).unwrap();
        for id in 1..=300 {
            library.add(id, &[], &space, Some(&[1.0, id as f32]));
        }
        let index = Arc::new(MemoryIndex::new(library.clone()));
        let query = Vector::new(vec![1.0, 0.0]).unwrap();
        let searches: Vec<_> = (0..20)
            .map(|_| {
                let (index, space, query) = (index.clone(), space.clone(), query.clone());
                tokio::spawn(async move { index.search(&space, &query, 400, &Filter::default()).await.unwrap() })
            })
            .collect();
        for search in searches {
            let hits = search.await.unwrap();
            assert_eq!((hits.len(), hits[0].track_id.get()), (300, 1));
        }
    }

    #[tokio::test]
    async fn its_vectors_are_as_fresh_as_its_answers() {
        let library = Arc::new(Library::default());
        let (space, index) = (Space::external(2).unwrap(), MemoryIndex::new(library.clone()));
        let ids: Vec<TrackId> = (1..=3).map(|id| TrackId::new(id).unwrap()).collect();
        assert_eq!(index.units(&space, &ids).await.unwrap(), Some(HashMap::new()));
        library.add(1, &[], &space, Some(&[3.0, 4.0]));
        library.add(2, &[], &space, Some(&[0.0, -2.0]));
        let expected = [(ids[0], vec![0.6, 0.8]), (ids[1], vec![0.0, -1.0])];
        assert_eq!(index.units(&space, &[&ids[..], &ids[..1]].concat()).await.unwrap(), Some(expected.into()));
        library.add(1, &[], &space, Some(&[-5.0, 0.0]));
        assert_eq!(index.units(&space, &ids[..1]).await.unwrap(), Some([(ids[0], vec![-1.0, 0.0])].into()));
        assert_eq!(index.catching_up(&space), None);
    }

    #[tokio::test]
    async fn unknown_spaces_leave_nothing_behind() {
        let index = MemoryIndex::new(Arc::new(Library::default()));
        let query = Vector::new(vec![1.0, 0.0]).unwrap();
        for n in 0..10 {
            let space = Space::new(&format!("hostile-{n}"), 2, "").unwrap();
            assert!(index.search(&space, &query, 5, &Filter::default()).await.unwrap().is_empty());
        }
        assert!(index.loaded.read().unwrap().is_empty());
    }
}
