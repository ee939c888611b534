use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use soniquebay_domain::{Space, StoreError, Vectors};

/// How long an answer holds: settings change by a restart, and a wrong guess costs one round of the reconciler.
const HOLDS: Duration = Duration::from_secs(10);

/// The spaces that jobs are to fill, as whoever keeps the vectors says.
pub struct WantedSpaces {
    vectors: Arc<dyn Vectors>,
    /// Where it does not say: a recommender of the Python system knows no spaces.
    otherwise: Vec<Space>,
    known: Mutex<Option<(Instant, Vec<Space>)>>,
}

impl WantedSpaces {
    /// What `vectors` wants, or `otherwise` where it does not say.
    pub fn new(vectors: Arc<dyn Vectors>, otherwise: Vec<Space>) -> Self {
        Self { vectors, otherwise, known: Mutex::new(None) }
    }

    /// The spaces.
    ///
    /// # Errors
    /// Where nobody answers and nobody has before.
    pub async fn get(&self) -> Result<Vec<Space>, StoreError> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some((when, spaces)) = &known
            && when.elapsed() < HOLDS
        {
            return Ok(spaces.clone());
        }
        let spaces: Vec<Space> = match self.vectors.spaces().await {
            Ok(all) => all.into_iter().filter(|size| size.wanted).map(|size| size.space).collect(),
            // What was wanted a while ago is most likely wanted still.
            Err(error) => return known.map(|(_, spaces)| spaces).ok_or(error),
        };
        let spaces = if spaces.is_empty() { self.otherwise.clone() } else { spaces };
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), spaces.clone()));
        Ok(spaces)
    }
}
