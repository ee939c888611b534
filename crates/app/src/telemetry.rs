use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use crate::cli::{Cli, LogFormat};

/// Logs go to standard error; standard output is for data. `RUST_LOG` overrides the level.
pub(crate) fn start(cli: &Cli) {
    let level = match (cli.verbose, cli.is_long_running()) {
        (0, true) => "info",
        (0, false) => "warn",
        (1, _) => "soniquebay=debug,info",
        (_, _) => "soniquebay=trace,debug",
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match cli.log_format {
        LogFormat::Text => logs.with_target(false).with_ansi(std::io::stderr().is_terminal()).init(),
        LogFormat::Json => logs.json().init(),
    }
}
