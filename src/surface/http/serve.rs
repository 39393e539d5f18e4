//! Listening: loopback unless there are tokens, and an orderly end.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::serve::Listener;
use tokio::net::TcpListener;

use super::tls::{Certificate, TlsListener};
use super::{App, Token, router};
use crate::node::Node;

/// Calls under way at the end have this long to finish.
const GRACE: Duration = Duration::from_secs(10);

#[derive(Clone, Debug)]
pub struct HttpConfig {
    pub listen: SocketAddr,
    /// None at all = loopback only.
    pub tokens: Vec<Token>,
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self { listen: SocketAddr::from(([127, 0, 0, 1], 7070)), tokens: Vec::new() }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    #[error(
        "http.listen is {listen}, which others can reach, and there are no tokens: listen on 127.0.0.1, or configure `tokens`"
    )]
    Open { listen: SocketAddr },
    #[error("{listen} cannot be listened on: {cause}")]
    Bind { listen: SocketAddr, cause: String },
    #[error("serving HTTP ended: {0}")]
    Ended(String),
}

/// Serves until `shutdown` comes, then lets calls under way finish.
pub async fn serve(
    node: Arc<Node>,
    config: HttpConfig,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<(), ServeError> {
    let listener = bind(&config).await?;
    serve_on(listener, None, node, config.tokens, shutdown).await
}

/// Binds where the configuration allows it.
pub async fn bind(config: &HttpConfig) -> Result<TcpListener, ServeError> {
    let listen = config.listen;
    if config.tokens.is_empty() && !listen.ip().is_loopback() {
        return Err(ServeError::Open { listen });
    }
    TcpListener::bind(listen).await.map_err(|e| ServeError::Bind { listen, cause: e.to_string() })
}

/// Serves on a listener of [`bind`]'s, by TLS where there is a certificate.
pub async fn serve_on(
    listener: TcpListener,
    certificate: Option<Arc<Certificate>>,
    node: Arc<Node>,
    tokens: Vec<Token>,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<(), ServeError> {
    if let Ok(at) = listener.local_addr() {
        tracing::info!(%at, tls = certificate.is_some(), "serving HTTP");
    }
    match certificate {
        None => run(listener, node, tokens, shutdown).await,
        Some(certificate) => {
            let listener = TlsListener::new(listener, certificate);
            let listener = listener.map_err(|error| ServeError::Ended(error.to_string()))?;
            run(listener, node, tokens, shutdown).await
        }
    }
}

async fn run<L: Listener<Addr = SocketAddr>>(
    listener: L,
    node: Arc<Node>,
    tokens: Vec<Token>,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<(), ServeError> {
    let app = App::new(node, tokens);
    let (ending, mut ended) = tokio::sync::watch::channel(false);
    let shutdown = async move {
        shutdown.await;
        ending.send_replace(true);
    };
    let serving = axum::serve(listener, router(app)).with_graceful_shutdown(shutdown);
    let too_late = async {
        // A sender that is gone has served to its end.
        if ended.wait_for(|ended| *ended).await.is_err() {
            std::future::pending::<()>().await;
        }
        tokio::time::sleep(GRACE).await;
    };
    tokio::select! {
        ended = serving => ended.map_err(|e| ServeError::Ended(e.to_string())),
        () = too_late => {
            tracing::warn!("calls under way were cut off");
            Ok(())
        }
    }
}
