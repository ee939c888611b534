//! Spans to an OpenTelemetry collector: OTLP over HTTP, as protobuf.
//!
//! They wait in a bounded queue and are sent in batches by a thread of their own, so that nobody waits for a collector; what
//! does not fit is dropped. The standard variables hold: `OTEL_SERVICE_NAME`, `OTEL_RESOURCE_ATTRIBUTES`,
//! `OTEL_EXPORTER_OTLP_HEADERS`, `OTEL_TRACES_SAMPLER`, `OTEL_BSP_…`.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use opentelemetry::trace::TracerProvider;
use opentelemetry::{Key, KeyValue, global};
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::{Layer, Registry};

use super::Boxed;
use crate::config::masked;

/// One batch, from connecting to the last byte of the answer.
const SENDING: Duration = Duration::from_secs(5);

/// What the end of the process waits for.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// A collector's answer says next to nothing.
const ANSWER_BYTES: u64 = 64 * 1024;

const NAME: &str = "soniquebay";

/// What sends the spans.
pub(super) struct Traces(SdkTracerProvider);

/// Spans of this program alone, down to the level of debugging: those of what sends them would make ever more.
///
/// # Errors
/// Where the address, or a variable of the environment, means nothing.
pub(super) fn start(endpoint: &str) -> anyhow::Result<(Boxed<Registry>, Traces)> {
    let endpoint = format!("{}/v1/traces", endpoint.trim_end_matches('/'));
    let collector = Collector::new(&endpoint);
    let exporter = SpanExporter::builder().with_http().with_http_client(collector).with_endpoint(endpoint).build()?;
    let provider = SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource()).build();
    // Who asks us may be part of a trace already.
    global::set_text_map_propagator(TraceContextPropagator::new());
    let spans = tracing_opentelemetry::layer().with_tracer(provider.tracer(NAME)).with_location(false);
    let ours = Targets::new().with_target(NAME, LevelFilter::DEBUG);
    Ok((spans.with_filter(ours).boxed(), Traces(provider)))
}

impl Traces {
    pub(super) fn finish(self) {
        if let Err(error) = self.0.shutdown_with_timeout(LAST_WORDS) {
            tracing::debug!(%error, "the last spans were not sent");
        }
    }
}

/// Who we are: as the environment says it, or by our own name.
fn resource() -> Resource {
    let said = Resource::builder().build();
    let is_named =
        said.get(&Key::new("service.name")).is_some_and(|name| !name.as_str().starts_with("unknown_service"));
    let ours = Resource::builder().with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")));
    if is_named { ours.build() } else { ours.with_service_name(NAME).build() }
}

/// Where spans are sent. That they do not arrive is told once, and that they do again.
#[derive(Debug)]
struct Collector {
    agent: ureq::Agent,
    shown: String,
    is_away: AtomicBool,
}

impl Collector {
    fn new(endpoint: &str) -> Self {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .timeout_global(Some(SENDING))
            .user_agent(NAME)
            .build();
        let shown = masked("", endpoint).into_owned();
        Self { agent: config.new_agent(), shown, is_away: AtomicBool::new(false) }
    }

    fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, ureq::Error> {
        let (head, body) = request.into_parts();
        let answer = self.agent.run(Request::from_parts(head, &body[..]))?;
        let (head, mut body) = answer.into_parts();
        let body = body.with_config().limit(ANSWER_BYTES).read_to_vec()?;
        Ok(Response::from_parts(head, body.into()))
    }

    fn tell(&self, fault: Option<&str>) {
        let was_away = self.is_away.swap(fault.is_some(), Ordering::Relaxed);
        match fault {
            Some(fault) if !was_away => {
                tracing::warn!("traces do not reach {}: {fault}. It is tried on, and told when they do.", self.shown);
            }
            None if was_away => tracing::info!("traces reach {} again", self.shown),
            _ => {}
        }
    }
}

#[async_trait]
impl HttpClient for Collector {
    /// Blocks, on the thread that does nothing else.
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let sent = self.send(request);
        match &sent {
            Ok(answer) if answer.status().is_success() => self.tell(None),
            Ok(answer) => self.tell(Some(&format!("it answers {}", answer.status()))),
            Err(error) => self.tell(Some(&error.to_string())),
        }
        Ok(sent?)
    }
}
