//! `soniquebay db`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

#[derive(Debug, Subcommand)]
pub(crate) enum DbCommand {
    /// Copy the library into one file, while it is served and written; the copy is checked.
    Backup(BackupArgs),
    /// Put the library of a backup in the place of the one that is there, which is kept beside it.
    Restore(RestoreArgs),
    /// Move the library into another database: tracks, vectors and jobs, compared to the last bit.
    Move(MoveArgs),
    /// Look the library over: damage, vectors, indexes, full text, hashes, jobs.
    Check(CheckArgs),
    /// Give room back that deleted tracks and vectors left, and build anew what has grown slow.
    Vacuum,
    /// Bring the database to the format of this version. Every other command does so too.
    Migrate,
}

#[derive(Debug, Args)]
pub(crate) struct BackupArgs {
    /// The file to write.
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,

    /// Replace the file if it is there, once the new one is checked.
    #[arg(long)]
    pub(crate) force: bool,
}

#[derive(Debug, Args)]
pub(crate) struct RestoreArgs {
    /// A file that `backup` wrote, or the soniquebay.db of another data folder.
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,

    /// Although a library with tracks is there. It is kept: moved aside, or, from PostgreSQL, backed up into the data folder.
    #[arg(long)]
    pub(crate) force: bool,
}

#[derive(Debug, Args)]
pub(crate) struct MoveArgs {
    /// Where to: sqlite:///path or postgres://user:password@host/name, or - to read it from standard input, as others see a
    /// command line. An empty database, or one into which the same move was begun.
    #[arg(long, value_name = "URL|-")]
    pub(crate) to: String,

    /// Throw away what an unfinished move left there, and begin anew.
    #[arg(long)]
    pub(crate) anew: bool,
}

#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// Put right what can be made anew from the tracks.
    #[arg(long)]
    pub(crate) repair: bool,

    /// Write what was found as JSON on standard output.
    #[arg(long)]
    pub(crate) json: bool,
}
