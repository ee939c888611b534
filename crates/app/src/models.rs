//! From settings to what makes vectors: which model, where it runs, what it remembers.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, bail, ensure};
use metrics::{counter, gauge};
use soniquebay_domain::{Database, Embedder, Space, Vectorizer};
use soniquebay_embed::local::{ALL_MINILM_L6_V2, Precision};
use soniquebay_embed::model_files::ModelFiles;
use soniquebay_embed::remote::{
    ApiKey, BreakerState, Protocol, RemoteConfig, RemoteEmbedder, RemoteLimits, RemoteModel, ServerUrl,
};
use soniquebay_embed::{CachingEmbedder, InstalledModel, MemoryCache, NUMBERS, SpaceSettings, TextAndNumbers};
use soniquebay_store::redis::RedisCache;

use crate::cli::EmbeddingArgs;
use crate::exit::End;

/// Memory for texts embedded lately, a model.
const MEMORY_BYTES: usize = 8 << 20;

/// Every model that vectors are made or were made with, each made ready once, however many spaces use it.
pub(crate) struct Models {
    files: ModelFiles,
    args: EmbeddingArgs,
    redis: Option<String>,
    store: Option<Arc<dyn Database>>,
    made: Mutex<HashMap<String, Arc<dyn Embedder>>>,
    servers: Mutex<Vec<Arc<RemoteEmbedder>>>,
}

/// A model, and the server that has it, where one does.
type Asked = (Arc<dyn Embedder>, Option<Arc<RemoteEmbedder>>);

impl Models {
    /// Models with these files in this process; what they embed is remembered in `store` and `redis`, where there are any.
    pub(crate) fn new(
        files: ModelFiles,
        args: &EmbeddingArgs,
        redis: Option<&str>,
        store: Option<Arc<dyn Database>>,
    ) -> Self {
        let redis = redis.map(str::to_owned);
        Self { files, args: args.clone(), redis, store, made: Mutex::default(), servers: Mutex::default() }
    }

    /// The servers that are asked.
    pub(crate) fn servers(&self) -> Vec<Arc<RemoteEmbedder>> {
        self.servers.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What fills the spaces that the settings ask for, the preferred one first.
    pub(crate) fn wanted(&self) -> anyhow::Result<Vec<Arc<dyn Vectorizer>>> {
        let args = &self.args;
        let mut wanted = vec![self.vectorizer(&args.model, args.dimension)?];
        if let Some(fallback) = args.fallback.as_deref().filter(|model| !model.is_empty()) {
            let second = self.vectorizer(fallback, None).context("EMBEDDING_FALLBACK")?;
            ensure!(second.space() != wanted[0].space(), End::Usage("EMBEDDING_FALLBACK is the same model".into()));
            wanted.push(second);
        }
        Ok(wanted)
    }

    /// What makes vectors of a space that was filled under other settings; `None` where we cannot.
    pub(crate) fn of(&self, space: &Space) -> Option<Arc<dyn Vectorizer>> {
        // Of a model that is not known here, vectors are its own.
        let text_dims = known_dims(space.model()).unwrap_or(space.dims());
        let settings = SpaceSettings::of(space, text_dims)?;
        let embedder = self.embedder(space.model(), text_dims).ok()?;
        let vectorizer = TextAndNumbers::new(embedder, settings).ok()?;
        (vectorizer.space() == space).then(|| Arc::new(vectorizer) as Arc<dyn Vectorizer>)
    }

    /// The preferred model without any memory of texts, and what is made of its vectors: for measuring.
    pub(crate) fn measured(&self) -> anyhow::Result<(Arc<dyn Embedder>, SpaceSettings)> {
        let (settings, text_dims) = self.choose(&self.args.model, self.args.dimension)?;
        Ok((self.bare(&self.args.model, text_dims)?, settings))
    }

    /// The preferred model without any memory of texts and, where a server has it, that.
    pub(crate) fn asked(&self) -> anyhow::Result<Asked> {
        let (_, text_dims) = self.choose(&self.args.model, self.args.dimension)?;
        let embedder = self.bare(&self.args.model, text_dims)?;
        Ok((embedder, self.servers().pop()))
    }

    fn vectorizer(&self, model: &str, dimension: Option<usize>) -> anyhow::Result<Arc<dyn Vectorizer>> {
        let (settings, text_dims) = self.choose(model, dimension)?;
        let embedder = self.embedder(model, text_dims)?;
        Ok(Arc::new(TextAndNumbers::new(embedder, settings).context("these settings name no space")?))
    }

    /// What is made of a model's vectors, and their length.
    fn choose(&self, model: &str, dimension: Option<usize>) -> anyhow::Result<(SpaceSettings, usize)> {
        let text_dims = match known_dims(model) {
            Some(dims) => dims,
            None => dimension.ok_or_else(|| {
                End::Usage(format!(
                    "VECTOR_DIMENSION: say how long the vectors of {model:?} are: it is no model that is known here"
                ))
            })?,
        };
        let with_numbers = match dimension {
            // Numbers beside words are what recommends best with the model that it was measured for.
            None => in_process(model).is_some(),
            Some(asked) if asked == text_dims => false,
            Some(asked) if asked == text_dims + NUMBERS => true,
            Some(asked) => bail!(End::Usage(format!(
                "VECTOR_DIMENSION is {asked}: {model} makes {text_dims}, or {} with the twelve numbers",
                text_dims + NUMBERS
            ))),
        };
        Ok((SpaceSettings { template: self.args.template.into(), text_only: !with_numbers }, text_dims))
    }

    fn embedder(&self, model: &str, dims: usize) -> anyhow::Result<Arc<dyn Embedder>> {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = made.get(model) {
            return Ok(Arc::clone(known));
        }
        let embedder = self.remembering(self.bare(model, dims)?)?;
        made.insert(model.to_owned(), Arc::clone(&embedder));
        Ok(embedder)
    }

    /// The model without any memory of texts.
    fn bare(&self, model: &str, dims: usize) -> anyhow::Result<Arc<dyn Embedder>> {
        if let Some(precision) = in_process(model) {
            return Ok(Arc::new(InstalledModel::with_precision(self.files.clone(), precision)));
        }
        let args = &self.args;
        let (protocol, server, named) = match args.embedding_url.as_deref().filter(|url| !url.is_empty()) {
            Some(url) => (Protocol::OpenAi, url, "EMBEDDING_URL"),
            None => (Protocol::Ollama, args.ollama.as_str(), "OLLAMA_HOST"),
        };
        let server: ServerUrl = server.parse().map_err(|error| End::Usage(format!("{named}: {error}")))?;
        let known = RemoteModel::known(model).unwrap_or_else(|| RemoteModel::new(model, dims));
        let key = args.embedding_api_key.as_deref().filter(|key| !key.is_empty());
        let api_key = key.map(ApiKey::new).transpose().context("EMBEDDING_API_KEY")?;
        let usual = RemoteConfig::new(protocol, server, known);
        let limits = RemoteLimits { texts: usize::from(args.embedding_batch), ..usual.limits };
        let config = RemoteConfig { api_key, pull: args.ollama_pull, limits, ..usual };
        let server = Arc::new(RemoteEmbedder::new(config).context("EMBEDDING_MODEL")?);
        self.servers.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&server));
        Ok(server)
    }

    fn remembering(&self, inner: Arc<dyn Embedder>) -> anyhow::Result<Arc<dyn Embedder>> {
        let dims = inner.dims();
        let mut caching = CachingEmbedder::new(inner).over("memory", Arc::new(MemoryCache::new(MEMORY_BYTES, dims)));
        // A row takes its vector and about a hundred bytes.
        let most = self.args.embedding_cache_mb.saturating_mul(1 << 20) / (dims * size_of::<f32>() + 100);
        if let Some(store) = self.store.as_ref().filter(|_| most > 0) {
            caching = caching.over_lasting("file", store.embedding_cache(most));
        }
        if let Some(url) = self.redis.as_deref() {
            let redis = RedisCache::new(url).map_err(|error| End::Usage(format!("REDIS_URL: {error}")))?;
            caching = caching.over_lasting("redis", Arc::new(redis));
        }
        Ok(Arc::new(caching))
    }
}

/// Writes down how a server fares, as it counts by itself.
pub(crate) fn tell_counters(server: &RemoteEmbedder) {
    let (model, counters) = (server.model().to_owned(), server.counters());
    let tell = |name: &'static str, count: u64| counter!(name, "model" => model.clone()).absolute(count);
    tell("soniquebay_embedding_server_requests_total", counters.requests);
    tell("soniquebay_embedding_server_texts_total", counters.texts);
    tell("soniquebay_embedding_server_retries_total", counters.retries);
    tell("soniquebay_embedding_server_truncated_texts_total", counters.truncated_texts);
    tell("soniquebay_embedding_server_refused_texts_total", counters.refused_texts);
    tell("soniquebay_embedding_server_rejected_answers_total", counters.rejected_answers);
    tell("soniquebay_embedding_server_breaker_opened_total", counters.breaker_opened);
    let open = if counters.breaker == BreakerState::Closed { 0.0 } else { 1.0 };
    gauge!("soniquebay_embedding_server_resting", "model" => model.clone()).set(open);
}

/// The precision in which the model of that name runs in this process; `None` for one that a server has.
pub(crate) fn in_process(model: &str) -> Option<Precision> {
    Precision::ALL.into_iter().find(|precision| ALL_MINILM_L6_V2.model_name(*precision) == model)
}

/// Length of a model's vectors, where its name tells.
fn known_dims(model: &str) -> Option<usize> {
    match in_process(model) {
        Some(_) => Some(ALL_MINILM_L6_V2.hidden),
        None => RemoteModel::known(model).map(|model| model.given_dims()),
    }
}
