//! The settings there are, read off the command line's arguments.

use std::collections::HashMap;
use std::ffi::OsStr;

use clap::{Arg, ArgAction, ArgMatches, Command};

use super::Origin;

/// An argument that can be set elsewhere too: one that names an environment variable.
pub(crate) struct Setting {
    /// Where it stands in the file; none for what concerns everything.
    pub(crate) section: Option<String>,
    pub(crate) key: String,
    pub(crate) env: String,
    pub(crate) arg: Arg,
    /// The commands that heed it; none where all do.
    pub(crate) commands: Vec<String>,
}

/// Each setting once, in the order of the help.
pub(crate) fn settings(root: &Command) -> Vec<Setting> {
    let mut settings = Vec::new();
    collect(root, None, &mut settings);
    settings
}

fn collect(command: &Command, path: Option<&str>, settings: &mut Vec<Setting>) {
    for arg in command.get_arguments() {
        let (Some(env), Some(long)) = (env(arg), arg.get_long()) else { continue };
        match settings.iter_mut().find(|known| known.env == env) {
            Some(known) => known.commands.extend(path.map(str::to_owned)),
            None => settings.push(Setting {
                section: arg.get_help_heading().map(|heading| heading.to_lowercase().replace(' ', "_")),
                key: long.replace('-', "_"),
                env,
                arg: arg.clone(),
                commands: path.map(str::to_owned).into_iter().collect(),
            }),
        }
    }
    for inner in command.get_subcommands() {
        let name = match path {
            Some(path) => format!("{path} {}", inner.get_name()),
            None => inner.get_name().to_owned(),
        };
        collect(inner, Some(&name), settings);
    }
}

fn env(arg: &Arg) -> Option<String> {
    arg.get_env().map(|env| env.to_string_lossy().into_owned())
}

/// The command with every argument changed so, at any depth.
pub(crate) fn each_argument(command: Command, change: &mut dyn FnMut(Arg) -> Arg) -> Command {
    command.mut_args(&mut *change).mut_subcommands(|inner| each_argument(inner, change))
}

/// The command with other defaults, by environment variable.
pub(crate) fn with_defaults(command: Command, defaults: &HashMap<String, (Vec<String>, Origin)>) -> Command {
    each_argument(command, &mut |arg| match env(&arg)
        .and_then(|env| defaults.get(&env))
        .filter(|(values, _)| !values.is_empty())
    {
        Some((values, _)) => arg.default_values(values.clone()),
        None => arg,
    })
}

/// Whether an argument takes no value: it is on or off.
pub(crate) fn is_switch(arg: &Arg) -> bool {
    matches!(arg.get_action(), ArgAction::SetTrue | ArgAction::SetFalse)
}

impl Setting {
    /// As it is named in messages and in tables.
    pub(crate) fn name(&self) -> String {
        match &self.section {
            Some(section) => format!("{section}.{}", self.key),
            None => self.key.clone(),
        }
    }

    pub(crate) fn id(&self) -> &str {
        self.arg.get_id().as_str()
    }

    pub(crate) fn flag(&self) -> String {
        format!("--{}", self.arg.get_long().unwrap_or_default())
    }

    pub(crate) fn help(&self) -> String {
        self.arg.get_help().map(ToString::to_string).unwrap_or_default()
    }

    pub(crate) fn defaults(&self) -> Vec<String> {
        if is_switch(&self.arg) {
            return vec!["false".to_owned()];
        }
        self.arg.get_default_values().iter().map(|value| value.to_string_lossy().into_owned()).collect()
    }

    /// What the environment says, if anything.
    pub(crate) fn in_environment(&self) -> Option<String> {
        let value = std::env::var_os(&self.env)?.to_string_lossy().into_owned();
        (!value.trim().is_empty()).then_some(value)
    }

    /// What the command line says.
    pub(crate) fn given(&self, matches: &ArgMatches) -> Vec<String> {
        if is_switch(&self.arg) {
            return vec![matches.get_flag(self.id()).to_string()];
        }
        let raw = matches.try_get_raw(self.id()).ok().flatten();
        raw.into_iter().flatten().map(|value: &OsStr| value.to_string_lossy().into_owned()).collect()
    }

    /// Whether the argument takes these values: what its parser says otherwise.
    ///
    /// # Errors
    /// What is wrong, and what is allowed.
    pub(crate) fn check(&self, values: &[String]) -> Result<(), String> {
        let arg = Arg::new("value").long("value");
        let arg = match is_switch(&self.arg) {
            true => arg.value_parser(clap::builder::BoolishValueParser::new()).action(ArgAction::Set),
            false => arg.value_parser(self.arg.get_value_parser().clone()).action(self.arg.get_action().clone()),
        };
        let arg = match self.arg.get_value_delimiter() {
            Some(delimiter) => arg.value_delimiter(delimiter),
            None => arg,
        };
        let line = values.iter().map(|value| format!("--value={value}"));
        let Err(error) = Command::new("check").no_binary_name(true).arg(arg).try_get_matches_from(line) else {
            return Ok(());
        };
        Err(reason(&error))
    }
}

/// The parser's own words, without the name of a flag that nobody typed.
fn reason(error: &clap::Error) -> String {
    use clap::error::{ContextKind, ContextValue, ErrorKind};
    if let Some(source) = std::error::Error::source(error) {
        return source.to_string();
    }
    match (error.kind(), error.get(ContextKind::ValidValue)) {
        (ErrorKind::InvalidValue, Some(ContextValue::Strings(allowed))) if !allowed.is_empty() => {
            format!("it is one of {}", allowed.join(", "))
        }
        (ErrorKind::ArgumentConflict, _) => "it is one value, not several".to_owned(),
        _ => "it is no value of this setting".to_owned(),
    }
}
