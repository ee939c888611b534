use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use soniquebay_domain::{EmbedError, Embedder, Purpose};
use tokio_util::sync::CancellationToken;

use crate::exit::End;
use crate::vectorize::bar;

/// Texts that are embedded together; between them a stop is heard and the bar moves.
const CHUNK: usize = 64;

/// An embedder that never embeds a text twice: the columns of the table share most of their texts.
pub(super) struct Remembering {
    inner: Arc<dyn Embedder>,
    known: Mutex<HashMap<String, Vec<f32>>>,
}

impl Remembering {
    pub(super) fn new(inner: Arc<dyn Embedder>) -> Self {
        Self { inner, known: Mutex::default() }
    }

    /// Embeds these texts ahead of their use, with a progress bar.
    pub(super) async fn learn(&self, texts: BTreeSet<String>, stop: &CancellationToken) -> anyhow::Result<()> {
        let mut texts: Vec<String> = texts.into_iter().filter(|text| !text.is_empty()).collect();
        // The slow ones first, so that the time left is not promised too short.
        texts.sort_by_key(|text| std::cmp::Reverse(text.len()));
        let bar = bar(texts.len() as u64, "texts");
        for chunk in texts.chunks(CHUNK) {
            if stop.is_cancelled() {
                bar.finish_and_clear();
                return Err(End::Interrupted.into());
            }
            self.embed(chunk.to_vec(), Purpose::Document).await.map_err(model_error)?;
            bar.inc(chunk.len() as u64);
        }
        bar.finish_and_clear();
        Ok(())
    }

    fn known(&self) -> MutexGuard<'_, HashMap<String, Vec<f32>>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Embedder for Remembering {
    fn model(&self) -> &str {
        self.inner.model()
    }

    fn dims(&self) -> usize {
        self.inner.dims()
    }

    async fn health(&self) -> Result<(), EmbedError> {
        self.inner.health().await
    }

    async fn embed(&self, texts: Vec<String>, purpose: Purpose) -> Result<Vec<Vec<f32>>, EmbedError> {
        // Queries may be embedded another way than documents.
        if purpose == Purpose::Query {
            return self.inner.embed(texts, purpose).await;
        }
        let new: BTreeSet<String> = {
            let known = self.known();
            texts.iter().filter(|text| !known.contains_key(*text)).cloned().collect()
        };
        let new: Vec<String> = new.into_iter().collect();
        if !new.is_empty() {
            let vectors = self.inner.embed(new.clone(), purpose).await?;
            self.known().extend(new.into_iter().zip(vectors));
        }
        let known = self.known();
        let answers = texts.iter().map(|text| known.get(text).cloned());
        answers.collect::<Option<_>>().ok_or_else(|| EmbedError::Failed("the model left a text unanswered".into()))
    }
}

/// A missing model as this program's end, other errors as they are.
pub(super) fn model_error(error: EmbedError) -> anyhow::Error {
    match error {
        EmbedError::ModelMissing { .. } => End::ModelMissing.into(),
        other => other.into(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use async_trait::async_trait;
    use soniquebay_domain::{EmbedError, Embedder, Purpose};
    use tokio_util::sync::CancellationToken;

    use super::{End, Remembering, model_error};

    /// Answers with the length of each text, and counts the texts.
    #[derive(Default)]
    struct Counting(AtomicUsize);

    #[async_trait]
    impl Embedder for Counting {
        fn model(&self) -> &str {
            "counting"
        }

        fn dims(&self) -> usize {
            1
        }

        async fn embed(&self, texts: Vec<String>, _: Purpose) -> Result<Vec<Vec<f32>>, EmbedError> {
            self.0.fetch_add(texts.len(), Ordering::Relaxed);
            Ok(texts.iter().map(|text| vec![text.len() as f32]).collect())
        }
    }

    fn texts<C: FromIterator<String>>(texts: &[&str]) -> C {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    #[tokio::test]
    async fn no_text_is_embedded_twice() {
        let counting = Arc::new(Counting::default());
        let embedder = Remembering::new(counting.clone());
        embedder.learn(texts(&["a", "bb", ""]), &CancellationToken::new()).await.unwrap();
        let answers = embedder.embed(texts(&["bb", "ccc", "a", "ccc", "bb"]), Purpose::Document).await.unwrap();
        assert_eq!(answers, [[2.0], [3.0], [1.0], [3.0], [2.0]]);
        assert_eq!(counting.0.load(Ordering::Relaxed), 3);
    }

    #[tokio::test]
    async fn a_stop_is_heard() {
        let (embedder, stop) = (Remembering::new(Arc::new(Counting::default())), CancellationToken::new());
        stop.cancel();
        let error = embedder.learn(texts(&["a"]), &stop).await.unwrap_err();
        assert!(matches!(error.downcast_ref(), Some(End::Interrupted)));
    }

    #[test]
    fn a_missing_model_has_its_own_end() {
        let error = model_error(EmbedError::ModelMissing { model: "m".into() });
        assert!(matches!(error.downcast_ref(), Some(End::ModelMissing)));
        assert!(model_error(EmbedError::Overloaded).downcast_ref::<End>().is_none());
    }
}
