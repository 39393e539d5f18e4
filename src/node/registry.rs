//! The connectors of the registered systems, and their dispatchers.
//!
//! A manifest names secrets; this is where they are resolved, at use, so that a rotated secret is read anew when
//! the system is registered again or fails to authenticate.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use quietus_backup::BackupConnector;
use quietus_contract::{Connector, Failure};
use quietus_core::system::Manifest;
use quietus_files::FilesConnector;
use quietus_http::HttpConnector;
use quietus_memory::MemoryConnector;
use quietus_outside::OutsideConnector;
use quietus_postgres::PostgresConnector;
use quietus_redis::RedisConnector;
use quietus_sqlite::SqliteConnector;
use tokio::task::AbortHandle;

use super::replicas::Replicated;
use super::unusable::Unusable;
use crate::clock::Clock;
use crate::dispatch::Dispatcher;

/// Resolves `${env:NAME}` and `${file:PATH}`.
#[derive(Clone, Debug, Default)]
pub struct Resolver {
    /// Overrides for tests and the demo: looked up before the environment.
    pub given: BTreeMap<String, String>,
}

impl Resolver {
    /// The text with every reference replaced. The error names the reference, never a value.
    pub fn resolve(&self, text: &str) -> Result<String, String> {
        let mut out = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("${") {
            let (reference, after) = after
                .split_once('}')
                .ok_or_else(|| "a `${` without its `}`: write ${env:NAME} or ${file:PATH}".to_owned())?;
            out.push_str(before);
            out.push_str(&self.look_up(reference)?);
            rest = after;
        }
        out.push_str(rest);
        Ok(out)
    }

    fn look_up(&self, reference: &str) -> Result<String, String> {
        if let Some(name) = reference.strip_prefix("env:") {
            let given = self.given.get(name).cloned();
            return given
                .or_else(|| std::env::var(name).ok())
                .ok_or_else(|| format!("${{env:{name}}} is not set: set it in the node's environment"));
        }
        if let Some(path) = reference.strip_prefix("file:") {
            return std::fs::read_to_string(path)
                .map(|text| text.trim_end_matches(['\r', '\n']).to_owned())
                .map_err(|e| format!("${{file:{path}}} cannot be read: {e}"));
        }
        Err(format!("${{{reference}}} is no reference: write ${{env:NAME}} or ${{file:PATH}}"))
    }
}

/// A connector for a manifest, which keeps no position of its own anywhere.
pub fn connect(
    manifest: &Manifest,
    resolver: &Resolver,
    clock: &Arc<dyn Clock>,
) -> Result<Arc<dyn Connector>, Failure> {
    connect_as(None, manifest, resolver, clock)
}

/// `node`: in whose name positions are kept.
fn connect_as(
    node: Option<&str>,
    manifest: &Manifest,
    resolver: &Resolver,
    clock: &Arc<dyn Clock>,
) -> Result<Arc<dyn Connector>, Failure> {
    let resolve = |text: &str| resolver.resolve(text).map_err(|why| Failure::fatal("secret", why));
    let url = || resolve(manifest.connection.get("url").map(String::as_str).unwrap_or_default());
    let settings = || {
        let resolved = |(name, text): (&String, &String)| Ok((name.clone(), resolve(text)?));
        manifest.connection.iter().map(resolved).collect::<Result<BTreeMap<_, _>, Failure>>()
    };
    match manifest.kind.as_str() {
        "sqlite" => Ok(Arc::new(SqliteConnector::open(manifest, &url()?)?)),
        "postgres" => Ok(Arc::new(PostgresConnector::new(manifest, &url()?)?)),
        "redis" => Ok(Arc::new(RedisConnector::new(manifest, &url()?)?)),
        "files" => Ok(Arc::new(FilesConnector::open(manifest, &url()?)?)),
        "backup" => Ok(Arc::new(BackupConnector::open(manifest, &url()?)?)),
        "http" => {
            let clock = Arc::clone(clock);
            let now = Arc::new(move || clock.now().0);
            Ok(Arc::new(HttpConnector::new(manifest, &settings()?, now)?))
        }
        "kafka" | "webhook" => {
            let clock = Arc::clone(clock);
            let now = Arc::new(move || clock.now().0);
            Ok(Arc::new(OutsideConnector::new(manifest, &settings()?, node, now)?))
        }
        "memory" => Ok(Arc::new(MemoryConnector::new(manifest.clone()))),
        other => Err(Failure::fatal(
            "unsupported_kind",
            format!(
                "no connector for kind `{other}` yet; there are sqlite, postgres, redis, files, backup, http, kafka, webhook and memory"
            ),
        )),
    }
}

#[derive(Debug, Default)]
pub struct Registry {
    systems: Mutex<BTreeMap<String, Registered>>,
}

#[derive(Debug)]
struct Registered {
    manifest: Manifest,
    connector: Result<Arc<dyn Connector>, Failure>,
    dispatcher: Arc<Dispatcher>,
    task: AbortHandle,
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Registry {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Registered>> {
        self.systems.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes connectors and dispatchers be those of `wanted`.
    pub fn follow(&self, node: &Arc<super::Node>, wanted: &BTreeMap<String, Manifest>, resolver: &Resolver) {
        let mut systems = self.lock();
        systems.retain(|name, known| wanted.get(name) == Some(&known.manifest));
        for (name, manifest) in wanted {
            if systems.contains_key(name) {
                continue;
            }
            let connector = connect_as(Some(&node.short_id()), manifest, resolver, &node.clock);
            let connector = connector.map(|connector| Replicated::wrap(connector, manifest, node));
            let unusable = || {
                let unusable = Unusable::connector(manifest, resolver, &node.clock);
                Replicated::wrap(unusable, manifest, node)
            };
            let acting = connector.clone().unwrap_or_else(|_| unusable());
            let dispatcher = Dispatcher::new(Arc::clone(node), manifest.clone(), acting);
            let task = tokio::spawn(Arc::clone(&dispatcher).run()).abort_handle();
            systems
                .insert(name.clone(), Registered { manifest: manifest.clone(), connector, dispatcher, task });
        }
    }

    /// The connector of a system; None = not registered.
    pub fn connector(&self, system: &str) -> Option<Result<Arc<dyn Connector>, Failure>> {
        self.lock().get(system).map(|s| s.connector.clone())
    }

    pub fn dispatcher(&self, system: &str) -> Option<Arc<Dispatcher>> {
        self.lock().get(system).map(|s| Arc::clone(&s.dispatcher))
    }

    /// Every dispatcher looks for work.
    pub fn nudge(&self) {
        self.lock().values().for_each(|s| s.dispatcher.nudge());
    }

    /// Stops every dispatcher; commands that are out end by themselves.
    pub fn stop(&self) {
        self.lock().clear();
    }
}
