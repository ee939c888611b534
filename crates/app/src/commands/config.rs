//! `soniquebay config`: what the settings are, and where each comes from.

use std::io::Write;

use anyhow::Context;
use serde::Serialize;

use crate::cli::{Cli, ConfigCommand};
use crate::config::{Held, Origin, Place, Settings, masked, reference, template};
use crate::exit::End;
use crate::output;

pub(crate) fn run(cli: &Cli, command: &ConfigCommand, settings: &Settings) -> anyhow::Result<()> {
    match command {
        ConfigCommand::Show { json: true } => output::json(&Shown::new(settings)),
        ConfigCommand::Show { json: false } => show(&Shown::new(settings)),
        ConfigCommand::Path => path(cli),
        ConfigCommand::Init => init(cli),
        ConfigCommand::Check => match &settings.file {
            // What is wrong in it was said when it was read.
            Some(file) => output::line(&format!("{}: nothing is wrong", file.display())),
            None => output::line("there is no file of settings: `soniquebay config init` writes one"),
        },
        ConfigCommand::Docs => output::line(reference().trim_end()),
    }
}

#[derive(Serialize)]
struct Shown {
    file: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    not_read: Option<String>,
    profile: ShownProfile,
    settings: Vec<ShownSetting>,
}

#[derive(Serialize)]
struct ShownProfile {
    name: &'static str,
    chosen_by: String,
    cores: usize,
    memory_bytes: Option<u64>,
}

#[derive(Serialize)]
struct ShownSetting {
    key: String,
    environment: String,
    flag: String,
    value: Option<String>,
    from: String,
}

impl Shown {
    fn new(settings: &Settings) -> Self {
        let file = settings.file.as_ref().map(|path| path.display().to_string());
        let profile = ShownProfile {
            name: settings.profile.name(),
            chosen_by: match &settings.profile_from {
                Origin::Default => format!("what this process may use: {}", settings.machine),
                origin => from(origin, "SONIQUEBAY_PROFILE", settings),
            },
            cores: settings.machine.cores,
            memory_bytes: settings.machine.memory,
        };
        let shown = |held: &Held| ShownSetting {
            key: held.name.clone(),
            environment: held.env.clone(),
            flag: held.flag.clone(),
            value: (!held.values.is_empty()).then(|| masked(&held.env, &held.values.join(",")).into_owned()),
            from: from(&held.origin, &held.env, settings),
        };
        let not_read = settings.passed_over.as_ref().map(|path| path.display().to_string());
        Self { file, not_read, profile, settings: settings.held.iter().map(shown).collect() }
    }
}

/// Where a value comes from, in words.
fn from(origin: &Origin, env: &str, settings: &Settings) -> String {
    match origin {
        Origin::Flag => "command line".to_owned(),
        Origin::Environment => format!("environment, {env}"),
        Origin::File(line) => {
            let file = settings.file.as_deref().and_then(|path| path.file_name()).unwrap_or_default();
            format!("{}, line {line}", file.to_string_lossy())
        }
        Origin::Profile => format!("profile {}", settings.profile.name()),
        Origin::Default => "default".to_owned(),
    }
}

fn show(shown: &Shown) -> anyhow::Result<()> {
    output::line(&format!("file     {}", shown.file.as_deref().unwrap_or("none")))?;
    if let Some(path) = &shown.not_read {
        output::line(&format!("         {path} is not read, as another file was named"))?;
    }
    output::line(&format!("profile  {}, by {}\n", shown.profile.name, shown.profile.chosen_by))?;
    let row = |setting: &ShownSetting| {
        let value = setting.value.clone().unwrap_or_else(|| "-".to_owned());
        vec![setting.key.clone(), value, setting.from.clone()]
    };
    output::table(&["setting", "value", "from"], &[], shown.settings.iter().map(row))
}

fn path(cli: &Cli) -> anyhow::Result<()> {
    let path = Place::of(cli)?.path.or_else(|| Place::usual(cli));
    let path = path.context("no home folder is known: say where the data lies with --data DIR")?;
    output::line(&path.display().to_string())
}

fn init(cli: &Cli) -> anyhow::Result<()> {
    let path = cli.config.clone().or_else(|| Place::usual(cli));
    let path = path.context("no home folder is known: say where the data lies with --data DIR")?;
    let context = || format!("{} cannot be written", path.display());
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).with_context(context)?;
    }
    // It may come to hold keys: nobody else reads it.
    let mut options = std::fs::OpenOptions::new();
    std::os::unix::fs::OpenOptionsExt::mode(options.write(true).create_new(true), 0o600);
    match options.open(&path) {
        Ok(mut file) => file.write_all(template().as_bytes()).with_context(context)?,
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            return Err(End::Usage(format!("{} is there already, and is left as it is", path.display())).into());
        }
        Err(error) => return Err(error).with_context(context),
    }
    output::note("A file with every setting as a comment was written:");
    output::line(&path.display().to_string())
}
