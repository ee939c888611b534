//! Texts that were embedded before cost nothing: the same artist and genre stand in many tracks, and a tag that changes
//! leaves most of an album's texts as they were.

use std::collections::{HashMap, HashSet};
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use lru::LruCache;
use metrics::counter;
use sha2::{Digest, Sha256};
use soniquebay_domain::{EmbedError, Embedder, EmbeddingCache, Purpose, StoreError, TextKey};
use tracing::Instrument;

/// An embedder that remembers, in one or more layers, the nearest first.
///
/// A layer that fails is passed by: it costs time and no vector.
pub struct CachingEmbedder {
    inner: Arc<dyn Embedder>,
    layers: Vec<Layer>,
}

struct Layer {
    name: &'static str,
    cache: Arc<dyn EmbeddingCache>,
    purposes: &'static [Purpose],
    /// A layer that failed is left alone until then.
    rests_until: Mutex<Option<Instant>>,
}

/// How long a layer that failed is left alone: a server that is away must not slow every batch down.
const REST: Duration = Duration::from_secs(10);

impl Layer {
    fn new(name: &'static str, cache: Arc<dyn EmbeddingCache>, purposes: &'static [Purpose]) -> Self {
        Self { name, cache, purposes, rests_until: Mutex::new(None) }
    }

    fn serves(&self, purpose: Purpose) -> bool {
        let rests = self.rests_until.lock().unwrap_or_else(PoisonError::into_inner);
        self.purposes.contains(&purpose) && rests.is_none_or(|until| until <= Instant::now())
    }

    fn rest(&self, error: &StoreError) {
        tracing::warn!(%error, layer = self.name, "the cache of embeddings does not work; it is left alone for a while");
        *self.rests_until.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now() + REST);
    }
}

impl CachingEmbedder {
    /// Remembers nothing yet.
    pub fn new(inner: Arc<dyn Embedder>) -> Self {
        Self { inner, layers: Vec::new() }
    }

    /// A further layer, for all texts; its name stands in the metrics.
    #[must_use]
    pub fn over(mut self, name: &'static str, cache: Arc<dyn EmbeddingCache>) -> Self {
        self.layers.push(Layer::new(name, cache, &[Purpose::Document, Purpose::Query]));
        self
    }

    /// A further layer that outlives the process. What somebody typed is not written down.
    #[must_use]
    pub fn over_lasting(mut self, name: &'static str, cache: Arc<dyn EmbeddingCache>) -> Self {
        self.layers.push(Layer::new(name, cache, &[Purpose::Document]));
        self
    }

    fn key(&self, text: &str, purpose: Purpose) -> TextKey {
        let purpose: &[u8] = match purpose {
            Purpose::Document => b"document",
            Purpose::Query => b"query",
        };
        let mut hash = Sha256::new();
        for part in [self.inner.model().as_bytes(), purpose, text.as_bytes()] {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        hash.finalize().into()
    }

    /// What the layers know of these texts. What a far layer knows is told to the nearer ones.
    async fn look_up(&self, keys: &[TextKey], purpose: Purpose) -> HashMap<TextKey, Vec<f32>> {
        let mut known: HashMap<TextKey, Vec<f32>> = HashMap::with_capacity(keys.len());
        for (place, layer) in self.layers.iter().enumerate().filter(|(_, layer)| layer.serves(purpose)) {
            let asked: Vec<TextKey> = keys.iter().filter(|key| !known.contains_key(*key)).copied().collect();
            if asked.is_empty() {
                break;
            }
            let answers = layer.cache.get(asked.clone()).await.unwrap_or_else(|error| {
                layer.rest(&error);
                Vec::new()
            });
            let sound = |(key, vector): (TextKey, Option<Vec<f32>>)| {
                vector.filter(|vector| is_unit(vector, self.inner.dims())).map(|vector| (key, vector))
            };
            let found: Vec<(TextKey, Vec<f32>)> = asked.into_iter().zip(answers).filter_map(sound).collect();
            counter!("soniquebay_embedding_cache_hits_total", "layer" => layer.name).increment(found.len() as u64);
            if !found.is_empty() {
                self.remember(&self.layers[..place], &found, purpose).await;
                known.extend(found);
            }
        }
        known
    }

    async fn remember(&self, layers: &[Layer], entries: &[(TextKey, Vec<f32>)], purpose: Purpose) {
        for layer in layers.iter().filter(|layer| layer.serves(purpose)) {
            if let Err(error) = layer.cache.put(entries.to_vec()).await {
                layer.rest(&error);
            }
        }
    }
}

/// Whether this can be an embedder's answer: what lies in a cache may have been damaged or written by another program.
fn is_unit(vector: &[f32], dims: usize) -> bool {
    let squares: f32 = vector.iter().map(|number| number * number).sum();
    vector.len() == dims && (squares - 1.0).abs() < 1e-3
}

#[async_trait]
impl Embedder for CachingEmbedder {
    fn model(&self) -> &str {
        self.inner.model()
    }

    fn dims(&self) -> usize {
        self.inner.dims()
    }

    fn texts_at_once(&self) -> usize {
        self.inner.texts_at_once()
    }

    async fn health(&self) -> Result<(), EmbedError> {
        self.inner.health().await
    }

    async fn embed(&self, texts: Vec<String>, purpose: Purpose) -> Result<Vec<Vec<f32>>, EmbedError> {
        let keys: Vec<TextKey> = texts.iter().map(|text| self.key(text, purpose)).collect();
        let mut known = self.look_up(&keys, purpose).await;
        // Each text that is new once, however often it stands in the batch.
        let mut asked = HashSet::new();
        let mut is_new = |key: &TextKey| !known.contains_key(key) && asked.insert(*key);
        let new: Vec<(TextKey, String)> = keys.iter().copied().zip(texts).filter(|(key, _)| is_new(key)).collect();
        counter!("soniquebay_embedding_cache_misses_total").increment(new.len() as u64);
        // Halves of what failed, until the text that spoils it stands alone: the others are remembered, and whoever asks
        // again, for fewer tracks, asks for that text alone.
        let mut parts: Vec<&[(TextKey, String)]> = new.chunks(self.inner.texts_at_once().max(1)).rev().collect();
        let mut spoilt = None;
        while let Some(part) = parts.pop() {
            let (keys, texts): (Vec<TextKey>, Vec<String>) = part.iter().cloned().unzip();
            let span = tracing::debug_span!("embed", model = self.inner.model(), texts = texts.len() as i64);
            match self.inner.embed(texts, purpose).instrument(span).await {
                Ok(vectors) if vectors.len() == keys.len() => {
                    let entries: Vec<(TextKey, Vec<f32>)> = keys.into_iter().zip(vectors).collect();
                    self.remember(&self.layers, &entries, purpose).await;
                    known.extend(entries);
                }
                Ok(_) => return Err(EmbedError::Failed("the model answered with another number of vectors".into())),
                Err(EmbedError::Failed(_)) if part.len() > 1 => {
                    let (first, second) = part.split_at(part.len() / 2);
                    parts.extend([second, first]);
                }
                Err(error @ (EmbedError::Failed(_) | EmbedError::Refused(_))) => spoilt = spoilt.or(Some(error)),
                Err(error) => return Err(error),
            }
        }
        if let Some(error) = spoilt {
            return Err(error);
        }
        let vectors: Option<Vec<Vec<f32>>> = keys.iter().map(|key| known.get(key).cloned()).collect();
        vectors.ok_or_else(|| EmbedError::Failed("a text was left without a vector".into()))
    }
}

/// The texts embedded last, in this process's memory.
pub struct MemoryCache {
    entries: Mutex<LruCache<TextKey, Arc<[f32]>>>,
}

impl MemoryCache {
    /// At most `bytes` for vectors of this length.
    pub fn new(bytes: usize, dims: usize) -> Self {
        let entry = dims * size_of::<f32>() + size_of::<TextKey>() + 64;
        let entries = NonZeroUsize::new(bytes / entry).unwrap_or(NonZeroUsize::MIN);
        Self { entries: Mutex::new(LruCache::new(entries)) }
    }
}

#[async_trait]
impl EmbeddingCache for MemoryCache {
    async fn get(&self, keys: Vec<TextKey>) -> Result<Vec<Option<Vec<f32>>>, StoreError> {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(keys.iter().map(|key| entries.get(key).map(|vector| vector.to_vec())).collect())
    }

    async fn put(&self, new: Vec<(TextKey, Vec<f32>)>) -> Result<(), StoreError> {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        for (key, vector) in new {
            entries.put(key, vector.into());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::{Arc, Mutex};

    use async_trait::async_trait;
    use soniquebay_domain::{EmbedError, Embedder, EmbeddingCache, Purpose, StoreError, TextKey};

    use super::{CachingEmbedder, MemoryCache};

    /// Points along the axis of the text's length, and counts what it is asked.
    #[derive(Default)]
    struct Lengths {
        asked: AtomicUsize,
    }

    #[async_trait]
    impl Embedder for Lengths {
        fn model(&self) -> &str {
            "lengths"
        }

        fn dims(&self) -> usize {
            8
        }

        fn texts_at_once(&self) -> usize {
            16
        }

        async fn embed(&self, texts: Vec<String>, _: Purpose) -> Result<Vec<Vec<f32>>, EmbedError> {
            self.asked.fetch_add(texts.len(), Ordering::SeqCst);
            match texts.iter().any(|text| text == "bad") {
                true if texts.len() == 1 => return Err(EmbedError::Refused("bad".into())),
                true => return Err(EmbedError::Failed("one of them is bad".into())),
                false => {}
            }
            let axis = |text: &String| (0..8).map(|i| if i == text.len() % 8 { 1.0 } else { 0.0 }).collect();
            Ok(texts.iter().map(axis).collect())
        }
    }

    fn texts(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    /// A layer that fails, or answers nonsense.
    struct Broken(Result<Vec<f32>, ()>);

    #[async_trait]
    impl EmbeddingCache for Broken {
        async fn get(&self, keys: Vec<TextKey>) -> Result<Vec<Option<Vec<f32>>>, StoreError> {
            let vector = self.0.clone().map_err(|()| StoreError::Unavailable("broken".into()))?;
            Ok(keys.iter().map(|_| Some(vector.clone())).collect())
        }

        async fn put(&self, _: Vec<(TextKey, Vec<f32>)>) -> Result<(), StoreError> {
            Err(StoreError::Unavailable("broken".into()))
        }
    }

    /// A layer without bound that says what it was told.
    #[derive(Default)]
    struct Notebook(Mutex<Vec<(TextKey, Vec<f32>)>>);

    #[async_trait]
    impl EmbeddingCache for Notebook {
        async fn get(&self, keys: Vec<TextKey>) -> Result<Vec<Option<Vec<f32>>>, StoreError> {
            let known = self.0.lock().unwrap();
            let find = |key: &TextKey| known.iter().find(|entry| entry.0 == *key).map(|entry| entry.1.clone());
            Ok(keys.iter().map(find).collect())
        }

        async fn put(&self, entries: Vec<(TextKey, Vec<f32>)>) -> Result<(), StoreError> {
            self.0.lock().unwrap().extend(entries);
            Ok(())
        }
    }

    #[tokio::test]
    async fn a_text_is_embedded_once_and_order_is_kept() {
        let inner = Arc::new(Lengths::default());
        let cached = CachingEmbedder::new(inner.clone()).over("memory", Arc::new(MemoryCache::new(1 << 20, 8)));
        let asked = texts(&["a", "bcd", "a", "ef", "bcd"]);
        let direct = inner.embed(asked.clone(), Purpose::Document).await.unwrap();
        inner.asked.store(0, Ordering::SeqCst);
        for _ in 0..3 {
            assert_eq!(cached.embed(asked.clone(), Purpose::Document).await.unwrap(), direct);
        }
        assert_eq!(inner.asked.load(Ordering::SeqCst), 3, "three different texts");
        cached.embed(texts(&["a", "new"]), Purpose::Document).await.unwrap();
        assert_eq!(inner.asked.load(Ordering::SeqCst), 4);
        cached.embed(texts(&["a"]), Purpose::Query).await.unwrap();
        assert_eq!(inner.asked.load(Ordering::SeqCst), 5, "a query is another text to some models");
    }

    #[tokio::test]
    async fn what_one_text_spoils_is_not_asked_for_again() {
        let inner = Arc::new(Lengths::default());
        let cached = CachingEmbedder::new(inner.clone()).over("memory", Arc::new(MemoryCache::new(1 << 20, 8)));
        let mut asked: Vec<String> = (0..40).map(|n| format!("text {n}")).collect();
        asked[20] = "bad".into();
        let refused = cached.embed(asked.clone(), Purpose::Document).await;
        assert_eq!(refused, Err(EmbedError::Refused("bad".into())));
        inner.asked.store(0, Ordering::SeqCst);
        assert_eq!(cached.embed(asked[16..24].to_vec(), Purpose::Document).await, refused);
        assert_eq!(inner.asked.load(Ordering::SeqCst), 1, "the bad one alone");
        asked.remove(20);
        cached.embed(asked, Purpose::Document).await.unwrap();
        assert_eq!(inner.asked.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn a_layer_that_fails_or_lies_is_passed_by() {
        for broken in [Broken(Err(())), Broken(Ok(vec![1.0])), Broken(Ok(vec![0.0; 8])), Broken(Ok(vec![f32::NAN; 8]))]
        {
            let inner = Arc::new(Lengths::default());
            let cached = CachingEmbedder::new(inner.clone()).over("broken", Arc::new(broken));
            let vectors = cached.embed(texts(&["abc"]), Purpose::Document).await.unwrap();
            assert_eq!((vectors[0][3], inner.asked.load(Ordering::SeqCst)), (1.0, 1));
        }
    }

    #[tokio::test]
    async fn a_far_layer_teaches_the_near_one_and_queries_are_not_written_down() {
        let lasting = Arc::new(Notebook::default());
        let build = |inner: &Arc<Lengths>| {
            let memory = Arc::new(MemoryCache::new(1 << 20, 8));
            CachingEmbedder::new(inner.clone()).over("memory", memory).over_lasting("notebook", lasting.clone())
        };
        let first = Arc::new(Lengths::default());
        build(&first).embed(texts(&["a", "bc"]), Purpose::Document).await.unwrap();
        build(&first).embed(texts(&["typed"]), Purpose::Query).await.unwrap();
        assert_eq!(lasting.0.lock().unwrap().len(), 2);

        let restarted = Arc::new(Lengths::default());
        let cached = build(&restarted);
        cached.embed(texts(&["bc", "a"]), Purpose::Document).await.unwrap();
        lasting.0.lock().unwrap().clear();
        cached.embed(texts(&["bc", "a"]), Purpose::Document).await.unwrap();
        assert_eq!(restarted.asked.load(Ordering::SeqCst), 0);
    }

    #[tokio::test]
    async fn memory_is_bounded_and_the_oldest_goes() {
        let cache = MemoryCache::new(3 * (8 * 4 + 32 + 64), 8);
        for n in 0..4u8 {
            cache.put(vec![([n; 32], vec![f32::from(n); 8])]).await.unwrap();
        }
        let held = cache.get((0..4u8).map(|n| [n; 32]).collect()).await.unwrap();
        assert_eq!(held.iter().map(Option::is_some).collect::<Vec<_>>(), [false, true, true, true]);
    }
}
