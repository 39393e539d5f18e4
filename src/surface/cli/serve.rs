//! `quietus serve`: a node, from its configuration to its clean end.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use quietus_core::config::Config;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;
use tokio::task::AbortHandle;

use super::face::{self, Face};
use super::output::say;
use super::settings::Settings;
use super::{Exit, Failure, files, findings};
use crate::clock::SystemClock;
use crate::ledger::LedgerError;
use crate::node::{KafkaOptions, Node, NodeError, NodeOptions, Refusal, Resolver, Running};
use crate::sealing::Keys;
use crate::surface::documents::{self, Document, Kind};
use crate::surface::http::{self, HttpConfig, Role, Token};
use crate::telemetry;

#[derive(Debug, Args)]
pub struct Serve {
    #[command(flatten)]
    settings: Settings,
}

impl Serve {
    pub async fn run(self) -> Result<Exit, Failure> {
        let config = self.settings.usable()?;
        let resolver = Resolver::default();
        let otlp = config.telemetry.otlp.as_deref().map(|url| resolver.resolve(url)).transpose();
        let otlp = otlp.map_err(|why| at(&config, "telemetry.otlp", &why))?;
        let guard = telemetry::init(&config.telemetry, otlp.as_deref()).map_err(Failure::usage)?;
        let ended = run(&config, resolver).await;
        // The exporter blocks until the collector has answered.
        if tokio::task::spawn_blocking(move || guard.flush()).await.is_err() {
            say("the last traces were not sent");
        }
        ended
    }
}

async fn run(config: &Config, resolver: Resolver) -> Result<Exit, Failure> {
    // Taken before anything is open: no configuration that is written meanwhile is missed.
    let hangup = take(SignalKind::hangup())?;
    let documents = gather(config)?;
    let tokens = tokens(config)?;
    let certificate = face::certificate(config, &resolver)?;
    let node = open(config, resolver).await?;
    // Until here the system ends the process at once: opening may take long, and changes nothing that a crash may not.
    let mut signals = Signals { hangup, end: End::take()? };
    let http = HttpConfig { listen: config.http.listen, tokens };
    let listener = http::bind(&http).await.map_err(|error| {
        at(config, "http.listen", &format!("{error}; stop what listens there, or name another address"))
    })?;
    let address = listener.local_addr().map_err(|cause| at(config, "http.listen", &cause.to_string()))?;
    let face = Face::new(address, certificate.clone());
    // Until the node runs every call but `clock accept` is told to wait.
    let (ending, ended) = oneshot::channel::<()>();
    let served = http::serve_on(listener, certificate.clone(), Arc::clone(&node), http.tokens, async {
        let _ = ended.await;
    });
    let serving = tokio::spawn(served);
    let ran = work(config, &node, &documents, &mut signals, &face, serving.abort_handle()).await;
    let _ = ending.send(());
    let served = match serving.await {
        Ok(served) => served.map_err(|error| Failure::no(error.to_string())),
        Err(_) => Ok(()),
    };
    let (running, ran) = match ran {
        Ok(running) => (running, Ok(Exit::Done)),
        Err((running, failure)) => (running, Err(failure)),
    };
    if let Some(running) = running {
        stop(running).await?;
    }
    served.and(ran)
}

/// Starts, loads, and waits for a signal. What runs is handed back, to be stopped after the last call was answered.
async fn work(
    config: &Config,
    node: &Arc<Node>,
    documents: &[Document],
    signals: &mut Signals,
    face: &Face,
    serving: AbortHandle,
) -> Result<Option<Running>, (Option<Running>, Failure)> {
    let running = match start(config, node, signals, &face.url).await {
        Ok(Some(running)) => running,
        Ok(None) => return Ok(None),
        Err(failure) => return Err((None, failure)),
    };
    if let Err(failure) = apply(node, documents).await {
        return Err((Some(running), failure));
    }
    say(&format!("listening on {}", face.url));
    loop {
        tokio::select! {
            _ = signals.hangup.recv() => {
                face.renew(config, &node.options().resolver);
                load_again(config, node).await;
            }
            () = signals.end.come() => return Ok(Some(running)),
            () = has_finished(&serving) => {
                return Err((Some(running), Failure::no("serving HTTP ended by itself; start the node again")));
            }
        }
    }
}

async fn has_finished(serving: &AbortHandle) {
    while !serving.is_finished() {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// Owns the partitions; while the clock waits for a person, so does this. None = told to end meanwhile.
async fn start(
    config: &Config,
    node: &Arc<Node>,
    signals: &mut Signals,
    url: &str,
) -> Result<Option<Running>, Failure> {
    let mut said = false;
    loop {
        match node.start().await {
            Ok(running) => return Ok(Some(running)),
            Err(waits @ NodeError::ClockWaits { .. }) if !said => {
                say(&format!("{waits} --url {url}"));
                said = true;
            }
            Err(NodeError::ClockWaits { .. }) => {}
            Err(error) => return Err(start_failure(config, error)),
        }
        tokio::select! {
            () = node.moved.notified() => {}
            () = tokio::time::sleep(Duration::from_secs(1)) => {}
            () = signals.end.come() => return Ok(None),
        }
    }
}

/// As HTTP knows them: with a role of its own.
fn tokens(config: &Config) -> Result<Vec<Token>, Failure> {
    let known = |token: &quietus_core::config::Token| {
        let role: Role = serde_json::from_value(token.role.as_str().into()).map_err(|_| {
            let roles = "admin, platform, producer, privacy, legal or auditor";
            at(config, "tokens", &format!("token `{}` has no known role; write {roles}", token.name))
        })?;
        Ok(Token { name: token.name.clone(), role, sha256: token.sha256, expires: token.expires })
    };
    config.tokens.iter().map(known).collect()
}

async fn stop(running: Running) -> Result<(), Failure> {
    running.stop().await.map_err(|error| {
        Failure::no(format!(
            "{error}. There is no clean-shutdown mark; the next start reads what the disk kept"
        ))
    })
}

async fn open(config: &Config, resolver: Resolver) -> Result<Arc<Node>, Failure> {
    let dir = PathBuf::from(&config.dir);
    crate::durable::make_folder(&dir).map_err(|cause| {
        at(config, "dir", &format!("{}: cannot be made: {cause}; name a folder that can", dir.display()))
    })?;
    let keys = tenant_key(config, &dir, &resolver)?;
    let options = NodeOptions {
        partitions: config.ledger.partitions(),
        settle_ms: config.http.settle,
        snapshot_every_ms: config.ledger.snapshot_every,
        truncate: config.ledger.truncate,
        max_linked: config.identities.max_linked,
        kafka: kafka(config, &resolver)?,
        resolver,
        ..NodeOptions::at(dir)
    };
    let clock = Arc::new(SystemClock::new());
    Node::open(options, keys, clock).await.map_err(|error| start_failure(config, error))
}

/// Where topics are read from: `kafka:`, or the brokers that the ledger itself has.
fn kafka(config: &Config, resolver: &Resolver) -> Result<Option<KafkaOptions>, Failure> {
    let (section, brokers, security) = match config.kafka.brokers.is_empty() {
        false => ("kafka", &config.kafka.brokers, &config.kafka.security),
        true => ("ledger", &config.ledger.brokers, &config.ledger.security),
    };
    if brokers.is_empty() {
        return Ok(None);
    }
    for (name, value) in security {
        let key = format!("{section}.security.{name}");
        resolver.resolve(value).map_err(|why| at(config, &key, &why))?;
    }
    let (brokers, security) = (brokers.clone(), security.clone());
    let prefix = config.kafka.events.then(|| config.kafka.prefix.clone());
    Ok(Some(KafkaOptions { brokers, security, registry: config.kafka.registry.clone(), prefix }))
}

/// The key that the configuration refers to; a node on loopback makes the file where there is none.
fn tenant_key(config: &Config, dir: &Path, resolver: &Resolver) -> Result<Keys, Failure> {
    let failed = |error: &dyn std::fmt::Display| at(config, "tenant_key", &error.to_string());
    let file = match config.tenant_key.as_deref() {
        None => Some(dir.join("tenant.key")),
        Some(reference) => {
            reference.strip_prefix("${file:").and_then(|r| r.strip_suffix('}')).map(PathBuf::from)
        }
    };
    let Some(file) = file else {
        let text = resolver.resolve(config.tenant_key.as_deref().unwrap_or_default());
        return Keys::from_hex(&text.map_err(|why| failed(&why))?).map_err(|error| failed(&error));
    };
    if !config.http.listen.ip().is_loopback() {
        return Keys::load(&file).map_err(|error| failed(&error));
    }
    let (keys, made) = Keys::load_or_create(&file).map_err(|error| failed(&error))?;
    if made {
        say(&format!(
            "made a tenant key: {}. Back it up: without it nothing that is recorded can be found",
            file.display()
        ));
    }
    Ok(keys)
}

fn gather(config: &Config) -> Result<Vec<Document>, Failure> {
    let paths: Vec<PathBuf> = config.load.iter().map(PathBuf::from).collect();
    documents::gather(&paths).map_err(files::refused)
}

/// Applies the documents in order; the first that is refused ends it.
async fn apply(node: &Node, documents: &[Document]) -> Result<(), Failure> {
    for document in documents {
        let (file, bytes) = (document.file(), document.bytes.as_slice());
        let applied = match document.kind {
            Kind::Policy => match node.store_policy(&file, bytes, None).await {
                Ok((policy, _)) => node.publish_policy(&policy.name, None).await.map(drop),
                Err(refusal) => Err(refusal),
            },
            Kind::Source => node.put_source(&file, bytes, Some(&document.name), None).await.map(drop),
            Kind::System => {
                let load = documents::beside(&document.path);
                node.put_system(&file, bytes, &load, None).await.map(drop)
            }
        };
        applied.map_err(|refusal| match refusal {
            Refusal::Wrong(found) => findings::wrong(&found),
            Refusal::Node(error) => Failure::usage(format!("{file}: {error}")),
        })?;
    }
    Ok(())
}

/// What is wrong is said, and what was applied before stays.
async fn load_again(config: &Config, node: &Node) {
    let applied = match gather(config) {
        Ok(documents) => apply(node, &documents).await.map(|()| documents.len()),
        Err(failure) => Err(failure),
    };
    match applied {
        Ok(documents) => tracing::info!(documents, "`load` was applied again"),
        Err(failure) => tracing::error!(why = failure.what, "`load` was not applied"),
    }
}

struct Signals {
    hangup: Signal,
    end: End,
}

/// Somebody wants the process to end.
pub(super) struct End {
    terminate: Signal,
    interrupt: Signal,
}

fn take(kind: SignalKind) -> Result<Signal, Failure> {
    signal(kind).map_err(|cause| Failure::unknown(format!("signals cannot be taken: {cause}; try again")))
}

impl End {
    pub fn take() -> Result<Self, Failure> {
        Ok(Self { terminate: take(SignalKind::terminate())?, interrupt: take(SignalKind::interrupt())? })
    }

    pub async fn come(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// Names the setting and where it came from.
pub(super) fn at(config: &Config, key: &str, why: &str) -> Failure {
    Failure::usage(format!("{key} ({}): {why}", config.origin(key)))
}

fn start_failure(config: &Config, error: NodeError) -> Failure {
    match &error {
        NodeError::Ledger(LedgerError::Mismatch { .. }) => {
            at(config, "ledger.partitions", &error.to_string())
        }
        NodeError::Ledger(LedgerError::Locked { .. } | LedgerError::Io { .. }) => {
            at(config, "dir", &error.to_string())
        }
        NodeError::Ledger(LedgerError::Damaged(_)) | NodeError::Unreadable { .. } => {
            Failure::no(error.to_string())
        }
        _ => Failure::unknown(error.to_string()),
    }
}
