//! Apache Kafka (KRaft) of a test's own, one node or several: its jars come from Maven, once, into `.test/` of the
//! repository.
//!
//! `QUIETUS_TEST_KAFKA` names brokers to use instead: then topics stay there afterwards, and what stops or kills the
//! server is an error.

use std::fs;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::account::run;
use crate::authority::{Authority, Pair};
use crate::maven::{compiler, jars, java};
use crate::{Result, free_port};

const READY_WITHIN: Duration = Duration::from_secs(120);
/// Any constant UUID does.
const CLUSTER: &str = "SxB_CD6ySp6vTUu8-gjfKQ";
const ARTIFACTS: [&str; 2] = ["org.apache.kafka:kafka_2.13:4.3.1", "org.slf4j:slf4j-simple:1.7.36"];
/// Started fast and kept small: as many copies as there are nodes, and a killed one registers again only when its old
/// session has run out.
const PROPERTIES: &str = "process.roles=broker,controller
node.id=@ID@
listeners=PLAINTEXT://127.0.0.1:@BROKER@,CONTROLLER://127.0.0.1:@CONTROLLER@
controller.listener.names=CONTROLLER
controller.quorum.voters=@VOTERS@
log.dirs=@DIR@/data
auto.create.topics.enable=false
offsets.topic.replication.factor=@COPIES@
transaction.state.log.replication.factor=@COPIES@
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=@COPIES@
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
/// A second listener by TLS that wants a certificate of its authority's, a name and a password: `ann` and `s3cret`.
const LOCKED: &str = "listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,LOCKED:SASL_SSL
inter.broker.listener.name=PLAINTEXT
sasl.enabled.mechanisms=PLAIN
listener.name.locked.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required user_ann=\"s3cret\";
listener.name.locked.ssl.client.auth=required
listener.name.locked.ssl.keystore.type=PEM
listener.name.locked.ssl.keystore.location=@DIR@/broker.pem
listener.name.locked.ssl.truststore.type=PEM
listener.name.locked.ssl.truststore.location=@DIR@/authority.pem
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
        let mut server = Self::prepared(root, 0, &[ports()?])?;
        server.start_again()?;
        Ok(server)
    }

    /// A fresh broker that can be reached at a locked listener too. Always one of the test's own: given ones have locks
    /// of theirs.
    pub fn start_locked(root: &Path) -> Result<(Self, Lock)> {
        let port = free_port()?;
        let mut server = Self::prepared(root, 0, &[Ports { locked: Some(port), ..ports()? }])?;
        let lock = server.lock(port)?;
        server.start_again()?;
        Ok((server, lock))
    }

    /// Its certificates, beside its properties.
    fn lock(&self, port: u16) -> Result<Lock> {
        let Place::Own { folder, .. } = &self.place else {
            return Err("not a broker of one's own".to_owned());
        };
        let write = |name: &str, text: &str| {
            let file = folder.path().join(name);
            fs::write(&file, text).map_err(|e| format!("{}: {e}", file.display()))
        };
        let authority = Authority::new()?;
        let own = authority.issue()?;
        write("broker.pem", &format!("{}{}", own.key, own.chain))?;
        write("authority.pem", &authority.certificate)?;
        let client = authority.issue()?;
        Ok(Lock { brokers: format!("127.0.0.1:{port}"), authority: authority.certificate, client })
    }

    /// One node of several, not started: `at` says which.
    fn prepared(root: &Path, at: usize, all: &[Ports]) -> Result<Self> {
        let jars = jars(root, "kafka", &ARTIFACTS)?;
        let folder =
            TempDir::with_prefix("quietus-kafka-").map_err(|e| format!("no temporary folder: {e}"))?;
        let Some(own) = all.get(at) else { return Err(format!("no ports for node {at}")) };
        let voter = |(n, ports): (usize, &Ports)| format!("{}@127.0.0.1:{}", n + 1, ports.controller);
        let voters: Vec<String> = all.iter().enumerate().map(voter).collect();
        let mut properties = PROPERTIES
            .replace("@ID@", &(at + 1).to_string())
            .replace("@VOTERS@", &voters.join(","))
            .replace("@COPIES@", &all.len().to_string())
            .replace("@BROKER@", &own.broker.to_string())
            .replace("@CONTROLLER@", &own.controller.to_string())
            .replace("@DIR@", &folder.path().display().to_string());
        if let Some(locked) = own.locked {
            let listeners = format!("listeners=LOCKED://127.0.0.1:{locked},");
            let lock = LOCKED.replace("@DIR@", &folder.path().display().to_string());
            properties = properties.replacen("listeners=", &listeners, 1) + &lock;
        }
        let file = folder.path().join("server.properties");
        fs::write(&file, properties).map_err(|e| format!("{}: {e}", file.display()))?;
        run(java(&jars, "warn").args(["kafka.tools.StorageTool", "format", "-t", CLUSTER, "-c"]).arg(&file))?;
        Ok(Self { place: Place::Own { jars, folder, port: own.broker, child: None } })
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
        self.spawn()?;
        self.ready()
    }

    fn spawn(&mut self) -> Result<()> {
        let Place::Own { jars, folder, child, .. } = &mut self.place else {
            return Err("brokers given by QUIETUS_TEST_KAFKA cannot be started by a test".to_owned());
        };
        if child.is_some() {
            return Ok(());
        }
        let path = folder.path().join("log");
        let log = fs::File::create(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        let errors = log.try_clone().map_err(|e| format!("{}: {e}", path.display()))?;
        let running = java(jars, "info")
            .arg("kafka.Kafka")
            .arg(folder.path().join("server.properties"))
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(errors)
            .spawn()
            .map_err(|e| format!("java: {e}"))?;
        *child = Some(running);
        Ok(())
    }

    /// Waits until it takes connections; one that does not is stopped.
    fn ready(&mut self) -> Result<()> {
        let Place::Own { folder, port, child: Some(running), .. } = &mut self.place else { return Ok(()) };
        let path = folder.path().join("log");
        let started = Instant::now();
        let said = || fs::read_to_string(&path).unwrap_or_default();
        while started.elapsed() < READY_WITHIN {
            if said().contains("Kafka Server started") && TcpStream::connect(("127.0.0.1", *port)).is_ok() {
                return Ok(());
            }
            if running.try_wait().map_err(|e| e.to_string())?.is_some() {
                return Err(format!("the broker ended at its start; it said:\n{}", said()));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        let told = said();
        self.kill9()?;
        Err(format!("the broker was not ready within {READY_WITHIN:?}; it said:\n{told}"))
    }
}

/// How a locked listener is reached: there `ann`, `s3cret`, SASL/PLAIN and this certificate are let in.
#[derive(Clone, Debug)]
pub struct Lock {
    pub brokers: String,
    /// Whom the broker's certificate is from, PEM.
    pub authority: String,
    pub client: Pair,
}

#[derive(Clone, Copy, Debug)]
struct Ports {
    broker: u16,
    controller: u16,
    /// Where clients must show who they are.
    locked: Option<u16>,
}

fn ports() -> Result<Ports> {
    Ok(Ports { broker: free_port()?, controller: free_port()?, locked: None })
}

/// Several nodes of one cluster; dropping it stops them.
#[derive(Debug)]
pub struct Cluster {
    nodes: Vec<Kafka>,
}

impl Cluster {
    /// Fresh nodes, every one broker and controller; always of one's own, because they are there to be killed.
    pub fn start(root: &Path, size: usize) -> Result<Self> {
        let all = (0..size).map(|_| ports()).collect::<Result<Vec<_>>>()?;
        let nodes = (0..size).map(|at| Kafka::prepared(root, at, &all)).collect::<Result<_>>()?;
        let mut cluster = Self { nodes };
        cluster.start_again()?;
        Ok(cluster)
    }

    /// Where clients connect: `HOST:PORT`, comma, `HOST:PORT`.
    pub fn brokers(&self) -> String {
        self.nodes.iter().map(Kafka::brokers).collect::<Vec<_>>().join(",")
    }

    /// Whichever do not run, on the same data and ports. None is ready before most are.
    pub fn start_again(&mut self) -> Result<()> {
        self.nodes.iter_mut().try_for_each(Kafka::spawn)?;
        self.nodes.iter_mut().try_for_each(Kafka::ready)
    }

    /// One of them, as a power cut takes it.
    pub fn kill9(&mut self, at: usize) -> Result<()> {
        self.nodes.get_mut(at).map_or_else(|| Err(format!("there is no node {at}")), Kafka::kill9)
    }

    pub fn size(&self) -> usize {
        self.nodes.len()
    }
}

/// A program of one source file, to be run with Kafka's own client on its class path.
pub fn java_program(root: &Path, source: &Path) -> Result<Command> {
    let jars = jars(root, "kafka", &ARTIFACTS)?;
    compiler()?;
    let mut command = java(&jars, "warn");
    command.arg(source);
    Ok(command)
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
