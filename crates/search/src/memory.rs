//! The index that holds every vector of a space in memory and follows the store's change log.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use async_trait::async_trait;
use soniquebay_domain::{Filter, Hit, Space, StoreError, Vector, VectorIndex, VectorStore};
use tokio::sync::{Mutex, Semaphore};
use tokio::task::spawn_blocking;

use crate::scan;
use crate::segment::Segment;

/// Changes read at once: some megabytes.
const BATCH: usize = 2000;

/// Searches that may wait for a processor; more are refused.
const WAITING: usize = 512;

/// Nearest neighbours by a scan over vectors in memory: exact, and as fresh as the store.
///
/// A space is loaded at its first search and kept. A row takes 4 bytes a number and the track's [`Facts`].
///
/// [`Facts`]: soniquebay_domain::Facts
pub struct MemoryIndex {
    vectors: Arc<dyn VectorStore>,
    loaded: RwLock<HashMap<Space, Arc<Loaded>>>,
    waiting: Arc<Semaphore>,
    scans: Arc<Semaphore>,
}

struct Loaded {
    /// Held while the log is read, so that searches at one time read it once.
    following: Mutex<()>,
    segment: RwLock<Segment>,
}

impl MemoryIndex {
    /// An index over `vectors`, empty until the first search.
    pub fn new(vectors: Arc<dyn VectorStore>) -> Self {
        // More scans at one time than processors make each one slower and none sooner.
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            vectors,
            loaded: RwLock::default(),
            waiting: Arc::new(Semaphore::new(WAITING)),
            scans: Arc::new(Semaphore::new(processors)),
        }
    }

    /// Reads the log to its end. `None` where the space never held a vector: such names come from outside and must
    /// not fill the map.
    async fn follow(&self, space: &Space) -> Result<Option<Arc<Loaded>>, StoreError> {
        let known = self.loaded.read().unwrap_or_else(PoisonError::into_inner).get(space).cloned();
        let loaded = match known {
            Some(loaded) => loaded,
            None if self.vectors.changes(space, 0, 1).await?.is_empty() => return Ok(None),
            None => {
                let mut all = self.loaded.write().unwrap_or_else(PoisonError::into_inner);
                Arc::clone(all.entry(space.clone()).or_insert_with(|| Arc::new(Loaded::new(space.dims()))))
            }
        };
        let guard = loaded.following.lock().await;
        loop {
            let changes = self.vectors.changes(space, loaded.sequence(), BATCH).await?;
            if changes.is_empty() {
                break;
            }
            let target = Arc::clone(&loaded);
            in_background(move || {
                target.segment.write().unwrap_or_else(PoisonError::into_inner).apply(changes);
            })
            .await?;
        }
        drop(guard);
        Ok(Some(loaded))
    }
}

impl Loaded {
    fn new(dims: usize) -> Self {
        Self { following: Mutex::new(()), segment: RwLock::new(Segment::new(dims)) }
    }

    fn sequence(&self) -> i64 {
        self.segment.read().unwrap_or_else(PoisonError::into_inner).sequence()
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
        let (query, filter) = (query.to_unit(), filter.clone());
        in_background(move || {
            let segment = loaded.segment.read().unwrap_or_else(PoisonError::into_inner);
            let hits = scan::nearest(segment.rows(), &query, k, &filter);
            // A caller that leaves does not stop the scan, so the places go with it.
            drop((waiting, scan));
            hits
        })
        .await
    }
}

/// Runs what takes milliseconds of a processor away from the async threads.
async fn in_background<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, StoreError> {
    spawn_blocking(work).await.map_err(|error| StoreError::Unavailable(format!("the index stopped: {error}")))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use soniquebay_domain::{Filter, Space, Vector, VectorIndex};

    use super::MemoryIndex;
    use crate::contract;
    use crate::fakes::Library;

    #[tokio::test]
    async fn it_keeps_the_contract() {
        let library = Arc::new(Library::default());
        let index = MemoryIndex::new(library.clone());
        contract::vector_index(&index, &*library, &*library).await;
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
