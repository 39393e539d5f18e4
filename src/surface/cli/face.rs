//! How clients see this node: its address, and the certificate that its configuration refers to.

use std::net::SocketAddr;
use std::sync::Arc;

use quietus_core::config::Config;

use super::Failure;
use super::serve::at;
use crate::node::Resolver;
use crate::surface::http::{Certificate, TlsError};

pub(super) struct Face {
    pub(super) url: String,
    certificate: Option<Arc<Certificate>>,
}

impl Face {
    pub(super) fn new(address: SocketAddr, certificate: Option<Arc<Certificate>>) -> Self {
        let scheme = if certificate.is_some() { "https" } else { "http" };
        Self { url: format!("{scheme}://{address}"), certificate }
    }

    /// The certificate as its files say now; the old one stays where they cannot be used.
    pub(super) fn renew(&self, config: &Config, resolver: &Resolver) {
        let Some(certificate) = &self.certificate else { return };
        let renewed = pair(config, resolver).and_then(|pair| match pair {
            Some((chain, key)) => certificate.renew(&chain, &key).map_err(|error| wrong(config, error)),
            None => Ok(()),
        });
        match renewed {
            Ok(()) => tracing::info!("the certificate was read again"),
            Err(failure) => tracing::error!(why = failure.what, "the certificate stays as it was"),
        }
    }
}

/// None = plain HTTP.
pub(super) fn certificate(config: &Config, resolver: &Resolver) -> Result<Option<Arc<Certificate>>, Failure> {
    let Some((chain, key)) = pair(config, resolver)? else { return Ok(None) };
    Certificate::new(&chain, &key).map(Some).map_err(|error| wrong(config, error))
}

/// Chain and key as PEM.
fn pair(config: &Config, resolver: &Resolver) -> Result<Option<(String, String)>, Failure> {
    let Some(tls) = &config.http.tls else { return Ok(None) };
    let text = |key: &str, value: &str| resolver.resolve(value).map_err(|why| at(config, key, &why));
    Ok(Some((text("http.tls.cert", &tls.cert)?, text("http.tls.key", &tls.key)?)))
}

fn wrong(config: &Config, error: TlsError) -> Failure {
    let key = match error {
        TlsError::Chain => "http.tls.cert",
        TlsError::Key | TlsError::Pair => "http.tls.key",
    };
    at(config, key, &error.to_string())
}
