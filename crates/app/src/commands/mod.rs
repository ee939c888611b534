//! One file a command.

mod demo;
mod eval;
mod import;
mod model;
mod scan;
mod search;
mod serve;
mod similar;

use crate::cli::{Cli, Command};
use crate::shutdown;

/// Runs what was asked for.
pub(crate) async fn run(cli: Cli) -> anyhow::Result<()> {
    let stop = shutdown::on_signal()?;
    match &cli.command {
        Command::Serve(args) => serve::run(&cli, args, &stop).await,
        Command::Scan(args) => scan::run(&cli, args, &stop).await,
        Command::Import(args) => import::run(&cli, args, &stop).await,
        Command::Similar(args) => similar::run(&cli, args).await,
        Command::Search(args) => search::run(&cli, args).await,
        Command::Eval(args) => eval::run(&cli, args, &stop).await,
        Command::Model(command) => model::run(&cli, command, &stop).await,
        Command::Demo(args) => demo::run(&cli, args, &stop).await,
    }
}
