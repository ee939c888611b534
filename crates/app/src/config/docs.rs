//! The settings as text: for docs/configuration.md, and as a file to begin with.

use clap::CommandFactory;

use super::{profile, schema};
use crate::cli::Cli;

const INTRODUCTION: &str = include_str!("introduction.md");

/// docs/configuration.md.
pub(crate) fn reference() -> String {
    let settings = schema::settings(&Cli::command());
    let mut text = INTRODUCTION.to_owned();
    text.push_str("\n## Profiles\n\n| environment | `pi` | `desktop` | `server` |\n|---|---|---|---|\n");
    for setting in &settings {
        if let Some([pi, desktop, server]) = profile::of_each(&setting.env) {
            text.push_str(&format!("| `{}` | {pi} | {desktop} | {server} |\n", setting.env));
        }
    }
    text.push_str(include_str!("profiles.md"));
    text.push_str("\n## All settings\n");
    for section in sections(&settings) {
        match section {
            Some(section) => text.push_str(&format!("\n### `[{section}]`\n\n")),
            None => text.push_str("\n### At the top of the file\n\n"),
        }
        text.push_str("| file | environment | flag | |\n|---|---|---|---|\n");
        for setting in settings.iter().filter(|setting| setting.section.as_deref() == section) {
            let flag = match setting.commands.as_slice() {
                [] => setting.flag(),
                commands => format!("{} `{}`", commands_in_short(commands), setting.flag()),
            };
            let flag = if setting.commands.is_empty() { format!("`{flag}`") } else { flag };
            text.push_str(&format!(
                "| `{}` | `{}` | {flag} | {} |\n",
                setting.key,
                setting.env,
                meaning(setting).replace('|', "\\|")
            ));
        }
    }
    text
}

/// What it does, its values and its default, in one line.
fn meaning(setting: &schema::Setting) -> String {
    let mut text = setting.help().replace('\n', " ");
    if !text.ends_with(['.', ']']) {
        text.push('.');
    }
    let allowed: Vec<String> = match schema::is_switch(&setting.arg) {
        true => vec!["`true`".into(), "`false`".into()],
        false => setting.arg.get_possible_values().iter().map(|value| format!("`{}`", value.get_name())).collect(),
    };
    if !allowed.is_empty() {
        text.push_str(&format!(" One of {}.", allowed.join(", ")));
    }
    let defaults = setting.defaults().join(", ");
    if !defaults.is_empty() {
        text.push_str(&format!(" Default: `{defaults}`."));
    }
    text
}

/// Commands that share a setting.
fn commands_in_short(commands: &[String]) -> String {
    commands.iter().map(|command| format!("`{command}`")).collect::<Vec<_>>().join(", ")
}

/// A file to begin with: every setting with its default, as a comment.
pub(crate) fn template() -> String {
    let settings = schema::settings(&Cli::command());
    let mut text = String::from(
        "# Settings of SoniqueBay. A flag goes before the environment, the environment before this file.\n\
         # `soniquebay config check` reads it, `soniquebay config show` says what holds.\n",
    );
    for section in sections(&settings) {
        if let Some(section) = section {
            text.push_str(&format!("\n[{section}]\n"));
        }
        for setting in settings.iter().filter(|setting| setting.section.as_deref() == section) {
            if setting.env == "SONIQUEBAY_CONFIG" {
                continue;
            }
            text.push('\n');
            for line in meaning(setting).split('\n') {
                text.push_str(&format!("# {line}\n"));
            }
            let default = setting.defaults().join(",");
            let is_bare = default.parse::<f64>().is_ok() || default.parse::<bool>().is_ok();
            let default = if is_bare { default } else { format!("{default:?}") };
            text.push_str(&format!("#{} = {default}\n", setting.key));
        }
    }
    text
}

/// The sections in the order of the help, what has none first: in TOML it must be.
fn sections(settings: &[schema::Setting]) -> Vec<Option<&str>> {
    let mut sections = vec![None];
    for setting in settings {
        let section = setting.section.as_deref();
        if !sections.contains(&section) {
            sections.push(section);
        }
    }
    sections
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use clap::CommandFactory;

    use super::{Cli, schema};

    #[test]
    fn each_setting_has_one_name_everywhere() {
        let command = Cli::command();
        let settings = schema::settings(&command);
        let names: HashSet<String> = settings.iter().map(schema::Setting::name).collect();
        assert_eq!(names.len(), settings.len());
        let mut all = Vec::new();
        let each = schema::each_argument(command, &mut |arg| {
            all.push(arg.clone());
            arg
        });
        drop(each);
        for arg in all {
            let Some(env) = arg.get_env() else { continue };
            let setting = settings.iter().find(|setting| env == setting.env.as_str()).unwrap();
            assert_eq!(Some(setting.arg.get_long().unwrap()), arg.get_long(), "{env:?}");
            let heading = arg.get_help_heading().map(|heading| heading.to_lowercase().replace(' ', "_"));
            assert_eq!(setting.section, heading, "{env:?} stands in one section");
            assert!(!setting.help().is_empty(), "{env:?} is explained");
        }
    }

    #[test]
    fn the_documented_settings_are_those_of_the_program() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/configuration.md");
        let documented = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            documented == super::reference(),
            "docs/configuration.md is not what the program says: run `cargo xtask docs`"
        );
    }
}
