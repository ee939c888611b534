//! `soniquebay config`.

use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Show every setting with its value and where that comes from. Passwords and keys are not shown.
    Show {
        /// Write them as JSON on standard output.
        #[arg(long)]
        json: bool,
    },
    /// Print where the file of settings is, or would be.
    Path,
    /// Write a file with every setting as a comment, to begin with.
    Init,
    /// Read the file of settings and say all that is wrong in it.
    Check,
    /// Print docs/configuration.md.
    #[command(hide = true)]
    Docs,
}

impl ConfigCommand {
    /// Whether it does its work although the file is wrong, or not there.
    pub(crate) fn does_without_file(&self) -> bool {
        matches!(self, Self::Path | Self::Init | Self::Docs)
    }
}
