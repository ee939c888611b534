//! Questions that are answered on one thread from beginning to end.

use std::future::Future;

use soniquebay_domain::where_it_may_wait;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tracing::Instrument;

use crate::error::ApiError;

/// Questions at one time; more wait. Far fewer than there may be threads, as some of what they ask needs threads too.
const MOST: usize = 64;

/// Answers on a thread that may wait: a question looks at the database and the index several times, and each look that
/// another thread takes costs waking it and being woken.
///
/// # Errors
/// Where the question panicked.
pub(crate) async fn on_one_thread<T: Send + 'static>(
    question: impl Future<Output = T> + Send + 'static,
) -> Result<T, ApiError> {
    static PLACES: Semaphore = Semaphore::const_new(MOST);
    let place = PLACES.acquire().await.map_err(|closed| ApiError::internal(&closed))?;
    let (runtime, question) = (Handle::current(), question.in_current_span());
    let answer = spawn_blocking(move || {
        let answer = where_it_may_wait(|| runtime.block_on(question));
        // A client that leaves does not end the question, so the place goes with it.
        drop(place);
        answer
    });
    answer.await.map_err(|panic| ApiError::internal(&panic))
}
