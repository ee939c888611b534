//! What keeps the repository right. `cargo xtask check` is the one gate: the same here as in CI.

#![expect(clippy::print_stdout, reason = "its output is for whoever runs it")]

mod arm;
mod check;
mod docs;
mod mean;
mod release;
mod repository;
mod tidy;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::repository::Repository;

/// What keeps the repository right.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", max_term_width = 110)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run every check, in the order of their cost, and stop at the first that fails.
    Check {
        /// Folder of the model, all-MiniLM-L6-v2. `./check` fetches it and says where it is.
        #[arg(long, value_name = "DIR", env = "SONIQUEBAY_TEST_MODEL")]
        model: PathBuf,
    },
    /// Check what no compiler checks: crate edges, length of files, what the documents name, words that may not be there.
    Tidy,
    /// Write the documents that the program knows best: docs/configuration.md.
    Docs,
    /// Run the engine's tests on emulated Arm processors, as `check` does.
    Arm {
        /// Folder of the model, all-MiniLM-L6-v2.
        #[arg(long, value_name = "DIR", env = "SONIQUEBAY_TEST_MODEL")]
        model: PathBuf,
    },
    /// Build, check and pack what is given to users. `scripts/release.sh` fetches what this needs, and runs it.
    Release {
        /// For which processors; all where none is named.
        #[arg(value_name = "PROCESSOR")]
        processors: Vec<release::Processor>,
    },
    /// Compute the mean text vectors of the neutral tracks anew, one for each template.
    Mean {
        /// Compare with the files that are there instead of writing them.
        #[arg(long)]
        check: bool,
        /// Folder of the model, all-MiniLM-L6-v2.
        #[arg(long, value_name = "DIR", env = "SONIQUEBAY_TEST_MODEL")]
        model: PathBuf,
    },
}

fn main() -> ExitCode {
    match run(&Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: &Command) -> anyhow::Result<()> {
    let repository = Repository::find()?;
    match command {
        Command::Check { model } => check::run(&repository, model),
        Command::Arm { model } => {
            arm::run(&repository, model)?.map_or(Ok(()), |missing| Err(anyhow::Error::msg(missing)))
        }
        Command::Docs => docs::write(&repository),
        Command::Release { processors } => release::run(&repository, processors),
        Command::Tidy => tidy::run(&repository),
        Command::Mean { check: true, model } => mean::check(&repository, model),
        Command::Mean { check: false, model } => mean::write(&repository, model),
    }
}
