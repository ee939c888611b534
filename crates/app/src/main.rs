//! `soniquebay`: every role of the product in one binary.

mod cli;
mod commands;
mod config;
mod data_folder;
mod exit;
mod host;
mod library;
mod metrics;
mod models;
mod output;
mod pace;
mod place;
mod progress_log;
mod shutdown;
mod telemetry;
mod vectorize;
mod work;
mod workshop;

use std::process::ExitCode;

fn main() -> ExitCode {
    let (cli, settings) = match config::load() {
        Ok(loaded) => loaded,
        Err(error) => return exit::report(Err(error), None),
    };
    let telemetry = telemetry::start(&cli);
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            output::note(&format!("error: no threads could be started: {error}"));
            return exit::FAILED.into();
        }
    };
    let data = cli.data.clone();
    let result = runtime.block_on(commands::run(cli, settings));
    // Reads of slow disks may still hang: they must not hold the exit back.
    runtime.shutdown_timeout(std::time::Duration::from_secs(2));
    telemetry.finish();
    exit::report(result, data.as_deref())
}
