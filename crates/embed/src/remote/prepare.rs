//! Before the first request, and after anything that the server may not have survived: who it is, and the model loaded.
//!
//! One preparation runs for all callers, and goes on when they leave: who leaves a loading Ollama aborts the loading, and
//! would find it no further the next time.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use tokio::sync::watch;
use tokio::task::AbortHandle;

use super::ServerModel;
use super::client::Client;
use super::config::Protocol;
use super::counters::count;
use super::fault::{Fault, FaultKind, Remedy};
use super::ollama;
use super::retry::Backoff;

/// What a preparation came to, when it came to something.
type Outcome = Option<Result<(), Fault>>;

/// A preparation under way, or the last one.
pub(crate) struct Preparation {
    outcome: watch::Receiver<Outcome>,
    task: AbortHandle,
}

impl Preparation {
    /// Whether it is still under way.
    fn runs(&self) -> bool {
        // A sender that is gone without a word was aborted.
        self.outcome.borrow().is_none() && self.outcome.has_changed().is_ok()
    }
}

impl Client {
    /// Waits until the model is loaded; starts what is needed for that.
    pub(crate) async fn ready(self: &Arc<Self>) -> Result<(), Fault> {
        let Some(mut outcome) = self.preparation() else { return Ok(()) };
        match outcome.wait_for(Option::is_some).await {
            Ok(outcome) => outcome.clone().unwrap_or(Ok(())),
            Err(_) => Err(Fault::new(FaultKind::Connection, "the preparation of the server was stopped")),
        }
    }

    /// Whether the server is being prepared.
    pub(crate) fn is_preparing(&self) -> bool {
        self.state().preparation.as_ref().is_some_and(Preparation::runs)
    }

    /// The preparation that runs, or a new one; none where the server is ready.
    pub(crate) fn preparation(self: &Arc<Self>) -> Option<watch::Receiver<Outcome>> {
        let mut state = self.state();
        if state.is_ready(self.config.keep_alive) {
            return None;
        }
        if let Some(running) = state.preparation.as_ref().filter(|preparation| preparation.runs()) {
            return Some(running.outcome.clone());
        }
        let (sender, outcome) = watch::channel(None);
        let client = Arc::clone(self);
        let task = tokio::spawn(async move {
            let prepared = client.prepare().await;
            sender.send_replace(Some(prepared));
        });
        state.preparation = Some(Preparation { outcome: outcome.clone(), task: task.abort_handle() });
        Some(outcome)
    }

    /// Ends a preparation that nobody will need.
    pub(crate) fn stop(&self) {
        if let Some(preparation) = &self.state().preparation {
            preparation.task.abort();
        }
    }

    async fn prepare(&self) -> Result<(), Fault> {
        count(&self.tally.preparations);
        let mut backoff = Backoff::new(&self.config.patience, Instant::now());
        let fault = loop {
            match self.prepare_once().await {
                Ok(()) => return Ok(()),
                // A server that failed too often meanwhile rests.
                Err(fault) if fault.remedy() == Remedy::AskAgain && self.resting().is_none() => {
                    let Some(delay) = backoff.next(Instant::now(), fault.retry_after) else { break fault };
                    count(&self.tally.retries);
                    tokio::time::sleep(delay).await;
                }
                Err(fault) => break fault,
            }
        };
        // There is no use in beginning anew at once.
        self.give_up(&fault);
        Err(fault)
    }

    async fn prepare_once(&self) -> Result<(), Fault> {
        let slot = self.slot().await.map_err(|reason| Fault::new(FaultKind::Connection, reason))?;
        if self.config.protocol == Protocol::Ollama {
            let server = self.inspect().await.inspect_err(|fault| self.note(fault))?;
            self.meet(&server);
        }
        // The first request loads the model.
        let prepared = self.probe(self.config.patience.warm_up).await;
        drop(slot);
        if prepared.is_ok() {
            tracing::info!(server = %self.config.server, model = self.config.model.name, "the embedding server is ready");
        }
        prepared
    }

    async fn inspect(&self) -> Result<ServerModel, Fault> {
        let (model, patience) = (&self.config.model, &self.config.patience);
        match ollama::inspect(&self.http, model, patience.request).await {
            Err(fault) if fault.kind == FaultKind::ModelMissing && self.config.pull => {
                self.pull().await?;
                ollama::inspect(&self.http, model, patience.request).await
            }
            other => other,
        }
    }

    async fn pull(&self) -> Result<(), Fault> {
        let name = &self.config.model.name;
        tracing::info!(server = %self.config.server, model = name, "the embedding server fetches the model");
        self.state().pulled = Some(0);
        let pulled = ollama::pull(&self.http, name, self.config.patience.pull_silence, |percent| {
            let before = self.state().pulled.replace(percent).unwrap_or(0);
            if percent / 10 > before / 10 {
                tracing::info!(model = name, percent, "the embedding server fetches the model");
            }
        })
        .await;
        self.state().pulled = None;
        pulled
    }

    /// Remembers who answers; says it when that is another model than before.
    fn meet(&self, server: &ServerModel) {
        let before = self.state().server.replace(server.clone());
        let digests = before.and_then(|before| before.digest).zip(server.digest.as_ref());
        if let Some((before, now)) = digests.filter(|(before, now)| before != *now) {
            self.tally.model_changes.fetch_add(1, Relaxed);
            tracing::warn!(
                model = self.config.model.name,
                before,
                now,
                "the server has another model under the same name: vectors from before are not comparable to new ones"
            );
        }
    }
}
