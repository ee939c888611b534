//! Settings: flags > environment > file > profile > defaults.
//!
//! What settings there are is said once, by the arguments of the command line that name an environment variable. The file and
//! the profile only give those arguments other defaults, so that every value is checked by the one parser, wherever it
//! comes from.

mod docs;
mod file;
mod machine;
mod profile;
mod schema;
mod secret;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use clap::error::{ContextKind, ContextValue};
use clap::parser::ValueSource;
use clap::{ArgMatches, Command, CommandFactory, FromArgMatches};

use crate::cli::{self, Cli};
use crate::data_folder::DataFolder;
use crate::exit::End;

use file::ConfigFile;

pub(crate) use docs::{reference, template};
pub(crate) use machine::Machine;
pub(crate) use profile::Profile;
pub(crate) use secret::masked;

/// Read where neither a flag nor the data folder has a file.
const FOR_ALL: &str = "/etc/soniquebay/config.toml";

/// The name of the file in a data folder.
const NAME: &str = "config.toml";

/// What holds, and where it comes from.
pub(crate) struct Settings {
    pub(crate) file: Option<PathBuf>,
    /// One in the data folder that is not read, as another one was named.
    pub(crate) passed_over: Option<PathBuf>,
    pub(crate) profile: Profile,
    /// Whether somebody asked for that profile.
    pub(crate) profile_from: Origin,
    pub(crate) machine: Machine,
    pub(crate) held: Vec<Held>,
}

/// One setting with its value.
pub(crate) struct Held {
    pub(crate) name: String,
    pub(crate) env: String,
    pub(crate) flag: String,
    /// Empty where nobody says anything.
    pub(crate) values: Vec<String>,
    pub(crate) origin: Origin,
}

/// Who says what a setting is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    Flag,
    Environment,
    /// The file, in this line.
    File(usize),
    Profile,
    Default,
}

/// Reads the command line with all that lies below it. Ends the process where it asks for help or means nothing.
///
/// # Errors
/// Where the file cannot be read, or says what means nothing.
pub(crate) fn load() -> anyhow::Result<(Cli, Settings)> {
    let schema = schema::settings(&Cli::command());
    let first = parse(prepared(Cli::command()), &schema);
    let cli = Cli::from_arg_matches(&first).unwrap_or_else(|error| error.exit());
    // What writes the file, or says where it is, must not stumble over it.
    let wants_file = !matches!(&cli.command, cli::Command::Config(command) if command.does_without_file());
    let place = Place::of(&cli)?;
    let file = match place.path.as_deref().filter(|_| wants_file) {
        Some(path) => Some(ConfigFile::read(path, place.is_in_data_folder, &schema)?),
        None => None,
    };

    let machine = Machine::look();
    let entries = file.as_ref().map(|file| file.entries.as_slice()).unwrap_or_default();
    let (profile, profile_from) = match (said(&first, "profile"), entries.iter().find(|e| e.env == profile::ENV)) {
        (Some(origin), _) => (cli.profile, origin),
        (None, Some(entry)) => (entry.values.first().and_then(|name| Profile::parse(name)), Origin::File(entry.line)),
        (None, None) => (None, Origin::Default),
    };
    let profile = profile.unwrap_or_else(|| Profile::fitting(&machine));

    let mut lower: HashMap<String, (Vec<String>, Origin)> = HashMap::new();
    for (env, value) in profile.defaults(&machine) {
        lower.insert(env.to_owned(), (vec![value], Origin::Profile));
    }
    for entry in entries {
        lower.insert(entry.env.clone(), (entry.values.clone(), Origin::File(entry.line)));
    }
    let matches = parse(prepared(schema::with_defaults(Cli::command(), &lower)), &schema);
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());

    let held = schema.iter().map(|setting| {
        let given = said(&matches, setting.id());
        let (values, origin) = match given {
            Some(origin) => (setting.given(&matches), origin),
            None => match (setting.in_environment(), lower.get(&setting.env)) {
                (Some(value), _) => (vec![value], Origin::Environment),
                (None, Some((values, origin))) => (values.clone(), origin.clone()),
                (None, None) => (setting.defaults(), Origin::Default),
            },
        };
        Held { name: setting.name(), env: setting.env.clone(), flag: setting.flag(), values, origin }
    });
    let held = held.collect();
    let settings = Settings {
        file: place.path.filter(|_| wants_file),
        passed_over: place.passed_over,
        profile,
        profile_from,
        machine,
        held,
    };
    Ok((cli, settings))
}

/// What holds for the whole command line: an empty variable says nothing, and a switch in the environment is on or off in
/// any of the usual words.
fn prepared(command: Command) -> Command {
    schema::each_argument(command, &mut |arg| {
        let Some(env) = arg.get_env() else { return arg };
        let is_empty = std::env::var_os(env).is_some_and(|value| value.to_string_lossy().trim().is_empty());
        let arg = if is_empty { arg.env(clap::builder::Resettable::Reset) } else { arg };
        match schema::is_switch(&arg) {
            true => arg.value_parser(clap::builder::BoolishValueParser::new()),
            false => arg,
        }
    })
}

fn parse(command: Command, schema: &[schema::Setting]) -> ArgMatches {
    command.try_get_matches().unwrap_or_else(|error| {
        let of = |kind| match error.get(kind) {
            Some(ContextValue::String(text)) => Some(text.as_str()),
            _ => None,
        };
        // Who looks for the value in what was typed does not find it.
        let from_environment =
            of(ContextKind::InvalidArg).zip(of(ContextKind::InvalidValue)).and_then(|(arg, value)| {
                let setting = schema.iter().find(|setting| arg.split(' ').next() == Some(&setting.flag()))?;
                let is_typed = std::env::args().any(|typed| typed == value || typed.ends_with(&format!("={value}")));
                (!is_typed && setting.in_environment()? == value).then_some(&setting.env)
            });
        match from_environment {
            Some(env) => {
                let _ = error.print();
                crate::output::note(&format!("\n{env} is set so in the environment."));
                std::process::exit(error.exit_code())
            }
            None => error.exit(),
        }
    })
}

/// Whether the command line or the environment says what an argument is.
fn said(matches: &ArgMatches, id: &str) -> Option<Origin> {
    // Arguments of other commands are not known here.
    let known = matches.try_contains_id(id).is_ok();
    match known.then(|| matches.value_source(id)).flatten() {
        Some(ValueSource::CommandLine) => Some(Origin::Flag),
        Some(ValueSource::EnvVariable) => Some(Origin::Environment),
        _ => None,
    }
}

/// Where the file is, if there is one.
pub(crate) struct Place {
    pub(crate) path: Option<PathBuf>,
    pub(crate) is_in_data_folder: bool,
    passed_over: Option<PathBuf>,
}

impl Place {
    /// The file that was named, or else that of the data folder, or else that of the machine. One of them alone is read.
    ///
    /// # Errors
    /// Where the file that was named is not there.
    pub(crate) fn of(cli: &Cli) -> anyhow::Result<Self> {
        let in_folder = Self::usual(cli).filter(|path| path.is_file());
        if let Some(named) = &cli.config {
            let is_new = matches!(&cli.command, cli::Command::Config(command) if command.does_without_file());
            if !named.is_file() && !is_new {
                return Err(End::Usage(format!(
                    "the configuration file {} is not there: `soniquebay config init --config {}` writes one, or unset \
                     SONIQUEBAY_CONFIG",
                    named.display(),
                    named.display()
                ))
                .into());
            }
            let passed_over = in_folder.filter(|path| !is_same(path, named));
            return Ok(Self { path: Some(named.clone()), is_in_data_folder: false, passed_over });
        }
        let is_in_data_folder = in_folder.is_some();
        let path = in_folder.or_else(|| Some(PathBuf::from(FOR_ALL)).filter(|path| path.is_file()));
        Ok(Self { path, is_in_data_folder, passed_over: None })
    }

    /// Where a new one goes.
    pub(crate) fn usual(cli: &Cli) -> Option<PathBuf> {
        cli.data.clone().or_else(|| DataFolder::usual().ok()).map(|folder| folder.join(NAME))
    }
}

fn is_same(one: &Path, other: &Path) -> bool {
    one.canonicalize().ok().zip(other.canonicalize().ok()).is_some_and(|(one, other)| one == other)
}
