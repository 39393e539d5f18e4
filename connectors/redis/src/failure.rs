//! What the server or the way to it said, as the contract puts it.
//!
//! Invariant: only the error's code travels on. Redis repeats keys in its messages, and a key holds values.

use quietus_contract::Failure;
use redis::RedisError;

/// While nothing had been asked for yet.
pub(crate) fn connecting(error: &RedisError) -> Failure {
    match code(error) {
        Some("WRONGPASS" | "NOAUTH" | "NOPERM") => denied(),
        _ if error.kind() == redis::ErrorKind::AuthenticationFailed => denied(),
        _ => Failure::retry("unreachable", "the server could not be reached"),
    }
}

/// The first question: servers before Redis 6 do not know it.
pub(crate) fn hello(error: &RedisError) -> Failure {
    match code(error) {
        Some("ERR") => Failure::fatal("cannot_execute", "the server is older than Redis 6: upgrade it"),
        _ => reading(error),
    }
}

/// While reading: nothing was to happen, so nothing has.
pub(crate) fn reading(error: &RedisError) -> Failure {
    answered(error).unwrap_or_else(|| Failure::retry("unreachable", "the connection was lost"))
}

/// While changing: without an answer nobody knows.
pub(crate) fn changing(error: &RedisError) -> Failure {
    answered(error)
        .unwrap_or_else(|| Failure::unknown("unreachable", "the connection was lost before an answer came"))
}

/// What the server itself refused; None = it did not answer.
fn answered(error: &RedisError) -> Option<Failure> {
    code(error).map(of_code)
}

pub(crate) fn of_code(code: &str) -> Failure {
    match code {
        "NOAUTH" | "WRONGPASS" | "NOPERM" => denied(),
        "READONLY" => Failure::fatal("denied", "the server is a replica, which takes no writes"),
        "MOVED" | "ASK" | "CROSSSLOT" | "CLUSTERDOWN" => {
            Failure::fatal("cannot_execute", format!("the server belongs to a cluster ({code})"))
        }
        "WRONGTYPE" => Failure::fatal("conflict", "a key holds another type than copies_of says (WRONGTYPE)"),
        "LOADING" | "BUSY" | "MASTERDOWN" | "TRYAGAIN" | "OOM" | "MISCONF" | "NOREPLICAS" => {
            Failure::retry("conflict", format!("the server cannot take it at the moment ({code})"))
        }
        other => Failure::retry("internal", format!("the server answered {}", word(other))),
    }
}

fn denied() -> Failure {
    Failure::fatal(
        "denied",
        "the server does not let this user in, or not do what is needed: see README, Rights",
    )
}

/// A code is one word in capitals; anything else might be somebody's data.
fn word(code: &str) -> &str {
    if !code.is_empty() && code.chars().all(|c| c.is_ascii_uppercase()) { code } else { "an error" }
}

fn code(error: &RedisError) -> Option<&str> {
    match error.is_io_error() {
        true => None,
        false => error.code(),
    }
}
