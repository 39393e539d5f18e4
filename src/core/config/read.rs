//! One layer of settings, laid on what is there.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use super::{Config, LedgerKind, LogFormat, Origin, Token};
use crate::document::{self, Diagnostic, Diagnostics, Fields, Key, Node, Value, shown};
use crate::system::check_secret;
use crate::time::Millis;

/// How a Kafka client is let in, in the configuration and in the manifest of a `kafka` system.
pub const SECURITY: [&str; 7] = ["protocol", "mechanism", "username", "password", "ca", "cert", "key"];

impl Config {
    /// The file's settings over the defaults. A file with findings is not usable, warnings aside.
    pub fn parse(file: &str, bytes: &[u8]) -> Result<Self, Vec<Diagnostic>> {
        let mut found = Diagnostics::new(file);
        let nodes = document::read(file, bytes)?;
        let mut config = Self::default();
        if let Some(second) = nodes.get(1) {
            found.error(second, "a second document in the configuration", "write one");
        }
        if let Some(node) = nodes.first() {
            Reader { config: &mut config, layer: Layer::File(file), found: &mut found }.all(node);
        }
        if found.has_errors() { Err(found.into_vec()) } else { Ok(config) }
    }

    /// `QUIETUS_HTTP__LISTEN` is `http.listen`. Variables that are no settings (of the command line, of a cluster
    /// that names its services) are left alone; a misspelt one with `__` is refused.
    pub fn apply_env(&mut self, env: &BTreeMap<String, String>) -> Result<(), Vec<Diagnostic>> {
        let single = ["dir", "tenant_key", "tokens", "load"];
        let mut all = Vec::new();
        for (name, value) in env {
            let Some(path) = name.strip_prefix("QUIETUS_").map(str::to_lowercase) else { continue };
            if path.contains("__") || single.contains(&path.as_str()) {
                let path = path.replace("__", ".");
                all.extend(self.lay(&path, value, name, Layer::Env(name)).err().into_iter().flatten());
            }
        }
        if all.is_empty() { Ok(()) } else { Err(all) }
    }

    /// `apply_flag("http.listen", "--listen", "127.0.0.1:0")`
    pub fn apply_flag(&mut self, key: &str, flag: &str, value: &str) -> Result<(), Vec<Diagnostic>> {
        self.lay(key, value, flag, Layer::Flag(flag))
    }

    /// One setting as if the file said it: `a.b` with value `v` is `{a: {b: v}}`.
    fn lay(&mut self, path: &str, value: &str, name: &str, layer: Layer) -> Result<(), Vec<Diagnostic>> {
        let mut found = Diagnostics::new(name);
        let mut node = if value.trim_start().starts_with(['[', '{']) {
            let nodes = document::read(name, value.as_bytes())?;
            nodes.into_iter().next().unwrap_or_else(|| document::scalar(""))
        } else {
            document::scalar(value)
        };
        for key in path.rsplit('.') {
            let key = Key { text: key.to_owned(), line: 1, column: 1 };
            node = Node { value: Value::Map(vec![(key, node)]), line: 1, column: 1, plain: None };
        }
        Reader { config: self, layer, found: &mut found }.all(&node);
        if found.has_errors() { Err(found.into_vec()) } else { Ok(()) }
    }
}

#[derive(Clone, Copy)]
enum Layer<'n> {
    File(&'n str),
    Env(&'n str),
    Flag(&'n str),
}

struct Reader<'c, 'n> {
    config: &'c mut Config,
    layer: Layer<'n>,
    found: &'c mut Diagnostics,
}

impl Reader<'_, '_> {
    fn all(&mut self, node: &Node) {
        let Some(mut f) = Fields::of(node, "the configuration", self.found) else { return };
        f.format(self.found);
        let dir = f.text("dir", self.found);
        self.put("dir", &f, "dir", dir, |c, v| c.dir = v);
        if let Some(f) = f.fields("http", "`http`", self.found) {
            self.http(f);
        }
        if let Some(f) = f.fields("ledger", "`ledger`", self.found) {
            self.ledger(f);
        }
        if let Some(f) = f.fields("kafka", "`kafka`", self.found) {
            self.kafka(f);
        }
        let key = f.text("tenant_key", self.found);
        if let (Some(value), Some(node)) = (&key, node.get("tenant_key")) {
            check_secret("tenant_key", value, node, self.found);
        }
        self.put("tenant_key", &f, "tenant_key", key, |c, v| c.tenant_key = Some(v));
        if let Some(f) = f.fields("identities", "`identities`", self.found) {
            self.identities(f);
        }
        let tokens = f.list("tokens", self.found);
        let tokens = (!tokens.is_empty()).then(|| tokens.iter().filter_map(|n| self.token(n)).collect());
        self.put("tokens", &f, "tokens", tokens, |c, v| c.tokens = v);
        let load = self.list(&mut f, "load");
        self.put("load", &f, "load", load, |c, v| c.load = v);
        if let Some(f) = f.fields("telemetry", "`telemetry`", self.found) {
            self.telemetry(f);
        }
        f.finish(self.found);
    }

    fn http(&mut self, mut f: Fields) {
        let listen = f.take("listen").and_then(|n| self.listen(n));
        self.put("http.listen", &f, "listen", listen, |c, v| c.http.listen = v);
        let settle = f.duration("settle", self.found);
        self.put("http.settle", &f, "settle", settle, |c, v| c.http.settle = v);
        if let Some(mut tls) = f.fields("tls", "`tls`", self.found) {
            let cert = tls.text("cert", self.found);
            self.put("http.tls.cert", &tls, "cert", cert, |c, v| c.http.tls.get_or_insert_default().cert = v);
            let key = tls.text("key", self.found);
            if let (Some(value), Some(node)) = (&key, tls.node().get("key")) {
                check_secret("key", value, node, self.found);
            }
            self.put("http.tls.key", &tls, "key", key, |c, v| c.http.tls.get_or_insert_default().key = v);
            tls.finish(self.found);
        }
        f.finish(self.found);
    }

    fn listen(&mut self, node: &Node) -> Option<SocketAddr> {
        let text = node.text().unwrap_or_default();
        let address = text.replacen("localhost:", "127.0.0.1:", 1).parse().ok();
        if address.is_none() {
            let fix = "write an address and a port, such as \"127.0.0.1:7070\" or \"[::]:7070\"";
            self.found.error(node, format!("{} is no address to listen on", shown(node)), fix);
        }
        address
    }

    fn ledger(&mut self, mut f: Fields) {
        let words = [("embedded", LedgerKind::Embedded), ("kafka", LedgerKind::Kafka)];
        let kind = f.word("kind", &words, self.found);
        self.put("ledger.kind", &f, "kind", kind, |c, v| c.ledger.kind = v);
        let partitions = f.int_in("partitions", 1, 1024, self.found).and_then(|n| u32::try_from(n).ok());
        self.put("ledger.partitions", &f, "partitions", partitions, |c, v| c.ledger.partitions = Some(v));
        let every = f.duration("snapshot_every", self.found);
        self.put("ledger.snapshot_every", &f, "snapshot_every", every, |c, v| c.ledger.snapshot_every = v);
        let truncate = f.bool("truncate", self.found);
        self.put("ledger.truncate", &f, "truncate", truncate, |c, v| c.ledger.truncate = v);
        let brokers = self.list(&mut f, "brokers");
        self.put("ledger.brokers", &f, "brokers", brokers, |c, v| c.ledger.brokers = v);
        let prefix = f.text("prefix", self.found);
        self.put("ledger.prefix", &f, "prefix", prefix, |c, v| c.ledger.prefix = v);
        self.security(&mut f, "ledger", |c| &mut c.ledger.security);
        f.finish(self.found);
    }

    fn kafka(&mut self, mut f: Fields) {
        let brokers = self.list(&mut f, "brokers");
        self.put("kafka.brokers", &f, "brokers", brokers, |c, v| c.kafka.brokers = v);
        let events = f.bool("events", self.found);
        self.put("kafka.events", &f, "events", events, |c, v| c.kafka.events = v);
        let prefix = f.text("prefix", self.found);
        self.put("kafka.prefix", &f, "prefix", prefix, |c, v| c.kafka.prefix = v);
        let registry = self.url(&mut f, "registry");
        self.put("kafka.registry", &f, "registry", registry, |c, v| c.kafka.registry = Some(v));
        self.security(&mut f, "kafka", |c| &mut c.kafka.security);
        f.finish(self.found);
    }

    fn security(
        &mut self,
        f: &mut Fields,
        section: &str,
        slot: fn(&mut Config) -> &mut BTreeMap<String, String>,
    ) {
        let Some(mut f) = f.fields("security", "`security`", self.found) else { return };
        let protocols = ["plaintext", "ssl", "sasl_plaintext", "sasl_ssl"].map(|p| (p, ()));
        f.word("protocol", &protocols, self.found);
        for key in SECURITY {
            let value = f.text(key, self.found);
            if let (Some(value), Some(node)) = (&value, f.node().get(key)) {
                check_secret(key, value, node, self.found);
            }
            let path = format!("{section}.security.{key}");
            self.put(&path, &f, key, value, |c, v| {
                slot(c).insert(key.to_owned(), v);
            });
        }
        f.finish(self.found);
    }

    fn identities(&mut self, mut f: Fields) {
        let default = f.take("default").and_then(|n| crate::system::identity_type(n, self.found));
        self.put("identities.default", &f, "default", default, |c, v| c.identities.default = v);
        let linked = f.int_in("max_linked", 1, 10_000, self.found).and_then(|n| u32::try_from(n).ok());
        self.put("identities.max_linked", &f, "max_linked", linked, |c, v| c.identities.max_linked = v);
        f.finish(self.found);
    }

    fn token(&mut self, node: &Node) -> Option<Token> {
        let mut f = Fields::of(node, "a token", self.found)?;
        let name = f.need_text("name", self.found);
        let role = f.need_text("role", self.found);
        let hash = f.need("sha256", self.found).and_then(|n| self.sha256(n));
        let expires = f.take("expires").and_then(|n| self.instant(n));
        f.finish(self.found);
        Some(Token { name: name?, role: role?, sha256: hash?, expires })
    }

    /// The message never repeats it: somebody may have written the token itself.
    fn sha256(&mut self, node: &Node) -> Option<[u8; 32]> {
        let text = node.text().unwrap_or_default().to_ascii_lowercase();
        let bytes = data_encoding::HEXLOWER.decode(text.as_bytes()).ok();
        let hash = bytes.and_then(|b| <[u8; 32]>::try_from(b).ok());
        if hash.is_none() {
            let fix = "write what `printf %s TOKEN | sha256sum` says, in quotes";
            self.found.error(node, "`sha256` must be 64 hexadecimal digits", fix);
        }
        hash
    }

    /// A date stands for its first instant in UTC.
    fn instant(&mut self, node: &Node) -> Option<Millis> {
        let text = node.text().unwrap_or_default();
        let at = Millis::parse(text).or_else(|| Millis::parse(&format!("{text}T00:00:00Z")));
        if at.is_none() {
            let fix = "write 2027-01-01 or 2027-01-01T12:00:00Z";
            self.found.error(node, format!("{} is no date or time", shown(node)), fix);
        }
        at
    }

    fn telemetry(&mut self, mut f: Fields) {
        let level = f.take("level").and_then(|n| self.level(n));
        self.put("telemetry.level", &f, "level", level, |c, v| c.telemetry.level = v);
        let format = f.word("format", &[("text", LogFormat::Text), ("json", LogFormat::Json)], self.found);
        self.put("telemetry.format", &f, "format", format, |c, v| c.telemetry.format = v);
        let otlp = self.url(&mut f, "otlp");
        self.put("telemetry.otlp", &f, "otlp", otlp, |c, v| c.telemetry.otlp = Some(v));
        f.finish(self.found);
    }

    /// A level, or `TARGET=LEVEL` directives with commas between.
    fn level(&mut self, node: &Node) -> Option<String> {
        let levels = ["error", "warn", "info", "debug", "trace", "off"];
        let text = node.text().unwrap_or_default();
        let wrong = text.split(',').map(|d| d.rsplit_once('=').map_or(d, |(_, level)| level).trim());
        if let Some(word) = wrong.into_iter().find(|l| !levels.contains(l)) {
            let fix = document::choose(word, levels.into_iter());
            self.found.error(node, format!("{} is no log level", shown(node)), fix);
            return None;
        }
        Some(text.to_owned())
    }

    fn url(&mut self, f: &mut Fields, key: &'static str) -> Option<String> {
        let node = f.take(key)?;
        let text = node.text().unwrap_or_default().to_owned();
        if !["http://", "https://", "${"].iter().any(|p| text.starts_with(p)) {
            self.found.error(node, format!("`{key}` must be a URL"), "write http://… or https://…");
            return None;
        }
        check_secret("url", &text, node, self.found);
        Some(text)
    }

    /// A list; a variable or a flag may write it with commas.
    fn list(&mut self, f: &mut Fields, key: &'static str) -> Option<Vec<String>> {
        f.take(key)?;
        let words = f.one_or_many(key, self.found);
        Some(match self.layer {
            Layer::File(_) => words,
            Layer::Env(_) | Layer::Flag(_) => words
                .iter()
                .flat_map(|w| w.split(','))
                .map(|w| w.trim().to_owned())
                .filter(|w| !w.is_empty())
                .collect(),
        })
    }

    /// Sets what this layer says, unless a stronger one has said it.
    fn put<T>(
        &mut self,
        path: &str,
        f: &Fields,
        key: &str,
        value: Option<T>,
        set: impl FnOnce(&mut Config, T),
    ) {
        let Some(value) = value else { return };
        let origin = match self.layer {
            Layer::File(file) => {
                let node = f.node().get(key).unwrap_or(f.node());
                Origin::File { file: file.to_owned(), line: node.line, column: node.column }
            }
            Layer::Env(name) => Origin::Env(name.to_owned()),
            Layer::Flag(flag) => Origin::Flag(flag.to_owned()),
        };
        if origin.rank() >= self.config.origin(path).rank() {
            set(self.config, value);
            self.config.origins.insert(path.to_owned(), origin);
        }
    }
}
