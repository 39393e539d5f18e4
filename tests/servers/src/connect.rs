//! Kafka Connect with Debezium's PostgreSQL connector, one process of a test's own.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::maven::{jars, java};
use crate::{Result, free_port};

const ARTIFACTS: [&str; 4] = [
    "org.apache.kafka:connect-runtime:4.3.1",
    "org.apache.kafka:connect-json:4.3.1",
    "io.debezium:debezium-connector-postgres:3.7.0.Final",
    "org.slf4j:slf4j-simple:1.7.36",
];
const READY_WITHIN: Duration = Duration::from_secs(180);

/// A running connector; dropping it stops it. Its replication slot stays in the database.
#[derive(Debug)]
pub struct Connect {
    folder: TempDir,
    child: Child,
}

impl Connect {
    /// Follows `table` of the database at `postgres` (`postgres://USER@HOST:PORT/DATABASE`) into topics under `prefix`.
    /// `more` are further settings of the connector, a line each.
    pub fn debezium(
        root: &Path,
        brokers: &str,
        postgres: &str,
        (prefix, slot, table): (&str, &str, &str),
        more: &str,
    ) -> Result<Self> {
        let jars = jars(root, "connect", &ARTIFACTS)?;
        let folder =
            TempDir::with_prefix("quietus-connect-").map_err(|e| format!("no temporary folder: {e}"))?;
        let port = free_port()?;
        let (user, host, database) = taken_apart(postgres)?;
        let (host, database_port) = host.split_once(':').unwrap_or((host, "5432"));
        let worker = format!(
            "bootstrap.servers={brokers}\nlisteners=http://127.0.0.1:{port}\noffset.storage.file.filename={}/offsets\n\
             offset.flush.interval.ms=1000\nkey.converter=org.apache.kafka.connect.json.JsonConverter\n\
             value.converter=org.apache.kafka.connect.json.JsonConverter\ntopic.creation.enable=true\n",
            folder.path().display()
        );
        let connector = format!(
            "name=dbz\nconnector.class=io.debezium.connector.postgresql.PostgresConnector\ntasks.max=1\n\
             database.hostname={host}\ndatabase.port={database_port}\ndatabase.user={user}\ndatabase.password=none\n\
             database.dbname={database}\nplugin.name=pgoutput\npublication.autocreate.mode=filtered\nslot.name={slot}\n\
             publication.name={slot}\ntopic.prefix={prefix}\ntable.include.list={table}\nheartbeat.interval.ms=300\n\
             topic.creation.default.replication.factor=1\ntopic.creation.default.partitions=1\n{more}\n"
        );
        let write = |name: &str, text: String| {
            let path = folder.path().join(name);
            fs::write(&path, text).map_err(|e| format!("{}: {e}", path.display())).map(|()| path)
        };
        let (worker, connector) = (write("worker.properties", worker)?, write("dbz.properties", connector)?);
        let path = folder.path().join("log");
        let log = fs::File::create(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        let errors = log.try_clone().map_err(|e| format!("{}: {e}", path.display()))?;
        let child = java(&jars, "warn")
            .arg("org.apache.kafka.connect.cli.ConnectStandalone")
            .args([worker, connector])
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(errors)
            .spawn()
            .map_err(|e| format!("java: {e}"))?;
        let mut connect = Self { folder, child };
        connect.wait(port)?;
        Ok(connect)
    }

    fn wait(&mut self, port: u16) -> Result<()> {
        let started = Instant::now();
        let said = |folder: &TempDir| fs::read_to_string(folder.path().join("log")).unwrap_or_default();
        while started.elapsed() < READY_WITHIN {
            // Connector and task.
            if status(port).is_some_and(|answer| answer.matches("RUNNING").count() == 2) {
                return Ok(());
            }
            if self.child.try_wait().map_err(|e| e.to_string())?.is_some() {
                return Err(format!("Connect ended at its start; it said:\n{}", said(&self.folder)));
            }
            std::thread::sleep(Duration::from_millis(200));
        }
        Err(format!(
            "the connector was not running within {READY_WITHIN:?}; it said:\n{}",
            said(&self.folder)
        ))
    }
}

impl Drop for Connect {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn status(port: u16) -> Option<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    let call = "GET /connectors/dbz/status HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n";
    stream.write_all(call.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer)
}

/// (user, host and port, database)
fn taken_apart(url: &str) -> Result<(&str, &str, &str)> {
    let wrong = || format!("{url} is no postgres://USER@HOST:PORT/DATABASE");
    let rest = url.split_once("://").map(|(_, rest)| rest).ok_or_else(wrong)?;
    let (user, rest) = rest.split_once('@').ok_or_else(wrong)?;
    let (host, database) = rest.split_once('/').ok_or_else(wrong)?;
    Ok((user, host, database))
}
