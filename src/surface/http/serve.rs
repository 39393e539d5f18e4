//! Listening: loopback unless there are tokens, and an orderly end.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;

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
    serve_on(listener, node, config.tokens, shutdown).await
}

/// Binds where the configuration allows it.
pub async fn bind(config: &HttpConfig) -> Result<TcpListener, ServeError> {
    let listen = config.listen;
    if config.tokens.is_empty() && !listen.ip().is_loopback() {
        return Err(ServeError::Open { listen });
    }
    TcpListener::bind(listen).await.map_err(|e| ServeError::Bind { listen, cause: e.to_string() })
}

/// Serves on a listener of [`bind`]'s.
pub async fn serve_on(
    listener: TcpListener,
    node: Arc<Node>,
    tokens: Vec<Token>,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<(), ServeError> {
    if let Ok(at) = listener.local_addr() {
        tracing::info!(%at, "serving HTTP");
    }
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
