use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use soniquebay_domain::{Catalog, JobQueue, Lease, Progress, Settlement, StoreError, Vectorizer};
use tokio_util::sync::CancellationToken;

use crate::execute::execute;
use crate::progress::Meter;

/// How much a worker does at once.
#[derive(Clone, Copy, Debug)]
pub struct WorkerLimits {
    /// Batches in work side by side: while one is stored, another is embedded.
    pub concurrency: usize,
    /// Jobs claimed together.
    pub batch: usize,
    /// How long a claim holds without a heartbeat.
    pub lease: Duration,
    /// How long a batch may take.
    pub time_limit: Duration,
}

impl Default for WorkerLimits {
    fn default() -> Self {
        Self { concurrency: 2, batch: 64, lease: Duration::from_secs(60), time_limit: Duration::from_secs(3600) }
    }
}

/// Longest sleep of an idle worker: the queue wakes it for what is new; a job that waits for its moment is late by no more.
const IDLE: Duration = Duration::from_secs(1);

/// Time that a batch under way has after the word to stop.
const GRACE: Duration = Duration::from_secs(5);

/// Wait after an error of the store.
const PAUSE: Duration = Duration::from_millis(500);

/// Turns jobs into stored vectors.
pub struct Worker {
    queue: Arc<dyn JobQueue>,
    settlement: Arc<dyn Settlement>,
    catalog: Arc<dyn Catalog>,
    vectorizers: Vec<Arc<dyn Vectorizer>>,
    /// Counts claims, for whose turn it is.
    turn: AtomicUsize,
    limits: WorkerLimits,
    meter: Meter,
    listener: Box<dyn Fn(Progress) + Send + Sync>,
}

impl Worker {
    /// A worker over these parts, which fills the spaces of `vectorizers`; `listener` hears how far it is, a few times a
    /// second.
    pub fn new(
        queue: Arc<dyn JobQueue>,
        settlement: Arc<dyn Settlement>,
        catalog: Arc<dyn Catalog>,
        vectorizers: Vec<Arc<dyn Vectorizer>>,
        limits: WorkerLimits,
        listener: impl Fn(Progress) + Send + Sync + 'static,
    ) -> Self {
        let listener = Box::new(listener);
        Self {
            queue,
            settlement,
            catalog,
            vectorizers,
            turn: AtomicUsize::new(0),
            limits,
            meter: Meter::new(),
            listener,
        }
    }

    /// Works until told to stop, then finishes what it holds.
    pub async fn run(self: &Arc<Self>, stop: &CancellationToken) {
        self.side_by_side(|worker| {
            let stop = stop.clone();
            async move {
                while !stop.is_cancelled() {
                    let pause = match worker.step(&stop).await {
                        Ok(Step::Worked) => continue,
                        Ok(Step::Idle) => IDLE,
                        Err(error) => {
                            tracing::warn!(%error, "the queue cannot be worked on; trying again");
                            PAUSE
                        }
                    };
                    tokio::select! {
                        () = stop.cancelled() => {}
                        () = worker.queue.wait(pause) => {}
                    }
                }
            }
        })
        .await;
    }

    /// Works until no job is left that can be claimed now, or until told to stop.
    ///
    /// # Errors
    /// Where the store cannot be used.
    pub async fn drain(self: &Arc<Self>, stop: &CancellationToken) -> Result<(), StoreError> {
        let results = self
            .side_by_side(|worker| {
                let stop = stop.clone();
                async move {
                    while !stop.is_cancelled() {
                        match worker.step(&stop).await? {
                            Step::Worked => {}
                            Step::Idle => break,
                        }
                    }
                    Ok(())
                }
            })
            .await;
        results.into_iter().collect()
    }

    async fn side_by_side<F, T>(self: &Arc<Self>, one: impl Fn(Arc<Self>) -> F) -> Vec<T>
    where
        F: Future<Output = T> + Send + 'static,
        T: Send + 'static,
    {
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..self.limits.concurrency.max(1) {
            tasks.spawn(one(Arc::clone(self)));
        }
        tasks.join_all().await
    }

    async fn step(&self, stop: &CancellationToken) -> Result<Step, StoreError> {
        let claimed = tokio::select! {
            claimed = self.claim() => claimed?,
            // A look at a server that hangs.
            () = overdue(stop) => None,
        };
        let Some((vectorizer, leases)) = claimed else { return Ok(Step::Idle) };
        let settled = {
            let work = execute(&*self.catalog, &*vectorizer, self.limits.time_limit, leases.clone());
            tokio::pin!(work);
            let mut heartbeat = tokio::time::interval(self.limits.lease / 3);
            heartbeat.tick().await;
            loop {
                tokio::select! {
                    settled = &mut work => break settled?,
                    _ = heartbeat.tick() => self.extend(leases.clone()).await,
                    // A server that hangs must not hold the end back: its jobs go back as they came.
                    () = overdue(stop) => {
                        self.queue.release(leases.clone()).await?;
                        return Ok(Step::Idle);
                    }
                }
            }
        };
        let done = settled.len();
        self.settlement.settle(settled).await?;
        if let Some(progress) = self.meter.count(done, &*self.queue).await {
            (self.listener)(progress);
        }
        Ok(Step::Worked)
    }

    /// Jobs of one space, with what makes its vectors; each call begins with another space, so that one whose model is
    /// slow does not hold the others up. Of a space whose model is away nothing is claimed: its jobs keep their place, and
    /// no attempt is spent.
    async fn claim(&self) -> Result<Option<(Arc<dyn Vectorizer>, Vec<Lease>)>, StoreError> {
        let first = self.turn.fetch_add(1, Ordering::Relaxed);
        for offset in 0..self.vectorizers.len() {
            let vectorizer = &self.vectorizers[(first.wrapping_add(offset)) % self.vectorizers.len()];
            if let Err(error) = vectorizer.health().await {
                tracing::debug!(%error, space = %vectorizer.space(), "jobs wait");
                continue;
            }
            let leases = self.queue.claim(vectorizer.space(), self.limits.batch, self.limits.lease).await?;
            if !leases.is_empty() {
                return Ok(Some((Arc::clone(vectorizer), leases)));
            }
        }
        Ok(None)
    }

    async fn extend(&self, leases: Vec<Lease>) {
        // A lease that is lost is found out when the job is settled: nothing is stored twice.
        if let Err(error) = self.queue.extend(leases, self.limits.lease).await {
            tracing::warn!(%error, "leases could not be extended");
        }
    }
}

/// Resolves when what is under way has had its time to end after the word to stop.
async fn overdue(stop: &CancellationToken) {
    stop.cancelled().await;
    tokio::time::sleep(GRACE).await;
}

enum Step {
    Worked,
    Idle,
}
