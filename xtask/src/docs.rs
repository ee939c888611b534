//! Documents that the program writes itself.

use std::fs;

use anyhow::{Context, ensure};

use crate::repository::Repository;

const SETTINGS: &str = "docs/configuration.md";

/// Writes them. That they are what the program says is checked by a test of it, `the_documented_settings_are_those_of_the_program`.
pub(crate) fn write(repository: &Repository) -> anyhow::Result<()> {
    let mut cargo = repository.cargo();
    cargo.args(["run", "--release", "--quiet", "-p", "soniquebay", "--", "config", "docs"]);
    let answer = cargo.output().context("cargo cannot be started")?;
    ensure!(answer.status.success(), "`config docs` failed: {}", String::from_utf8_lossy(&answer.stderr).trim());
    fs::write(repository.root().join(SETTINGS), answer.stdout)
        .with_context(|| format!("{SETTINGS} cannot be written"))?;
    println!("{SETTINGS} is written");
    Ok(())
}
