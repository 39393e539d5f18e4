//! Trace context: taken from whoever asked, carried through the ledger, handed on to the connector call.

use std::collections::BTreeMap;

use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator};
use opentelemetry::trace::TraceContextExt;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

const HEADER: &str = "traceparent";

#[derive(Default)]
struct Carrier(BTreeMap<String, String>);

impl Extractor for Carrier {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(String::as_str).collect()
    }
}

impl Injector for Carrier {
    fn set(&mut self, key: &str, value: String) {
        self.0.insert(key.to_owned(), value);
    }
}

/// A span under the trace that `traceparent` names; a new trace without one.
pub fn child(what: &'static str, traceparent: Option<&str>) -> Span {
    let span =
        tracing::info_span!(target: "quietus", "step", otel.name = what, system = tracing::field::Empty);
    if let Some(parent) = traceparent {
        let carrier = Carrier(BTreeMap::from([(HEADER.to_owned(), parent.to_owned())]));
        let context = TraceContextPropagator::new().extract(&carrier);
        // A span that is filtered out has no context to set.
        let _ = span.set_parent(context);
    }
    span
}

/// The `traceparent` of the running span, if it is being traced.
pub fn current() -> Option<String> {
    let context = Span::current().context();
    if !context.span().span_context().is_valid() {
        return None;
    }
    let mut carrier = Carrier::default();
    TraceContextPropagator::new().inject_context(&context, &mut carrier);
    carrier.0.remove(HEADER)
}
