//! The model behind the [`Embedder`] port: worker threads fed by two lanes.
//!
//! Inference blocks a core for milliseconds, so it never runs on the async runtime. One
//! single-threaded encoder per core beats one encoder with many threads: there is nothing
//! to synchronise within a batch.

use std::any::Any;
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use async_trait::async_trait;
use soniquebay_domain::{EmbedError, Embedder, Purpose};
use tokio::sync::oneshot;

use super::batch;
use super::bert::Scratch;
use super::error::ModelError;
use super::lanes::{Full, Lanes, Work};
use super::model::LocalModel;

/// More workers gain little on a home server and take the cores that serve requests.
const MOST_DEFAULT_WORKERS: usize = 4;

type Vectors = Vec<Vec<f32>>;
type Reply = oneshot::Sender<Result<Vectors, EmbedError>>;
type Queue = Lanes<Job, Batch>;

/// A [`LocalModel`] with its own threads. Dropping it stops and joins them; callers that
/// still wait get [`EmbedError::Unavailable`].
#[derive(Debug)]
pub struct LocalEmbedder {
    model: Arc<LocalModel>,
    queue: Arc<Queue>,
    workers: Vec<JoinHandle<()>>,
}

/// Texts as they were handed in.
#[derive(Debug)]
struct Job {
    texts: Vec<String>,
    reply: Reply,
}

/// The part of a job that a worker computes at one go.
#[derive(Debug)]
struct Batch {
    answer: Arc<Answer>,
    /// Token numbers of each text.
    texts: Vec<Vec<u32>>,
    /// Where the vectors belong in the answer.
    positions: Vec<usize>,
}

/// The vectors of one job, filled in by several workers; `None` once it was sent.
#[derive(Debug)]
struct Answer(Mutex<Option<Unsent>>);

#[derive(Debug)]
struct Unsent {
    reply: Reply,
    vectors: Vectors,
    missing: usize,
}

impl LocalEmbedder {
    /// Starts the worker threads, which is all that can fail.
    pub fn start(model: Arc<LocalModel>, workers: NonZeroUsize) -> std::io::Result<LocalEmbedder> {
        let mut embedder = LocalEmbedder { model, queue: Arc::new(Lanes::new()), workers: Vec::new() };
        for index in 0..workers.get() {
            let (model, queue) = (embedder.model.clone(), embedder.queue.clone());
            let worker = thread::Builder::new().name(format!("embed-{index}")).spawn(move || work(&model, &queue))?;
            embedder.workers.push(worker);
        }
        Ok(embedder)
    }

    /// One worker per available core, at most four.
    pub fn default_workers() -> NonZeroUsize {
        let cores = thread::available_parallelism().map_or(1, NonZeroUsize::get);
        NonZeroUsize::new(cores.min(MOST_DEFAULT_WORKERS)).unwrap_or(NonZeroUsize::MIN)
    }
}

#[async_trait]
impl Embedder for LocalEmbedder {
    fn model(&self) -> &str {
        self.model.name()
    }

    fn dims(&self) -> usize {
        self.model.config().hidden
    }

    async fn embed(&self, texts: Vec<String>, purpose: Purpose) -> Result<Vectors, EmbedError> {
        if texts.is_empty() {
            return Ok(Vec::new());
        }
        let (reply, answer) = oneshot::channel();
        let job = Job { texts, reply };
        self.queue.submit(job, purpose).map_err(|Full| EmbedError::Overloaded)?;
        answer.await.unwrap_or_else(|_| Err(EmbedError::Unavailable("it is shutting down".to_owned())))
    }
}

impl Drop for LocalEmbedder {
    fn drop(&mut self) {
        self.queue.close();
        for worker in self.workers.drain(..) {
            // An error would be the worker's panic, which was already reported.
            let _ = worker.join();
        }
    }
}

fn work(model: &LocalModel, queue: &Queue) {
    let mut scratch = Scratch::default();
    while let Some(work) = queue.take() {
        match work {
            Work::Job(job, purpose) => split(model, queue, job, purpose),
            Work::Piece(batch) => compute(model, &mut scratch, batch),
        }
    }
}

/// Tokenises a job and hands its batches to all workers.
fn split(model: &LocalModel, queue: &Queue, job: Job, purpose: Purpose) {
    if job.reply.is_closed() {
        return;
    }
    let mut texts = match guard(|| model.tokenise(&job.texts)) {
        Ok(texts) => texts,
        Err(error) => {
            // The caller may have stopped waiting; then nobody needs the answer.
            let _ = job.reply.send(Err(error));
            return;
        }
    };
    let lengths: Vec<usize> = texts.iter().map(Vec::len).collect();
    let answer = Arc::new(Answer(Mutex::new(Some(Unsent {
        reply: job.reply,
        vectors: vec![Vec::new(); texts.len()],
        missing: texts.len(),
    }))));
    let batches = batch::cut(&lengths).into_iter().map(|positions| Batch {
        answer: answer.clone(),
        texts: positions.iter().map(|&index| std::mem::take(&mut texts[index])).collect(),
        positions,
    });
    queue.add_pieces(batches, purpose);
}

fn compute(model: &LocalModel, scratch: &mut Scratch, batch: Batch) {
    if !batch.answer.is_awaited() {
        return;
    }
    let texts: Vec<&[u32]> = batch.texts.iter().map(Vec::as_slice).collect();
    match guard(|| model.encode_tokens(scratch, &texts)) {
        Ok(vectors) => batch.answer.fill(batch.positions, vectors),
        Err(error) => batch.answer.fail(error),
    }
}

/// Runs a step so that neither an error nor a panic costs more than the job at hand.
///
/// Unwind safe: the model is never changed and scratch buffers are overwritten by each run.
fn guard<T>(step: impl FnOnce() -> Result<T, ModelError>) -> Result<T, EmbedError> {
    match catch_unwind(AssertUnwindSafe(step)) {
        Ok(result) => result.map_err(|error| EmbedError::Failed(error.to_string())),
        Err(panic) => Err(EmbedError::Failed(format!("the engine panicked: {}", reason(&*panic)))),
    }
}

fn reason(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no reason given")
}

impl Answer {
    /// Whether the job neither failed nor was given up by its caller.
    fn is_awaited(&self) -> bool {
        self.lock().as_ref().is_some_and(|unsent| !unsent.reply.is_closed())
    }

    /// Puts vectors in their places and sends the answer if these were the last.
    fn fill(&self, positions: Vec<usize>, vectors: Vectors) {
        let mut slot = self.lock();
        let Some(unsent) = slot.as_mut() else { return };
        unsent.missing -= vectors.len();
        for (position, vector) in positions.into_iter().zip(vectors) {
            unsent.vectors[position] = vector;
        }
        if unsent.missing == 0
            && let Some(done) = slot.take()
        {
            let _ = done.reply.send(Ok(done.vectors));
        }
    }

    fn fail(&self, error: EmbedError) {
        if let Some(unsent) = self.lock().take() {
            let _ = unsent.reply.send(Err(error));
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Unsent>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
