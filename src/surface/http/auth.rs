//! Who asks: bearer tokens, known by their SHA-256 alone.
//!
//! Without tokens the node serves its own machine only; then a call must name a loopback host and come from no
//! foreign web page, or any page a browser here shows could erase data. Roles: `admin` may everything; `platform`
//! runs policies, systems, sweeps; `producer` sends events and nothing else; `privacy` handles requests; `legal`
//! handles holds; `auditor` reads. Every role but `producer` may read.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use quietus_core::time::Millis;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::Shared;
use super::problem::Refused;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    Admin,
    Platform,
    Producer,
    Privacy,
    Legal,
    Auditor,
}

/// A token as the configuration knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    pub name: String,
    pub role: Role,
    /// Of the token's bytes.
    pub sha256: [u8; 32],
    pub expires: Option<Millis>,
}

/// Who asks; None as a name = nobody needs one here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    pub name: Option<String>,
    pub role: Role,
}

pub(super) async fn who(State(app): State<Shared>, mut request: Request, next: Next) -> Response {
    let caller = match caller(&app, request.headers()) {
        Ok(caller) => caller,
        Err(refused) => return refused.into_response(),
    };
    if !may(caller.role, request.method(), request.uri().path()) {
        let detail = "this token's role may not make this call: use a token of another role";
        return Refused::new(403, "not-allowed", "Not allowed", detail).into_response();
    }
    request.extensions_mut().insert(caller);
    next.run(request).await
}

fn caller(app: &Shared, headers: &HeaderMap) -> Result<Caller, Refused> {
    if app.tokens.is_empty() {
        return match is_local(headers) {
            true => Ok(Caller { name: None, role: Role::Admin }),
            false => Err(Refused::new(
                403,
                "not-local",
                "Not allowed",
                "without `tokens` in the configuration only this machine is served: call 127.0.0.1 or localhost, or configure tokens",
            )),
        };
    }
    let given = headers.get(header::AUTHORIZATION).and_then(|v| v.to_str().ok());
    let given =
        given.and_then(|v| v.split_once(' ')).filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    let unknown = |detail: &str| Refused::new(401, "unauthorized", "Who are you?", detail);
    let Some((_, token)) = given else {
        return Err(unknown("send `Authorization: Bearer TOKEN`"));
    };
    let hash = Sha256::digest(token.trim().as_bytes());
    // Every token is compared, so that the time taken does not say which one was near.
    let mut found = None;
    for known in &app.tokens {
        if verify_slices_are_equal(&known.sha256, &hash).is_ok() {
            found = Some(known);
        }
    }
    let known = found.ok_or_else(|| unknown("this token is not known"))?;
    if known.expires.is_some_and(|at| at <= app.node.clock.now()) {
        return Err(unknown("this token has expired"));
    }
    Ok(Caller { name: Some(known.name.clone()), role: known.role })
}

/// The call names this machine, and no web page of another one is behind it.
fn is_local(headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).and_then(|v: &axum::http::HeaderValue| v.to_str().ok());
    let host = text(header::HOST).is_none_or(is_loopback_host);
    let origin = text(header::ORIGIN)
        .is_none_or(|origin| origin.split_once("://").is_some_and(|(_, host)| is_loopback_host(host)));
    host && origin
}

fn is_loopback_host(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    };
    let ip = name.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback());
    ip || name.eq_ignore_ascii_case("localhost")
}

/// The table of roles.
fn may(role: Role, method: &Method, path: &str) -> bool {
    let area = path.strip_prefix("/v1/").and_then(|p| p.split('/').next()).unwrap_or(path);
    let reads = method == Method::GET
        || matches!(
            path,
            "/v1/items/lookup" | "/v1/subjects/lookup" | "/v1/explain" | "/v1/exposures" | "/v1/audit/verify"
        );
    match role {
        Role::Admin => true,
        Role::Producer => matches!(area, "events" | "sources") && method == Method::POST,
        Role::Auditor => reads,
        Role::Platform => {
            reads
                || matches!(
                    area,
                    "events"
                        | "sources"
                        | "dead-letters"
                        | "policies"
                        | "systems"
                        | "sweeps"
                        | "clock"
                        | "reapplies"
                )
        }
        Role::Privacy => reads || area == "requests",
        Role::Legal => reads || area == "holds",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_does_its_own_work_and_reads() {
        let post = |role, path: &str| may(role, &Method::POST, path);
        assert!(post(Role::Legal, "/v1/holds") && !post(Role::Legal, "/v1/requests"));
        assert!(post(Role::Privacy, "/v1/requests/rq_1/cancel") && !post(Role::Privacy, "/v1/holds"));
        assert!(post(Role::Platform, "/v1/sweeps") && !post(Role::Platform, "/v1/holds"));
        assert!(post(Role::Producer, "/v1/events") && !may(Role::Producer, &Method::GET, "/v1/items/it_1"));
        assert!(post(Role::Auditor, "/v1/items/lookup") && !post(Role::Auditor, "/v1/sweeps"));
        assert!(!may(Role::Auditor, &Method::PUT, "/v1/policies/p"));
        assert!(may(Role::Legal, &Method::GET, "/v1/holds/hd_1"));
    }

    #[test]
    fn only_loopback_names_are_local() {
        for host in ["127.0.0.1:7070", "localhost", "LOCALHOST:1", "[::1]:7070", "127.8.9.1"] {
            assert!(is_loopback_host(host), "{host}");
        }
        for host in ["example.org", "10.0.0.1:7070", "localhost.example.org", "[::2]:1", ""] {
            assert!(!is_loopback_host(host), "{host}");
        }
    }
}
