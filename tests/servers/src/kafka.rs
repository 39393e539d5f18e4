//! One Apache Kafka node (KRaft) of a test's own: its jars come from Maven, once, into `.test/` of the repository.
//!
//! `QUIETUS_TEST_KAFKA` names brokers to use instead: then topics stay there afterwards, and what stops or kills the
//! server is an error.

use std::fs;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::account::run;
use crate::maven::{jars, java};
use crate::{Result, free_port};

const READY_WITHIN: Duration = Duration::from_secs(120);
/// Any constant UUID does.
const CLUSTER: &str = "SxB_CD6ySp6vTUu8-gjfKQ";
const ARTIFACTS: [&str; 2] = ["org.apache.kafka:kafka_2.13:4.3.1", "org.slf4j:slf4j-simple:1.7.36"];
/// Started fast and kept small: one broker cannot hold three copies, and a killed one registers again only when its
/// old session has run out.
const PROPERTIES: &str = "process.roles=broker,controller
node.id=1
listeners=PLAINTEXT://127.0.0.1:@BROKER@,CONTROLLER://127.0.0.1:@CONTROLLER@
controller.listener.names=CONTROLLER
controller.quorum.voters=1@127.0.0.1:@CONTROLLER@
log.dirs=@DIR@/data
auto.create.topics.enable=false
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
offsets.topic.num.partitions=4
transaction.state.log.num.partitions=4
group.initial.rebalance.delay.ms=0
num.network.threads=2
num.io.threads=2
log.cleaner.dedupe.buffer.size=2097152
log.cleaner.io.buffer.size=65536
broker.heartbeat.interval.ms=200
broker.session.timeout.ms=1500
";
/// A running broker; dropping it stops it and removes its folder.
#[derive(Debug)]
pub struct Kafka {
    place: Place,
}

#[derive(Debug)]
enum Place {
    Own { jars: PathBuf, folder: TempDir, port: u16, child: Option<Child> },
    Given { brokers: String },
}

impl Kafka {
    /// A fresh broker; `root` is the repository's own folder.
    pub fn start(root: &Path) -> Result<Self> {
        if let Ok(brokers) = std::env::var("QUIETUS_TEST_KAFKA") {
            return Ok(Self { place: Place::Given { brokers } });
        }
        let jars = jars(root, "kafka", &ARTIFACTS)?;
        let folder =
            TempDir::with_prefix("quietus-kafka-").map_err(|e| format!("no temporary folder: {e}"))?;
        let (port, controller) = (free_port()?, free_port()?);
        let properties = PROPERTIES
            .replace("@BROKER@", &port.to_string())
            .replace("@CONTROLLER@", &controller.to_string())
            .replace("@DIR@", &folder.path().display().to_string());
        let file = folder.path().join("server.properties");
        fs::write(&file, properties).map_err(|e| format!("{}: {e}", file.display()))?;
        run(java(&jars, "warn").args(["kafka.tools.StorageTool", "format", "-t", CLUSTER, "-c"]).arg(&file))?;
        let mut server = Self { place: Place::Own { jars, folder, port, child: None } };
        server.start_again()?;
        Ok(server)
    }

    /// The broker that the tests of this process share: it stops when the last of them is over. Topics and groups in
    /// it must be a test's own.
    pub fn shared(root: &Path) -> Result<Arc<Self>> {
        static SHARED: Mutex<Weak<Kafka>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(running) = shared.upgrade() {
            return Ok(running);
        }
        let server = Arc::new(Self::start(root)?);
        *shared = Arc::downgrade(&server);
        Ok(server)
    }

    /// Where clients connect: `HOST:PORT`.
    pub fn brokers(&self) -> String {
        match &self.place {
            Place::Own { port, .. } => format!("127.0.0.1:{port}"),
            Place::Given { brokers } => brokers.clone(),
        }
    }

    /// As a power cut takes it.
    pub fn kill9(&mut self) -> Result<()> {
        let Place::Own { child, .. } = &mut self.place else {
            return Err("brokers given by QUIETUS_TEST_KAFKA cannot be killed by a test".to_owned());
        };
        let Some(mut running) = child.take() else { return Ok(()) };
        running.kill().map_err(|e| format!("the broker cannot be killed: {e}"))?;
        running.wait().map(|_| ()).map_err(|e| format!("waiting for the broker's end: {e}"))
    }

    /// Starts it on the same data and the same port.
    pub fn start_again(&mut self) -> Result<()> {
        let Place::Own { jars, folder, port, child } = &mut self.place else {
            return Err("brokers given by QUIETUS_TEST_KAFKA cannot be started by a test".to_owned());
        };
        if child.is_some() {
            return Ok(());
        }
        let path = folder.path().join("log");
        let log = fs::File::create(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        let errors = log.try_clone().map_err(|e| format!("{}: {e}", path.display()))?;
        let mut running = java(jars, "info")
            .arg("kafka.Kafka")
            .arg(folder.path().join("server.properties"))
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(errors)
            .spawn()
            .map_err(|e| format!("java: {e}"))?;
        let started = Instant::now();
        let said = || fs::read_to_string(&path).unwrap_or_default();
        while started.elapsed() < READY_WITHIN {
            if said().contains("Kafka Server started") && TcpStream::connect(("127.0.0.1", *port)).is_ok() {
                *child = Some(running);
                return Ok(());
            }
            if running.try_wait().map_err(|e| e.to_string())?.is_some() {
                return Err(format!("the broker ended at its start; it said:\n{}", said()));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        let _ = running.kill();
        let _ = running.wait();
        Err(format!("the broker was not ready within {READY_WITHIN:?}; it said:\n{}", said()))
    }
}

impl Drop for Kafka {
    fn drop(&mut self) {
        // Nobody reads what it would still write: a clean end would only take longer.
        if let Place::Own { child: Some(running), .. } = &mut self.place {
            let _ = running.kill();
            let _ = running.wait();
        }
    }
}
