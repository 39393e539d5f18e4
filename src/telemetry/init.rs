//! Switches logs and traces on, and flushes them at the end.

use opentelemetry::trace::TracerProvider;
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use quietus_core::config::Telemetry;
use tracing_subscriber::filter::FilterFn;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry};

use super::log;

/// Keep it until the process ends.
#[derive(Debug)]
pub struct Guard {
    traces: SdkTracerProvider,
}

/// Installs what `telemetry:` asks for; `otlp` is its URL with references resolved. Without one spans are made all
/// the same, so that a caller's `traceparent` reaches the connectors.
pub fn init(telemetry: &Telemetry, otlp: Option<&str>) -> Result<Guard, String> {
    let service = Resource::builder().with_service_name("quietus").build();
    let mut provider = SdkTracerProvider::builder().with_resource(service);
    if let Some(url) = otlp {
        let exporter = SpanExporter::builder()
            .with_http()
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(endpoint(url))
            .build()
            .map_err(|cause| format!("telemetry.otlp: {cause}; write the collector's http://HOST:4318"))?;
        provider = provider.with_batch_exporter(exporter);
    }
    let traces = provider.build();
    let spans = tracing_opentelemetry::layer()
        .with_tracer(traces.tracer("quietus"))
        .with_location(false)
        .with_threads(false)
        .with_tracked_inactivity(false)
        .with_filter(FilterFn::new(|metadata| metadata.is_span() && metadata.target() == "quietus"));
    let logs = log::layer::<Registry>(&telemetry.level, telemetry.format)?;
    tracing_subscriber::registry()
        .with(logs)
        .with(spans)
        .try_init()
        .map_err(|cause| format!("telemetry cannot start twice in one process: {cause}"))?;
    Ok(Guard { traces })
}

/// A collector's base URL takes the path of the protocol; one with a path is taken as it is.
fn endpoint(url: &str) -> String {
    let has_path =
        url.split_once("://").and_then(|(_, rest)| rest.split_once('/')).is_some_and(|(_, p)| !p.is_empty());
    if has_path { url.to_owned() } else { format!("{}/v1/traces", url.trim_end_matches('/')) }
}

impl Guard {
    /// Sends what waits. Blocks until the collector has it, or its time is up.
    pub fn flush(self) {
        if let Err(cause) = self.traces.shutdown() {
            tracing::warn!(%cause, "the last traces were not sent");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_collector_is_named_by_its_base_or_by_its_path() {
        assert_eq!(endpoint("http://c:4318"), "http://c:4318/v1/traces");
        assert_eq!(endpoint("http://c:4318/"), "http://c:4318/v1/traces");
        assert_eq!(endpoint("https://c/otlp/v1/traces"), "https://c/otlp/v1/traces");
    }
}
