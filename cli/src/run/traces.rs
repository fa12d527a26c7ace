//! Traces leave by OTLP, as the standard variables of OpenTelemetry say: read ([`environment`]), sent ([`export`]) to the
//! collector ([`collector`]) on a thread of their own.

mod collector;
mod environment;
mod export;

use std::sync::mpsc;
use std::time::Duration;

use opentelemetry_otlp::{ExporterBuildError, RetryPolicy, SpanExporter, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SpanExporter as _;
use squall_proxy::{Traces, span_queue};
use tokio::sync::oneshot;

use self::collector::Collector;
use self::environment::Protocol;
use self::export::Export;
use crate::exit::{Exit, Failure};

/// A collector that works takes what is left within milliseconds; the end of Squall waits no longer for one that does not.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(2);

/// The thread that exports.
#[derive(Debug)]
pub(super) struct Exporting {
    stop: oneshot::Sender<()>,
    /// Fails once the thread has ended.
    ended: mpsc::Receiver<()>,
}

/// What the proxy needs to trace, and what exports it; `None` when the environment names no collector.
///
/// # Errors
/// When a variable is not valid, or no thread can be started.
pub(super) fn start() -> Result<Option<(Traces, Exporting)>, Failure> {
    let variable = |name: &str| std::env::var(name).ok().map(|text| text.trim().to_owned()).filter(|t| !t.is_empty());
    let Some(wanted) = environment::read(variable)? else { return Ok(None) };
    for warning in &wanted.warnings {
        tracing::warn!(warning, "a variable of OpenTelemetry is not taken as it is");
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let collector = Collector::new(&wanted)?;
    let errors = collector.errors();
    let mut exporter = {
        let _inside = runtime.enter();
        build(wanted.protocol, collector).map_err(|error| Failure::caused_by(Exit::Usage, error).of("traces"))?
    };
    exporter.set_resource(&resource());
    let (queue, spans) = span_queue(wanted.queue_max, wanted.batch_max);
    let (stop, stopped) = oneshot::channel();
    let (alive, ended) = mpsc::channel();
    let export = Export::new(exporter, spans, wanted.delay, errors);
    std::thread::Builder::new().name("traces".to_owned()).spawn(move || {
        let _alive: mpsc::Sender<()> = alive;
        runtime.block_on(export.run(stopped));
        // A look-up of the collector's name may hang.
        runtime.shutdown_background();
    })?;
    tracing::info!(collector = wanted.collector, "exchanges are traced");
    let traces = Traces { sampler: wanted.sampler, propagation: wanted.propagation, queue };
    Ok(Some((traces, Exporting { stop, ended })))
}

impl Exporting {
    /// Sends what is left, for at most two seconds.
    pub(super) fn finish(self) {
        let _ = self.stop.send(());
        if self.ended.recv_timeout(FLUSH_TIMEOUT) == Err(mpsc::RecvTimeoutError::Timeout) {
            tracing::warn!("the collector of traces takes too long; the last spans are lost");
        }
    }
}

/// Endpoint, headers and time limit come from the environment.
fn build(protocol: Protocol, collector: Collector) -> Result<SpanExporter, ExporterBuildError> {
    match protocol {
        Protocol::Http => {
            let builder = SpanExporter::builder().with_http().with_http_client(collector);
            builder.with_retry_policy(RetryPolicy::recommended()).build()
        }
        #[cfg(feature = "otlp-grpc")]
        Protocol::Grpc => {
            use opentelemetry_otlp::WithTonicConfig as _;
            let tls = opentelemetry_otlp::tonic_types::transport::ClientTlsConfig::new().with_enabled_roots();
            let builder = SpanExporter::builder().with_tonic().with_tls_config(tls);
            builder.with_retry_policy(RetryPolicy::recommended()).build()
        }
    }
}

/// Whose spans these are: as OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES say, else Squall's.
fn resource() -> Resource {
    let said = Resource::builder().build();
    let name = said.get(&opentelemetry::Key::from_static_str("service.name"));
    match name {
        Some(name) if !name.as_str().starts_with("unknown_service") => said,
        _ => Resource::builder().with_service_name("squall").build(),
    }
}
