//! Connectors in another language: the Python example on a real broker and over HTTP, told by a real node.

mod conform;
mod node;

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use quietus_test_servers::{Kafka, free_port, python};

use super::cli::root;

/// The example, running; dropping it stops it.
pub struct Example {
    child: Child,
    pub database: PathBuf,
}

impl Example {
    /// `more` are its own arguments; `secret` = it serves a system of its own beside `conform`.
    pub fn start(folder: &Path, more: &[&str], secret: Option<&str>) -> Self {
        let home = root().join("connectors/examples/python");
        let interpreter =
            python(&root(), &home.join("requirements.txt")).unwrap_or_else(|why| panic!("{why}"));
        let database = folder.join("connector.db");
        let mut command = Command::new(interpreter);
        command.arg(home.join("connector.py")).args(more).arg("--database").arg(&database);
        command.env_remove("QUIETUS_CONNECTOR_SECRET").env("PYTHONDONTWRITEBYTECODE", "1");
        if let Some(secret) = secret {
            command.env("QUIETUS_CONNECTOR_SECRET", secret);
        }
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
        let listens =
            lines.by_ref().inspect(|line| eprintln!("example: {line}")).any(|l| l.starts_with("listening"));
        assert!(listens, "the example ended at its start");
        std::thread::spawn(move || lines.for_each(|line| eprintln!("example: {line}")));
        Self { child, database }
    }

    /// As a power cut takes it.
    pub fn kill(mut self) {
        self.end();
    }

    fn end(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Example {
    fn drop(&mut self) {
        self.end();
    }
}

fn broker() -> std::sync::Arc<Kafka> {
    Kafka::shared(&root()).unwrap_or_else(|why| panic!("{why}"))
}

/// A pair of topics that no other test and no earlier run has.
fn topic() -> String {
    format!("t{}.commands", quietus::node::fresh_id("t").trim_start_matches("t_"))
}

fn address() -> String {
    format!("127.0.0.1:{}", free_port().unwrap())
}
