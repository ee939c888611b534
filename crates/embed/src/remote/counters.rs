//! How the service fares, in numbers.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::breaker::BreakerState;
use super::fault::{Fault, FaultKind};

/// What has happened since the start, and what is now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RemoteCounters {
    /// Requests for vectors that were sent.
    pub requests: u64,
    /// Those that were answered as asked.
    pub succeeded: u64,
    /// Time that the answered ones took in all.
    pub busy: Duration,
    /// Texts that got their vectors.
    pub texts: u64,
    /// Tokens that the server says it read.
    pub tokens: u64,
    /// Requests that were sent again after a fault.
    pub retries: u64,
    /// Texts that were longer than the model reads, and were cut, here or there.
    pub truncated_texts: u64,
    /// Texts that were given up, each alone.
    pub refused_texts: u64,
    /// Answers with a wrong number of vectors, a wrong length or no direction. None should ever come.
    pub rejected_answers: u64,
    /// Callers that were sent away, as too many waited.
    pub overloaded: u64,
    /// Times that the server was checked and the model loaded.
    pub preparations: u64,
    /// Times that the server turned out to have another model under the same name.
    pub model_changes: u64,
    /// Times that the breaker opened.
    pub breaker_opened: u64,
    /// Faults by kind.
    pub faults: BTreeMap<FaultKind, u64>,
    /// Requests in flight now.
    pub in_flight: usize,
    /// Callers that are served or wait.
    pub callers: usize,
    /// What the breaker lets through now.
    pub breaker: BreakerState,
}

/// The same, being counted.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) requests: AtomicU64,
    pub(crate) succeeded: AtomicU64,
    pub(crate) busy_micros: AtomicU64,
    pub(crate) texts: AtomicU64,
    pub(crate) tokens: AtomicU64,
    pub(crate) retries: AtomicU64,
    pub(crate) truncated_texts: AtomicU64,
    pub(crate) refused_texts: AtomicU64,
    pub(crate) rejected_answers: AtomicU64,
    pub(crate) overloaded: AtomicU64,
    pub(crate) preparations: AtomicU64,
    pub(crate) model_changes: AtomicU64,
    pub(crate) callers: AtomicUsize,
    faults: Mutex<BTreeMap<FaultKind, u64>>,
}

impl Tally {
    pub(crate) fn fault(&self, fault: &Fault) {
        *self.faults.lock().unwrap_or_else(PoisonError::into_inner).entry(fault.kind).or_default() += 1;
    }

    pub(crate) fn read(&self) -> RemoteCounters {
        RemoteCounters {
            requests: self.requests.load(Relaxed),
            succeeded: self.succeeded.load(Relaxed),
            busy: Duration::from_micros(self.busy_micros.load(Relaxed)),
            texts: self.texts.load(Relaxed),
            tokens: self.tokens.load(Relaxed),
            retries: self.retries.load(Relaxed),
            truncated_texts: self.truncated_texts.load(Relaxed),
            refused_texts: self.refused_texts.load(Relaxed),
            rejected_answers: self.rejected_answers.load(Relaxed),
            overloaded: self.overloaded.load(Relaxed),
            preparations: self.preparations.load(Relaxed),
            model_changes: self.model_changes.load(Relaxed),
            callers: self.callers.load(Relaxed),
            faults: self.faults.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            ..RemoteCounters::default()
        }
    }
}

/// Counts one up.
pub(crate) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Relaxed);
}
