//! One file a command.

mod analysis;
mod config;
mod db;
mod demo;
mod doctor;
mod eval;
mod health;
mod import;
mod jobs;
mod keys;
mod model;
mod roles;
mod scan;
mod search;
mod serve;
mod similar;
mod spaces;

use tokio_util::sync::CancellationToken;

use crate::cli::{Cli, Command};
use crate::config::Settings;
use crate::exit::End;
use crate::shutdown;

/// Runs what was asked for.
pub(crate) async fn run(cli: Cli, settings: Settings) -> anyhow::Result<()> {
    let stop = shutdown::on_signal()?;
    if cli.is_long_running() {
        let file = settings.file.as_ref().map_or_else(|| "none".to_owned(), |path| path.display().to_string());
        tracing::info!("profile {} ({}), file of settings: {file}", settings.profile.name(), settings.machine);
    }
    match &cli.command {
        Command::Serve(args) => serve::run(&cli, args, &stop).await,
        Command::Library(args) => roles::library::run(&cli, args, &stop).await,
        Command::Recommender(args) => roles::recommender::run(&cli, args, &stop).await,
        Command::Listener(args) => roles::listener::run(&cli, args, &stop).await,
        Command::Worker(args) => roles::worker::run(&cli, args, &stop).await,
        Command::Scan(args) => scan::run(&cli, args, &stop).await,
        Command::Import(args) => import::run(&cli, args, &stop).await,
        Command::Similar(args) => or_stop(similar::run(&cli, args), &stop).await,
        Command::Search(args) => or_stop(search::run(&cli, args), &stop).await,
        Command::Keys(command) => or_stop(keys::run(&cli, command), &stop).await,
        Command::Eval(args) => eval::run(&cli, args, &stop).await,
        Command::Jobs(command) => or_stop(jobs::run(&cli, command), &stop).await,
        Command::Analysis(command) => or_stop(analysis::run(&cli, command), &stop).await,
        Command::Spaces(command) => or_stop(spaces::run(&cli, command), &stop).await,
        Command::Db(command) => db::run(&cli, command, &stop).await,
        Command::Model(command) => model::run(&cli, command, &stop).await,
        Command::Doctor(args) => or_stop(doctor::run(&cli, args, &settings), &stop).await,
        Command::Health(args) => or_stop(health::run(args), &stop).await,
        Command::Config(command) => config::run(&cli, command, &settings),
        Command::Demo(args) => demo::run(&cli, args, &stop).await,
    }
}

/// The command's own end, or the interruption, whichever comes first. For work that may be dropped anywhere.
async fn or_stop<T>(work: impl Future<Output = anyhow::Result<T>>, stop: &CancellationToken) -> anyhow::Result<T> {
    tokio::select! {
        result = work => result,
        () = stop.cancelled() => Err(End::Interrupted.into()),
    }
}
