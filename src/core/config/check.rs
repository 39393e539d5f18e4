//! What only shows when all layers are laid on.

use std::collections::BTreeSet;

use super::{Config, LedgerKind, Origin};
use crate::document::{At, Diagnostic, Diagnostics};

impl Config {
    /// Settings that do not go together. Ask after the last layer.
    pub fn check(&self) -> Vec<Diagnostic> {
        let mut out = Vec::new();
        let mut error = |key: &str, detail: &str, fix: &str| {
            let (file, at) = self.place(key);
            let mut found = Diagnostics::new(&file);
            found.error(at, detail, fix);
            out.extend(found.into_vec());
        };
        let open = !self.http.listen.ip().is_loopback();
        if open && self.tokens.is_empty() {
            let fix = "add `tokens:`, or listen on 127.0.0.1";
            error("http.listen", "a node without tokens listens on loopback only", fix);
        }
        if open && self.tenant_key.is_none() {
            let fix = "add `tenant_key: \"${file:PATH}\"` (32 random bytes), or listen on 127.0.0.1";
            error("http.listen", "a node makes its own tenant key on loopback only", fix);
        }
        if let Some(tls) = &self.http.tls {
            for (key, other, value) in
                [("http.tls.key", "http.tls.cert", &tls.key), ("http.tls.cert", "http.tls.key", &tls.cert)]
            {
                if value.is_empty() {
                    error(other, &format!("`{other}` needs `{key}`"), &format!("add `{key}`"));
                }
            }
        }
        if self.ledger.snapshot_every < 1_000 {
            let detail = "`snapshot_every` is too short: a node would do nothing else";
            error("ledger.snapshot_every", detail, "write 1s or more; 7d is the default");
        }
        match self.ledger.kind {
            LedgerKind::Kafka if self.ledger.brokers.is_empty() => {
                error("ledger.kind", "a Kafka ledger needs brokers", "add `ledger: {brokers: [HOST:PORT]}`");
            }
            LedgerKind::Kafka => {}
            LedgerKind::Embedded => {
                for key in ["brokers", "prefix", "security"] {
                    let key = format!("ledger.{key}");
                    let given = self.origins.keys().find(|k| **k == key || k.starts_with(&format!("{key}.")));
                    if let Some(given) = given {
                        let fix = "write `kind: kafka`, or move it to `kafka:` for sources";
                        error(given, &format!("`{key}` means nothing to an embedded ledger"), fix);
                    }
                }
            }
        }
        let mut names = BTreeSet::new();
        for token in self.tokens.iter().filter(|t| !names.insert(t.name.as_str())) {
            error("tokens", &format!("two tokens are named `{}`", token.name), "give each its own name");
        }
        out
    }

    fn place(&self, key: &str) -> (String, At) {
        match self.origin(key) {
            Origin::File { file, line, column } => (file, At { line, column }),
            Origin::Env(name) | Origin::Flag(name) => (name, At { line: 1, column: 1 }),
            Origin::Default => ("default".to_owned(), At { line: 1, column: 1 }),
        }
    }
}
