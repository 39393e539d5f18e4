//! Logs: to stderr, as text or as JSON lines.
//!
//! Invariant: no identity and no secret in a log line. Our own lines hold none; what libraries say below a warning
//! (statements with their parameters, headers) is not let through, whatever level is asked for.

use quietus_core::config::LogFormat;
use tracing::level_filters::LevelFilter;
use tracing::{Metadata, Subscriber};
use tracing_subscriber::filter::FilterFn;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::{EnvFilter, Layer};

/// `level`: `info`, or directives such as `info,quietus=debug`; `RUST_LOG` wins over it.
pub fn layer<S>(level: &str, format: LogFormat) -> Result<Box<dyn Layer<S> + Send + Sync>, String>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let (name, directives) = match std::env::var("RUST_LOG") {
        Ok(given) if !given.trim().is_empty() => ("RUST_LOG", given),
        _ => ("telemetry.level", level.to_owned()),
    };
    let filter = EnvFilter::builder().parse(&directives).map_err(|cause| {
        format!("{name}: {cause}; write a level such as info, or directives such as info,quietus=debug")
    })?;
    let out = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(false);
    let out = match format {
        LogFormat::Text => out.boxed(),
        LogFormat::Json => out.json().flatten_event(true).boxed(),
    };
    Ok(out.with_filter(FilterFn::new(may_speak)).with_filter(filter).boxed())
}

fn may_speak(metadata: &Metadata<'_>) -> bool {
    is_ours(metadata.target()) || *metadata.level() <= LevelFilter::WARN
}

fn is_ours(target: &str) -> bool {
    target == "quietus" || target.starts_with("quietus::") || target.starts_with("quietus_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_targets_speak_below_a_warning() {
        assert!(is_ours("quietus") && is_ours("quietus::node::run") && is_ours("quietus_postgres::pool"));
        assert!(!is_ours("tokio_postgres::query") && !is_ours("quietusish"));
    }
}
