//! What vectors are made by, as flags and environment say it.

use clap::{Args, ValueEnum};
use soniquebay_domain::Space;
use soniquebay_embed::Template;

/// The model that needs no server.
const DEFAULT_MODEL: &str = "all-MiniLM-L6-v2";

/// How vectors are made. Another choice is another space, filled beside the one before, which answers until it is full.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Embedding")]
pub(crate) struct EmbeddingArgs {
    /// The model that embeds: all-MiniLM-L6-v2 or all-MiniLM-L6-v2-int8 in this process, or one that Ollama or --embedding-url serves, such as
    /// nomic-embed-text.
    #[arg(long, global = true, value_name = "MODEL", default_value = DEFAULT_MODEL, env = "EMBEDDING_MODEL", hide_env_values = true)]
    pub(crate) model: String,

    /// Length of vectors: the model's own, or 12 more for tempo, key, mood and other numbers. [default: 396 for
    /// all-MiniLM-L6-v2, 768 for nomic-embed-text]
    #[arg(long, global = true, value_name = "DIMS", env = "VECTOR_DIMENSION", hide_env_values = true)]
    pub(crate) dimension: Option<usize>,

    /// How a track becomes texts.
    #[arg(
        long,
        global = true,
        value_name = "NAME",
        default_value = "parts",
        env = "TEXT_TEMPLATE",
        hide_env_values = true
    )]
    pub(crate) template: TemplateName,

    /// A second model, whose space answers while the first one's server is away.
    #[arg(long, global = true, value_name = "MODEL", env = "EMBEDDING_FALLBACK", hide_env_values = true)]
    pub(crate) fallback: Option<String>,

    /// Answer from this space alone, such as external/396. [default: the model's, or while that is filled, the fullest]
    #[arg(long, global = true, value_name = "SPACE", env = "SERVING_SPACE", hide_env_values = true, value_parser = Space::parse)]
    pub(crate) serving_space: Option<Space>,

    /// Where Ollama is.
    #[arg(
        long,
        global = true,
        value_name = "HOST",
        default_value = "127.0.0.1:11434",
        env = "OLLAMA_HOST",
        hide_env_values = true
    )]
    pub(crate) ollama: String,

    /// Let Ollama fetch a model that it does not have.
    #[arg(long, global = true, env = "OLLAMA_PULL", hide_env_values = true)]
    pub(crate) ollama_pull: bool,

    /// A server with /v1/embeddings, asked instead of Ollama: llama-server, text-embeddings-inference and the like.
    #[arg(long, global = true, value_name = "URL", env = "EMBEDDING_URL", hide_env_values = true)]
    pub(crate) embedding_url: Option<String>,

    /// The key that server asks for. Better in the environment than in a command line, which others can see.
    #[arg(long, global = true, value_name = "KEY", env = "EMBEDDING_API_KEY", hide_env_values = true)]
    pub(crate) embedding_api_key: Option<String>,

    /// Texts that a server is asked for at once.
    #[arg(long, global = true, value_name = "N", default_value_t = 16, env = "EMBEDDING_BATCH", hide_env_values = true,
        value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub(crate) embedding_batch: u16,

    /// Megabytes of the library's file for texts that were embedded before; 0 for none.
    #[arg(
        long,
        global = true,
        value_name = "MB",
        default_value_t = 64,
        env = "EMBEDDING_CACHE_MB",
        hide_env_values = true
    )]
    pub(crate) embedding_cache_mb: usize,
}

/// The templates by name.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum TemplateName {
    Parts,
    Fields,
}

impl From<TemplateName> for Template {
    fn from(name: TemplateName) -> Self {
        match name {
            TemplateName::Parts => Self::Parts,
            TemplateName::Fields => Self::Fields,
        }
    }
}
