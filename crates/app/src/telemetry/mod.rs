//! Logs, and spans where somebody collects them.

#[cfg(feature = "otlp")]
mod otlp;

use std::io::IsTerminal;

use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry};

use crate::cli::{Cli, LogFormat};

type Boxed<S> = Box<dyn Layer<S> + Send + Sync>;

/// What must be ended with the process.
pub(crate) struct Telemetry {
    #[cfg(feature = "otlp")]
    traces: Option<otlp::Traces>,
}

/// Logs go to standard error; standard output is for data. `RUST_LOG` overrides the level. What runs until it is told to stop
/// sends its spans to the collector that was named.
pub(crate) fn start(cli: &Cli) -> Telemetry {
    let collector = cli.otlp_endpoint.as_deref().filter(|_| cli.is_long_running());
    let (spans, telemetry, fault) = Telemetry::of(collector);
    tracing_subscriber::registry().with(spans).with(logs(cli)).init();
    if let Some(fault) = fault {
        tracing::warn!("no traces are sent to OTEL_EXPORTER_OTLP_ENDPOINT: {fault}");
    }
    telemetry
}

impl Telemetry {
    /// What takes the spans, and why nothing does although it was asked for.
    #[cfg(feature = "otlp")]
    fn of(collector: Option<&str>) -> (Option<Boxed<Registry>>, Self, Option<String>) {
        match collector.map(otlp::start) {
            Some(Ok((spans, traces))) => (Some(spans), Self { traces: Some(traces) }, None),
            Some(Err(error)) => (None, Self { traces: None }, Some(format!("{error:#}"))),
            None => (None, Self { traces: None }, None),
        }
    }

    #[cfg(not(feature = "otlp"))]
    fn of(collector: Option<&str>) -> (Option<Boxed<Registry>>, Self, Option<String>) {
        let fault = "this program was built without them (cargo build --features soniquebay/otlp)";
        (None, Self {}, collector.map(|_| fault.to_owned()))
    }

    /// Sends what has not been sent. Takes bounded time.
    pub(crate) fn finish(self) {
        #[cfg(feature = "otlp")]
        if let Some(traces) = self.traces {
            traces.finish();
        }
    }
}

fn logs<S>(cli: &Cli) -> Boxed<S>
where
    S: tracing::Subscriber + for<'a> tracing_subscriber::registry::LookupSpan<'a>,
{
    let level = match (cli.verbose, cli.is_long_running()) {
        // Their warnings name no file; what is told of a scan and of a job does.
        (0, true) => "info,lofty=error,symphonia=error",
        (0, false) => "warn,lofty=error,symphonia=error",
        (1, _) => "soniquebay=debug,info",
        (_, _) => "soniquebay=trace,debug",
    };
    // An empty variable says nothing.
    let asked = std::env::var(EnvFilter::DEFAULT_ENV).ok().filter(|asked| !asked.trim().is_empty());
    let filter = asked.and_then(|asked| EnvFilter::try_new(asked).ok()).unwrap_or_else(|| EnvFilter::new(level));
    // Telling of a failed write would go to the same standard error, and panic.
    let logs = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).log_internal_errors(false);
    match cli.log_format {
        LogFormat::Text => {
            logs.with_target(false).with_ansi(std::io::stderr().is_terminal()).with_filter(filter).boxed()
        }
        LogFormat::Json => logs.json().with_filter(filter).boxed(),
    }
}
