//! The policy language as a whole: files in, verdicts out.

mod accepted;
mod bounds;
mod given;
mod hostile;
mod minima;
mod refused;
mod requests;
mod shapes;
mod shipped;
mod verdicts;

use crate::document::{Diagnostic, Severity};
use crate::policy::{Policy, Taxonomy, check, parse};

/// Everything that `policy check` says of a text.
fn findings(text: &str) -> Vec<Diagnostic> {
    let (policy, mut found) = parse("p.yaml", text.as_bytes(), Taxonomy::bundled());
    found.extend(policy.iter().flat_map(|policy| check("p.yaml", policy, None)));
    found
}

fn errors(text: &str) -> Vec<String> {
    findings(text).iter().filter(|d| d.severity == Severity::Error).map(ToString::to_string).collect()
}

/// A policy without errors.
fn policy(text: &str) -> Policy {
    assert_eq!(errors(text), Vec::<String>::new(), "{text}");
    parse("p.yaml", text.as_bytes(), Taxonomy::bundled()).0.unwrap()
}
