//! The port, over a server.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use async_trait::async_trait;
use soniquebay_domain::{EmbedError, Embedder, Purpose};
use tokio::time::timeout;

use super::batch::{MARKS, Text, first_request};
use super::breaker::BreakerState;
use super::client::Client;
use super::config::{RemoteConfig, RemoteConfigError, RemoteLimits};
use super::counters::{RemoteCounters, count};
use super::fault::{Fault, FaultKind, Remedy};
use super::matryoshka::matryoshka;
use super::retry::Backoff;
use super::{ServerModel, answer::Embeddings};

/// Embeds texts with a model on a server.
pub struct RemoteEmbedder {
    client: Arc<Client>,
    name: String,
}

impl RemoteEmbedder {
    /// An embedder with these settings. The server is asked when it is first needed.
    ///
    /// # Errors
    /// Settings that mean nothing.
    pub fn new(config: RemoteConfig) -> Result<Self, RemoteConfigError> {
        config.check()?;
        Ok(Self { name: config.model.space_name(), client: Arc::new(Client::new(config)) })
    }

    /// Its settings.
    pub fn config(&self) -> &RemoteConfig {
        &self.client.config
    }

    /// How it fares.
    pub fn counters(&self) -> RemoteCounters {
        self.client.counters()
    }

    /// What the server said of the model, once it was asked. Only Ollama says anything.
    pub fn server_model(&self) -> Option<ServerModel> {
        self.client.state().server.clone()
    }

    /// Checks the server and has it load the model, which may take minutes. Whoever asks meanwhile waits for the same; a
    /// caller that leaves does not end it.
    ///
    /// # Errors
    /// [`EmbedError::Unavailable`], with what to do about it.
    pub async fn prepare(&self) -> Result<(), EmbedError> {
        if let Some(reason) = self.client.resting() {
            return Err(EmbedError::Unavailable(reason));
        }
        self.client.ready().await.map_err(|fault| EmbedError::Unavailable(fault.told))
    }

    async fn vectors(&self, texts: &[Text]) -> Result<Vec<Vec<f32>>, EmbedError> {
        let client = &self.client;
        let patience = &client.config.patience;
        let mut backoff = Backoff::new(patience, Instant::now());
        let mut vectors = Vec::with_capacity(texts.len());
        while vectors.len() < texts.len() {
            let left = &texts[vectors.len()..];
            let limits = RemoteLimits { texts: client.texts(), ..client.config.limits };
            let batch = &left[..first_request(left, &limits)];
            let sent: Vec<&str> = batch.iter().map(|text| text.sent.as_str()).collect();
            let slot = client.turn().await.map_err(EmbedError::Unavailable)?;
            let within = patience.for_text(sent.iter().map(|text| text.len()).sum());
            let outcome = client.exchange(&sent, within).await;
            drop(slot);
            let fault = match outcome {
                Ok(embeddings) => {
                    self.tell_of_cuts(batch, &embeddings);
                    client.tally.texts.fetch_add(batch.len() as u64, Relaxed);
                    client.grow();
                    vectors.extend(embeddings.vectors);
                    backoff.reset(Instant::now());
                    continue;
                }
                Err(fault) => fault,
            };
            match fault.remedy() {
                Remedy::AskAgain => {
                    if matches!(fault.kind, FaultKind::Timeout | FaultKind::Busy) {
                        client.shrink();
                    }
                    let Some(delay) = backoff.next(Instant::now(), fault.retry_after) else {
                        return Err(given_up(fault, &backoff));
                    };
                    count(&client.tally.retries);
                    tokio::time::sleep(delay).await;
                }
                Remedy::LeaveOutText if texts.len() > 1 => return Err(EmbedError::Failed(fault.told)),
                Remedy::LeaveOutText => return Err(self.refused(fault).await),
                Remedy::Repair => return Err(EmbedError::Unavailable(fault.told)),
            }
        }
        Ok(vectors)
    }

    async fn refused(&self, fault: Fault) -> EmbedError {
        match self.client.is_to_blame().await {
            Ok(()) => {
                count(&self.client.tally.refused_texts);
                EmbedError::Refused(fault.told)
            }
            Err(reason) => EmbedError::Unavailable(reason),
        }
    }

    /// Says aloud what the model did not read.
    fn tell_of_cuts(&self, batch: &[Text], embeddings: &Embeddings) {
        let context = self.client.context().map_or(u64::MAX, |tokens| tokens as u64);
        let full = embeddings.tokens.is_some_and(|tokens| tokens + MARKS as u64 >= context);
        for text in batch.iter().filter(|text| text.cut || text.may_be_cut && full) {
            count(&self.client.tally.truncated_texts);
            let (bytes, begins) = (text.sent.len(), text.first_words());
            tracing::warn!(
                model = self.name,
                bytes,
                begins,
                "a text is longer than the model reads: its end does not count"
            );
        }
    }

    fn shortened(&self, vectors: Vec<Vec<f32>>) -> Result<Vec<Vec<f32>>, EmbedError> {
        let Some(dims) = self.config().model.shortened_to else { return Ok(vectors) };
        let short: Option<_> = vectors.iter().map(|vector| matryoshka(vector, dims)).collect();
        short.ok_or_else(|| EmbedError::Failed(format!("a vector has no direction in {dims} dimensions")))
    }
}

#[async_trait]
impl Embedder for RemoteEmbedder {
    fn model(&self) -> &str {
        &self.name
    }

    fn texts_at_once(&self) -> usize {
        self.client.config.limits.texts
    }

    fn dims(&self) -> usize {
        self.config().model.given_dims()
    }

    /// Cheap: mostly what is known already, else one short look. A server that is there and still loads its model is
    /// healthy: requests wait for it. One that is fetching its model is not, nor is one that rested until it has made a vector.
    async fn health(&self) -> Result<(), EmbedError> {
        let client = &self.client;
        if let Some(reason) = client.resting() {
            return Err(EmbedError::Unavailable(reason));
        }
        if let Some(percent) = client.state().pulled {
            return Err(EmbedError::Unavailable(format!("the server is fetching the model: {percent} % are there")));
        }
        if client.breaker_state() == BreakerState::HalfOpen {
            let looking = || EmbedError::Unavailable("the embedding server is being tried again".to_owned());
            let outcome = timeout(client.config.patience.look, client.ready()).await.map_err(|_| looking())?;
            return outcome.map_err(|fault| EmbedError::Unavailable(fault.told));
        }
        if client.is_preparing() || client.is_ready() && client.is_seen() {
            return Ok(());
        }
        // The model is not loaded for this: whoever has nothing to embed needs none.
        client.look().await.map_err(|fault| EmbedError::Unavailable(fault.told))
    }

    async fn embed(&self, texts: Vec<String>, purpose: Purpose) -> Result<Vec<Vec<f32>>, EmbedError> {
        if texts.is_empty() {
            return Ok(Vec::new());
        }
        let _place = Place::take(&self.client)?;
        if let Some(reason) = self.client.resting() {
            return Err(EmbedError::Unavailable(reason));
        }
        // What the server says of the model decides how texts are cut.
        self.client.ready().await.map_err(|fault| EmbedError::Unavailable(fault.told))?;
        let RemoteConfig { model, protocol, limits, .. } = self.config();
        let context = self.client.context();
        let texts: Vec<Text> = texts
            .iter()
            .map(|text| Text::new(text, model.prefix(purpose), *protocol, context, limits.characters))
            .collect();
        self.shortened(self.vectors(&texts).await?)
    }
}

impl Drop for RemoteEmbedder {
    fn drop(&mut self) {
        self.client.stop();
    }
}

/// What it means that trying again was of no use. Before each try the server was prepared, with a text that it embedded:
/// where all tries went wrong, it fails on these texts and not on others. That may yet be bad luck; so no text is refused
/// for it, and each costs attempts.
fn given_up(fault: Fault, backoff: &Backoff<'_>) -> EmbedError {
    match fault.kind {
        FaultKind::Busy => EmbedError::Unavailable(fault.told),
        _ if backoff.is_spent() => EmbedError::Failed(format!("{}, each time with these texts", fault.told)),
        _ => EmbedError::Unavailable(fault.told),
    }
}

/// A caller's place, given back when it leaves.
struct Place<'a>(&'a Client);

impl<'a> Place<'a> {
    fn take(client: &'a Client) -> Result<Self, EmbedError> {
        let limits = &client.config.limits;
        let most = limits.in_flight.saturating_add(limits.waiting);
        if client.tally.callers.fetch_add(1, Relaxed) >= most {
            client.tally.callers.fetch_sub(1, Relaxed);
            count(&client.tally.overloaded);
            return Err(EmbedError::Overloaded);
        }
        Ok(Self(client))
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.tally.callers.fetch_sub(1, Relaxed);
    }
}
