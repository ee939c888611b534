//! How a server is asked, and how patiently.

use std::time::Duration;

use soniquebay_http::ApiKey;

use super::address::ServerUrl;
use super::model::RemoteModel;

/// What a server speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// Ollama's own: `/api/embed` and what lies beside it.
    Ollama,
    /// `/v1/embeddings`, as OpenAI made it common: llama-server, text-embeddings-inference, vLLM, Ollama too.
    OpenAi,
}

/// A model that is unloaded sooner is loaded for nearly every request.
const SHORTEST_KEPT: Duration = Duration::from_secs(60);

/// One model on one server.
#[derive(Clone, Debug)]
pub struct RemoteConfig {
    /// What the server speaks.
    pub protocol: Protocol,
    /// Where it is.
    pub server: ServerUrl,
    /// Which model it is asked for.
    pub model: RemoteModel,
    /// Sent as `Authorization: Bearer`, where there is one.
    pub api_key: Option<ApiKey>,
    /// How long Ollama is to keep the model loaded after a request, a minute at least; `None` for ever.
    pub keep_alive: Option<Duration>,
    /// Whether a model that Ollama does not have is fetched by it.
    pub pull: bool,
    /// How much is asked at once.
    pub limits: RemoteLimits,
    /// How long things may take.
    pub patience: Patience,
}

impl RemoteConfig {
    /// The usual settings.
    pub fn new(protocol: Protocol, server: ServerUrl, model: RemoteModel) -> Self {
        Self {
            protocol,
            server,
            model,
            api_key: None,
            keep_alive: Some(Duration::from_secs(30 * 60)),
            pull: false,
            limits: RemoteLimits::default(),
            patience: Patience::default(),
        }
    }

    pub(super) fn check(&self) -> Result<(), RemoteConfigError> {
        if let Some(fault) = self.model.fault() {
            return Err(RemoteConfigError::Model(fault));
        }
        let limits = &self.limits;
        if [limits.texts, limits.characters, limits.in_flight].contains(&0) || self.patience.tries == 0 {
            return Err(RemoteConfigError::Nothing);
        }
        if self.keep_alive.is_some_and(|kept| kept < SHORTEST_KEPT) {
            return Err(RemoteConfigError::KeepAlive);
        }
        Ok(())
    }
}

/// How much is asked of a server at once. Ollama embeds one text after another whatever is asked: more only waits there.
#[derive(Clone, Copy, Debug)]
pub struct RemoteLimits {
    /// Texts a request.
    pub texts: usize,
    /// Bytes of text a request, and a text.
    pub characters: usize,
    /// Requests in flight.
    pub in_flight: usize,
    /// Callers that may wait for their turn.
    pub waiting: usize,
}

impl Default for RemoteLimits {
    fn default() -> Self {
        Self { texts: 16, characters: 16_000, in_flight: 2, waiting: 64 }
    }
}

/// How long things may take.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// Until a connection stands.
    pub connect: Duration,
    /// A request to a loaded model, whatever its length; also what needs no model.
    pub request: Duration,
    /// And for each byte of text: 1 s for 500.
    pub per_character: Duration,
    /// A request that may have to load the model first. Who leaves earlier aborts the loading.
    pub warm_up: Duration,
    /// Between two signs of life while the server fetches a model.
    pub pull_silence: Duration,
    /// A look at whether the server is there.
    pub look: Duration,
    /// How long a success vouches for the server, before it is looked for again.
    pub trust: Duration,
    /// Tries of a request that fails in a way that may pass.
    pub tries: u32,
    /// The first wait between two tries is up to so long; each further one up to twice as long.
    pub first_delay: Duration,
    /// No wait is longer.
    pub longest_delay: Duration,
    /// Tries and waits of one request in all. Keep it below the time limit of a job.
    pub retry_budget: Duration,
    /// How long a server rests that fails again and again; each time without success twice as long.
    pub first_rest: Duration,
    /// No rest is longer.
    pub longest_rest: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self {
            connect: seconds(2),
            request: seconds(10),
            per_character: Duration::from_millis(2),
            warm_up: seconds(300),
            pull_silence: seconds(60),
            look: seconds(3),
            trust: seconds(30),
            tries: 5,
            first_delay: Duration::from_millis(250),
            longest_delay: seconds(15),
            retry_budget: seconds(120),
            first_rest: seconds(5),
            longest_rest: seconds(60),
        }
    }
}

impl Patience {
    /// For a request with so many bytes of text to a loaded model.
    pub(super) fn for_text(&self, characters: usize) -> Duration {
        self.request + self.per_character.saturating_mul(u32::try_from(characters).unwrap_or(u32::MAX))
    }
}

/// Why these settings mean nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RemoteConfigError {
    /// Not a model.
    #[error("the remote model cannot be used: {0}")]
    Model(String),
    /// Limits that let nothing pass.
    #[error("texts, characters and requests in flight, and tries, are each at least 1")]
    Nothing,
    /// A model that is never loaded when it is needed.
    #[error("keep the model loaded for a minute at least: shorter, it is loaded for nearly every request")]
    KeepAlive,
}

#[cfg(test)]
mod tests {
    use super::{ApiKey, Protocol, RemoteConfig, RemoteConfigError, RemoteModel};

    #[test]
    fn keys_are_never_shown() {
        let mut config = RemoteConfig::new(Protocol::OpenAi, "host".parse().unwrap(), RemoteModel::new("own-model", 4));
        config.api_key = Some(ApiKey::new("secret-1").unwrap());
        assert!(!format!("{config:?} {:?}", config.api_key).contains("secret"));
    }

    #[test]
    fn settings_that_let_nothing_pass_are_refused() {
        let config = |model| RemoteConfig::new(Protocol::Ollama, "host".parse().unwrap(), model);
        assert!(config(RemoteModel::new("own-model", 4)).check().is_ok());
        for model in [RemoteModel::new("", 4), RemoteModel::new("m", 0), RemoteModel::new("m", 5000)] {
            assert!(config(model).check().is_err());
        }
        let mut none = config(RemoteModel::new("m", 4));
        none.limits.texts = 0;
        assert_eq!(none.check(), Err(RemoteConfigError::Nothing));
        let mut fleeting = config(RemoteModel::new("m", 4));
        fleeting.keep_alive = Some(std::time::Duration::ZERO);
        assert_eq!(fleeting.check(), Err(RemoteConfigError::KeepAlive));
        fleeting.keep_alive = None;
        assert_eq!(fleeting.check(), Ok(()));
    }
}
