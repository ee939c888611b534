use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use metrics::counter;
use soniquebay_domain::{JobQueue, Lease, Maker, Progress, SettledJob, Settlement, StoreError, Tracks, Vectors};
use tokio::sync::RwLock;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use crate::execute::{Sources, execute};
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
}

impl Default for WorkerLimits {
    fn default() -> Self {
        Self { concurrency: 2, batch: 64, lease: Duration::from_secs(60) }
    }
}

/// Longest sleep of an idle worker: the queue wakes it for what is new; a job that waits for its moment is late by no more.
const IDLE: Duration = Duration::from_secs(1);

/// Time that a batch under way has after the word to stop.
const GRACE: Duration = Duration::from_secs(5);

/// Wait after an error of the store, at first and at most.
const PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(8);

/// Tries to settle what was done, with a longer wait each time: a database that starts again is away for seconds, and work
/// that is not settled is done again only when its lease is over.
const SETTLE_TRIES: u32 = 5;

/// What a worker works with.
pub struct Parts {
    /// Where jobs come from.
    pub queue: Arc<dyn JobQueue>,
    /// Where they end.
    pub settlement: Arc<dyn Settlement>,
    /// What vectors are made of; `None` where the jobs themselves say it.
    pub tracks: Option<Arc<dyn Tracks>>,
    /// The vectors that are there.
    pub vectors: Arc<dyn Vectors>,
    /// What makes vectors, one a space.
    pub makers: Vec<Arc<dyn Maker>>,
}

/// Turns jobs into stored vectors.
pub struct Worker {
    parts: Parts,
    /// Counts claims, for whose turn it is.
    turn: AtomicUsize,
    /// Held alone while a job is worked on that others may have died of, so that none of the jobs beside it are lost too.
    alone: RwLock<()>,
    limits: WorkerLimits,
    /// How many of the batches side by side may begin now, where that follows something.
    pace: Option<Arc<AtomicUsize>>,
    meter: Meter,
    /// Cancelled when even the time that a batch has after the word to stop is too long.
    hurry: CancellationToken,
    listener: Box<dyn Fn(Progress) + Send + Sync>,
}

impl Worker {
    /// A worker over these parts; `listener` hears how far it is, a few times a second.
    pub fn new(parts: Parts, limits: WorkerLimits, listener: impl Fn(Progress) + Send + Sync + 'static) -> Self {
        let is_analysis = parts.makers.iter().any(|maker| maker.space().is_sound());
        Self {
            parts,
            turn: AtomicUsize::new(0),
            alone: RwLock::new(()),
            limits,
            pace: None,
            meter: Meter::new(is_analysis),
            listener: Box::new(listener),
            hurry: CancellationToken::new(),
        }
    }

    /// The same, giving back what it holds as soon as `hurry` is cancelled, after the word to stop.
    #[must_use]
    pub fn hurried_by(self, hurry: CancellationToken) -> Self {
        Self { hurry, ..self }
    }

    /// The same, with so many batches side by side as `pace` says at the time, one at least, and never more than the limit.
    #[must_use]
    pub fn paced_by(self, pace: Arc<AtomicUsize>) -> Self {
        Self { pace: Some(pace), ..self }
    }

    /// Works until told to stop, then finishes what it holds.
    pub async fn run(self: &Arc<Self>, stop: &CancellationToken) {
        self.side_by_side(|worker, lane| {
            let stop = stop.clone();
            async move {
                let mut pause_after_error = PAUSE;
                while !stop.is_cancelled() {
                    if !worker.may_begin(lane) {
                        tokio::select! {
                            () = stop.cancelled() => {}
                            () = tokio::time::sleep(IDLE) => {}
                        }
                        continue;
                    }
                    let pause = match worker.step(&stop).await {
                        Ok(Step::Worked) => {
                            pause_after_error = PAUSE;
                            continue;
                        }
                        Ok(Step::Idle) => {
                            pause_after_error = PAUSE;
                            IDLE
                        }
                        Err(error) => {
                            tracing::warn!(%error, "the queue cannot be worked on; trying again");
                            let pause = pause_after_error;
                            pause_after_error = (pause * 2).min(LONGEST_PAUSE);
                            pause
                        }
                    };
                    tokio::select! {
                        () = stop.cancelled() => {}
                        () = worker.parts.queue.wait(pause) => {}
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
        let drained = CancellationToken::new();
        let results = self
            .side_by_side(|worker, lane| {
                let (stop, drained) = (stop.clone(), drained.clone());
                async move {
                    while !stop.is_cancelled() {
                        // A lane that has to wait does so until one that has not found nothing left.
                        if !worker.may_begin(lane) && !drained.is_cancelled() {
                            tokio::select! {
                                () = stop.cancelled() => {}
                                () = drained.cancelled() => {}
                                () = tokio::time::sleep(IDLE) => {}
                            }
                            continue;
                        }
                        match worker.step(&stop).await {
                            Ok(Step::Worked) => {}
                            ended => {
                                drained.cancel();
                                return ended.map(drop);
                            }
                        }
                    }
                    Ok(())
                }
            })
            .await;
        results.into_iter().collect()
    }

    async fn side_by_side<F, T>(self: &Arc<Self>, one: impl Fn(Arc<Self>, usize) -> F) -> Vec<T>
    where
        F: Future<Output = T> + Send + 'static,
        T: Send + 'static,
    {
        let mut tasks = tokio::task::JoinSet::new();
        for lane in 0..self.limits.concurrency.max(1) {
            tasks.spawn(one(Arc::clone(self), lane));
        }
        tasks.join_all().await
    }

    fn may_begin(&self, lane: usize) -> bool {
        lane == 0 || self.pace.as_ref().is_none_or(|pace| lane < pace.load(Ordering::Relaxed))
    }

    async fn step(&self, stop: &CancellationToken) -> Result<Step, StoreError> {
        let claimed = tokio::select! {
            claimed = self.claim() => claimed?,
            // A look at a server that hangs.
            () = self.overdue(stop) => None,
        };
        let Some((maker, leases)) = claimed else { return Ok(Step::Idle) };
        let span = tracing::debug_span!("jobs", space = %maker.space(), jobs = leases.len() as i64);
        self.work_on(&*maker, leases, stop).instrument(span).await
    }

    /// Does what was claimed, and settles it.
    async fn work_on(
        &self,
        maker: &dyn Maker,
        leases: Vec<Lease>,
        stop: &CancellationToken,
    ) -> Result<Step, StoreError> {
        let parts = &self.parts;
        let (leases, later) = with_care(leases, self.limits.batch);
        let redelivered = leases.iter().filter(|lease| lease.lost > 0).count();
        counter!("soniquebay_jobs_redelivered_total").increment(redelivered as u64);
        if !later.is_empty() {
            parts.queue.release(later).await?;
        }
        let settled = {
            let work = async {
                let is_suspect = leases.iter().any(|lease| lease.lost > 0);
                let (_beside, _alone) = match is_suspect {
                    true => (None, Some(self.alone.write().await)),
                    false => (Some(self.alone.read().await), None),
                };
                let sources = Sources { tracks: parts.tracks.as_deref(), vectors: &*parts.vectors };
                execute(sources, maker, leases.clone()).await
            };
            tokio::pin!(work);
            let mut heartbeat = tokio::time::interval(self.limits.lease / 3);
            heartbeat.tick().await;
            loop {
                tokio::select! {
                    settled = &mut work => break settled?,
                    _ = heartbeat.tick() => self.extend(leases.clone()).await,
                    // A server that hangs must not hold the end back: its jobs go back as they came.
                    () = self.overdue(stop) => {
                        parts.queue.release(leases.clone()).await?;
                        return Ok(Step::Idle);
                    }
                }
            }
        };
        let done = settled.len();
        let held = self.settle(settled, stop).instrument(tracing::debug_span!("settle", jobs = done as i64)).await?;
        counter!("soniquebay_jobs_settled_total").increment(held as u64);
        counter!("soniquebay_jobs_settled_late_total").increment((done - held.min(done)) as u64);
        if let Some(progress) = self.meter.count(done, &*parts.queue).await {
            (self.listener)(progress);
        }
        Ok(Step::Worked)
    }

    /// Jobs of one space, with what makes its vectors; each call begins with another space, so that one whose model is
    /// slow does not hold the others up. Of a space whose model is away nothing is claimed: its jobs keep their place, and
    /// no attempt is spent.
    async fn claim(&self) -> Result<Option<(Arc<dyn Maker>, Vec<Lease>)>, StoreError> {
        let first = self.turn.fetch_add(1, Ordering::Relaxed);
        let makers = &self.parts.makers;
        for offset in 0..makers.len() {
            let maker = &makers[(first.wrapping_add(offset)) % makers.len()];
            if let Err(error) = maker.health().await {
                tracing::debug!(%error, space = %maker.space(), "jobs wait");
                continue;
            }
            let leases = self.parts.queue.claim(maker.space(), self.limits.batch, self.limits.lease).await?;
            if !leases.is_empty() {
                return Ok(Some((Arc::clone(maker), leases)));
            }
        }
        Ok(None)
    }

    /// Resolves when what is under way has had its time to end after the word to stop.
    async fn overdue(&self, stop: &CancellationToken) {
        stop.cancelled().await;
        tokio::select! {
            () = tokio::time::sleep(GRACE) => {}
            () = self.hurry.cancelled() => {}
        }
    }

    async fn settle(&self, settled: Vec<SettledJob>, stop: &CancellationToken) -> Result<usize, StoreError> {
        let mut pause = PAUSE;
        for _ in 1..SETTLE_TRIES {
            match self.parts.settlement.settle(settled.clone()).await {
                Err(error) if !stop.is_cancelled() => {
                    tracing::warn!(%error, "what is done cannot be stored; trying again");
                }
                answer => return answer,
            }
            tokio::time::sleep(pause).await;
            pause *= 2;
        }
        self.parts.settlement.settle(settled).await
    }

    async fn extend(&self, leases: Vec<Lease>) {
        // A lease that is lost is found out when the job is settled: nothing is stored twice.
        if let Err(error) = self.parts.queue.extend(leases, self.limits.lease).await {
            tracing::warn!(%error, "leases could not be extended");
        }
    }
}

/// Splits what was claimed into jobs to do now and jobs to give back. Where whoever held jobs died, one of them may be to
/// blame: those that were never lost go first, and the others in ever smaller batches, until the one that kills stands alone.
fn with_care(leases: Vec<Lease>, batch: usize) -> (Vec<Lease>, Vec<Lease>) {
    if leases.iter().any(|lease| lease.lost == 0) {
        return leases.into_iter().partition(|lease| lease.lost == 0);
    }
    let lost = leases.iter().map(|lease| lease.lost).min().unwrap_or(0);
    let (mut now, mut later): (Vec<_>, Vec<_>) = leases.into_iter().partition(|lease| lease.lost == lost);
    let most = batch.checked_shr(lost).unwrap_or(0).max(1);
    later.extend(now.split_off(most.min(now.len())));
    (now, later)
}

enum Step {
    Worked,
    Idle,
}
