use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use soniquebay_domain::{EmbedError, Made, MakeError, Maker, Space, Subject, TrackFields, Vector, Vectorizer};

/// Makes vectors of what tracks say, many at once. A subject that spoils its batch is found by halving.
pub struct FromFields {
    vectorizer: Arc<dyn Vectorizer>,
    /// How long a batch may take.
    time_limit: Duration,
}

impl FromFields {
    /// How long a batch may take where nobody says: an hour.
    pub const TIME_LIMIT: Duration = Duration::from_secs(3600);

    /// Vectors by `vectorizer`.
    pub fn new(vectorizer: Arc<dyn Vectorizer>, time_limit: Duration) -> Self {
        Self { vectorizer, time_limit }
    }

    /// One for each of these, as a worker takes them.
    pub fn each(vectorizers: &[Arc<dyn Vectorizer>], time_limit: Duration) -> Vec<Arc<dyn Maker>> {
        let one = |vectorizer: &Arc<dyn Vectorizer>| Arc::new(Self::new(Arc::clone(vectorizer), time_limit)) as _;
        vectorizers.iter().map(one).collect()
    }

    async fn vectorize(&self, batch: &[Subject]) -> Result<Vec<Vector>, EmbedError> {
        let fields = batch.iter().map(|subject| TrackFields::clone(&subject.fields)).collect();
        let vectors = tokio::time::timeout(self.time_limit, self.vectorizer.vectorize(fields))
            .await
            .map_err(|_| EmbedError::Failed(format!("took longer than {} s", self.time_limit.as_secs())))??;
        if vectors.len() == batch.len() {
            Ok(vectors)
        } else {
            Err(EmbedError::Failed(format!("{} vectors came back for {} tracks", vectors.len(), batch.len())))
        }
    }
}

#[async_trait]
impl Maker for FromFields {
    fn space(&self) -> &Space {
        self.vectorizer.space()
    }

    async fn health(&self) -> Result<(), MakeError> {
        Ok(self.vectorizer.health().await?)
    }

    async fn make(&self, subjects: &[Subject]) -> Vec<Made> {
        let mut made = Vec::with_capacity(subjects.len());
        // Halves of a batch that failed, the first one last, until the subject that spoils it stands alone.
        let mut batches = vec![subjects];
        while let Some(batch) = batches.pop() {
            if batch.is_empty() {
                continue;
            }
            match self.vectorize(batch).await {
                Ok(vectors) => {
                    made.extend(vectors.into_iter().map(|vector| Made { vector: Ok(vector), analysis: None }));
                }
                Err(EmbedError::Failed(_) | EmbedError::Refused(_)) if batch.len() > 1 => {
                    let (first, second) = batch.split_at(batch.len() / 2);
                    batches.extend([second, first]);
                }
                Err(error) => {
                    let error = MakeError::from(error);
                    made.extend(batch.iter().map(|_| Made { vector: Err(error.clone()), analysis: None }));
                }
            }
        }
        made
    }
}
