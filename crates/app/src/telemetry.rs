use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use crate::cli::{Cli, LogFormat};

/// Logs go to standard error; standard output is for data. `RUST_LOG` overrides the level.
pub(crate) fn start(cli: &Cli) {
    let level = match (cli.verbose, cli.is_long_running()) {
        // lofty's warnings name no file; the scan's own report does.
        (0, true) => "info,lofty=error",
        (0, false) => "warn,lofty=error",
        (1, _) => "soniquebay=debug,info",
        (_, _) => "soniquebay=trace,debug",
    };
    // An empty variable says nothing.
    let asked = std::env::var(EnvFilter::DEFAULT_ENV).ok().filter(|asked| !asked.trim().is_empty());
    let filter = asked.and_then(|asked| EnvFilter::try_new(asked).ok()).unwrap_or_else(|| EnvFilter::new(level));
    // Telling of a failed write would go to the same standard error, and panic.
    let logs =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).log_internal_errors(false);
    match cli.log_format {
        LogFormat::Text => logs.with_target(false).with_ansi(std::io::stderr().is_terminal()).init(),
        LogFormat::Json => logs.json().init(),
    }
}
