//! One model on one server: who may ask it when, and what an answer says about it.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use soniquebay_http::{Bounds, Http, HttpErrorKind, Settings};
use tokio::sync::{Semaphore, SemaphorePermit};

use super::ServerModel;
use super::answer::Embeddings;
use super::breaker::{Breaker, BreakerState};
use super::config::{Protocol, RemoteConfig};
use super::counters::{RemoteCounters, Tally, count};
use super::fault::{Fault, FaultKind, Remedy};
use super::prepare::Preparation;
use super::{ollama, openai};

/// A number as servers write it, with its comma, is no longer.
const BYTES_A_NUMBER: usize = 32;

/// What stands around the numbers of an answer.
const BYTES_AROUND: usize = 64 * 1024;

pub(crate) struct Client {
    pub(crate) config: RemoteConfig,
    pub(crate) http: Http,
    breaker: Breaker,
    pub(crate) tally: Tally,
    slots: Semaphore,
    /// Texts a request now: fewer when the server proves slow.
    texts: AtomicUsize,
    state: Mutex<State>,
}

#[derive(Default)]
pub(crate) struct State {
    /// When the model last answered; `None` where it is not known to be loaded.
    answered: Option<Instant>,
    /// When the server last gave a sign of life.
    seen: Option<Instant>,
    /// Whether a text was refused since the model last answered.
    blamed: bool,
    /// What the server said of the model.
    pub(crate) server: Option<ServerModel>,
    /// How much of the model is fetched, while it is.
    pub(crate) pulled: Option<u64>,
    pub(crate) preparation: Option<Preparation>,
}

impl Client {
    pub(crate) fn new(config: RemoteConfig) -> Self {
        Self {
            http: Http::new(Settings {
                server: config.server.base().clone(),
                api_key: config.api_key.clone(),
                connect: config.patience.connect,
                idle_connections: config.limits.in_flight + 1,
            }),
            breaker: Breaker::new(config.patience.first_rest, config.patience.longest_rest),
            tally: Tally::default(),
            slots: Semaphore::new(config.limits.in_flight.min(Semaphore::MAX_PERMITS)),
            texts: AtomicUsize::new(config.limits.texts),
            state: Mutex::default(),
            config,
        }
    }

    /// Why the server is left alone now, where it is.
    pub(crate) fn resting(&self) -> Option<String> {
        self.breaker.resting(Instant::now())
    }

    pub(crate) fn breaker_state(&self) -> BreakerState {
        self.breaker.state(Instant::now())
    }

    /// Waits until the server is ready and one of its slots is free.
    ///
    /// # Errors
    /// Why that will not be soon.
    pub(crate) async fn turn(self: &Arc<Self>) -> Result<SemaphorePermit<'_>, String> {
        loop {
            if let Some(reason) = self.resting() {
                return Err(reason);
            }
            // Before the slot is taken, not after: the preparation needs one too.
            self.ready().await.map_err(|fault| fault.told)?;
            let slot = self.slot().await?;
            // While this one waited in line, another may have found that the server is gone.
            if self.is_ready() && self.resting().is_none() {
                return Ok(slot);
            }
        }
    }

    /// A slot, first come, first served.
    pub(crate) async fn slot(&self) -> Result<SemaphorePermit<'_>, String> {
        self.slots.acquire().await.map_err(|_| "it is being closed".to_owned())
    }

    /// One request for vectors. A caller that leaves ends it.
    pub(crate) async fn exchange(&self, texts: &[&str], within: Duration) -> Result<Embeddings, Fault> {
        count(&self.tally.requests);
        let started = Instant::now();
        let outcome = self.ask(texts, within).await;
        match &outcome {
            Ok(embeddings) => {
                count(&self.tally.succeeded);
                self.tally.busy_micros.fetch_add(started.elapsed().as_micros() as u64, Relaxed);
                self.tally.tokens.fetch_add(embeddings.tokens.unwrap_or(0), Relaxed);
                self.breaker.succeeded();
                let mut state = self.state();
                let now = Instant::now();
                (state.answered, state.seen, state.blamed) = (Some(now), Some(now), false);
            }
            Err(fault) => self.note(fault),
        }
        outcome
    }

    async fn ask(&self, texts: &[&str], within: Duration) -> Result<Embeddings, Fault> {
        let RemoteConfig { protocol, model, keep_alive, .. } = &self.config;
        let (path, body) = match protocol {
            Protocol::Ollama => (ollama::EMBED, ollama::request(&model.name, texts, *keep_alive)),
            Protocol::OpenAi => (openai::EMBED, openai::request(&model.name, texts)),
        };
        let bounds = Bounds { within, bytes: BYTES_AROUND + texts.len() * model.dims * BYTES_A_NUMBER };
        let answer = self.http.post(path, &body, bounds).await.inspect_err(|error| {
            if error.kind == HttpErrorKind::BadAnswer {
                count(&self.tally.rejected_answers);
            }
        })?;
        if !answer.status.is_success() {
            return Err(Fault::of_answer(&answer, &model.name));
        }
        let embeddings = match protocol {
            Protocol::Ollama => ollama::read(&answer.body),
            Protocol::OpenAi => openai::read(&answer.body),
        };
        embeddings
            .and_then(|embeddings| embeddings.checked(texts.len(), model.dims))
            .inspect_err(|_| count(&self.tally.rejected_answers))
    }

    /// Draws what follows from a fault for whoever comes next.
    pub(crate) fn note(&self, fault: &Fault) {
        self.tally.fault(fault);
        match fault.remedy() {
            // The server knows nothing against the others' texts.
            Remedy::LeaveOutText => return,
            Remedy::AskAgain => self.tell(self.breaker.failed(Instant::now(), &fault.told), fault),
            Remedy::Repair => self.tell(self.breaker.open(Instant::now(), &fault.told), fault),
        }
        // It may have been started anew, with the model not loaded, or another one: it is prepared again.
        let mut state = self.state();
        (state.answered, state.seen) = (None, None);
    }

    /// Leaves the server alone for a while.
    pub(crate) fn give_up(&self, fault: &Fault) {
        self.tell(self.breaker.open(Instant::now(), &fault.told), fault);
    }

    fn tell(&self, opened: bool, fault: &Fault) {
        if opened {
            let (server, model) = (&self.config.server, &self.config.model.name);
            tracing::warn!(%server, model, reason = %fault, "the embedding server is left alone for a while");
        }
    }

    /// Whether one text alone is to blame for a fault, and not the model for all texts: a first one is believed to be,
    /// soon after an answer; a second one only when another text is embedded at once.
    pub(crate) async fn is_to_blame(self: &Arc<Self>) -> Result<(), String> {
        let trusted = {
            let mut state = self.state();
            let fresh = state.answered.is_some_and(|at| at.elapsed() < self.config.patience.trust);
            fresh && !std::mem::replace(&mut state.blamed, true)
        };
        if trusted {
            return Ok(());
        }
        let _slot = self.turn().await?;
        match self.probe(self.config.patience.for_text(PROBE.len())).await {
            Ok(()) => Ok(()),
            Err(fault) => Err(fault.told),
        }
    }

    /// Embeds words that any model embeds.
    pub(crate) async fn probe(&self, within: Duration) -> Result<(), Fault> {
        let fault = match self.exchange(&[PROBE], within).await {
            Ok(_) => return Ok(()),
            Err(fault) => fault,
        };
        if fault.remedy() != Remedy::LeaveOutText {
            return Err(fault);
        }
        let told = format!("the server's {} embeds not even {PROBE:?}: {}", self.config.model.name, fault.told);
        let fault = Fault::new(FaultKind::WrongModel, told);
        self.note(&fault);
        Err(fault)
    }

    /// A look at whether anybody is there.
    pub(crate) async fn look(&self) -> Result<(), Fault> {
        let path = match self.config.protocol {
            Protocol::Ollama => ollama::LOOK,
            Protocol::OpenAi => openai::LOOK,
        };
        let bounds = Bounds { within: self.config.patience.look, bytes: BYTES_AROUND };
        let outcome = match self.http.get(path, bounds).await {
            Ok(answer) if answer.status.is_server_error() => Err(Fault::of_answer(&answer, &self.config.model.name)),
            other => other.map_err(Fault::from),
        };
        match outcome {
            Ok(_) => {
                self.state().seen = Some(Instant::now());
                Ok(())
            }
            Err(fault) => {
                self.note(&fault);
                Err(fault)
            }
        }
    }

    /// Whether the model answered, and is kept loaded since.
    pub(crate) fn is_ready(&self) -> bool {
        self.state().is_ready(self.config.keep_alive)
    }

    /// Whether the server showed itself lately.
    pub(crate) fn is_seen(&self) -> bool {
        self.state().seen.is_some_and(|at| at.elapsed() < self.config.patience.trust)
    }

    /// Tokens that the model reads of a text: what we know or what the server says, whichever is less.
    pub(crate) fn context(&self) -> Option<usize> {
        let told = self.state().server.as_ref().and_then(|server| server.context);
        self.config.model.context.into_iter().chain(told).min()
    }

    /// Texts a request now.
    pub(crate) fn texts(&self) -> usize {
        self.texts.load(Relaxed)
    }

    /// The server is slow: less is asked at once.
    pub(crate) fn shrink(&self) {
        let _ = self.texts.fetch_update(Relaxed, Relaxed, |texts| Some((texts / 2).max(1)));
    }

    /// It went well: more is asked at once, up to the limit.
    pub(crate) fn grow(&self) {
        let most = self.config.limits.texts;
        let _ = self.texts.fetch_update(Relaxed, Relaxed, |texts| Some((texts + 1).min(most)));
    }

    pub(crate) fn counters(&self) -> RemoteCounters {
        RemoteCounters {
            in_flight: self.config.limits.in_flight - self.slots.available_permits(),
            breaker: self.breaker_state(),
            breaker_opened: self.breaker.opened(),
            ..self.tally.read()
        }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    pub(crate) fn is_ready(&self, keep_alive: Option<Duration>) -> bool {
        self.answered.is_some_and(|at| keep_alive.is_none_or(|kept| at.elapsed() < kept))
    }
}

/// Words in which no model can find fault.
const PROBE: &str = "a song about the sea";
