//! One PostgreSQL server of one's own, or a database in a given one, where what stops or kills the server is an error.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::account::{hand_over, ordinary, run};
use crate::{Result, free_port};

const READY_WITHIN: Duration = Duration::from_secs(60);
const USER: &str = "lab";

/// How the server is started.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Off makes tests faster, and their figures worthless.
    pub fsync: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { fsync: true }
    }
}

/// A running server; dropping it stops it and removes its folder.
#[derive(Debug)]
pub struct Postgres {
    place: Place,
}

#[derive(Debug)]
enum Place {
    Own { bin: PathBuf, folder: TempDir, port: u16, options: Options, child: Option<Child> },
    Given { url: String },
}

impl Postgres {
    /// A fresh server with one database `lab`.
    pub fn start(options: Options) -> Result<Self> {
        let bin = programs()?;
        let folder =
            TempDir::with_prefix("quietus-postgres-").map_err(|e| format!("no temporary folder: {e}"))?;
        hand_over(folder.path())?;
        let data = folder.path().join("data");
        run(ordinary(&bin.join("initdb"))
            .arg("-D")
            .arg(&data)
            .args(["-U", USER, "-A", "trust", "-E", "UTF8", "--locale", "C", "--no-sync"])
            .current_dir(folder.path()))?;
        let place = Place::Own { bin, folder, port: free_port()?, options, child: None };
        let mut server = Self { place };
        server.start_again()?;
        server.psql("postgres", &format!("CREATE DATABASE {USER}"))?;
        Ok(server)
    }

    /// A server that follows this one as a hot standby, on a port of its own.
    pub fn standby(&self) -> Result<Self> {
        let Place::Own { bin, port, options, .. } = &self.place else {
            return Err("a given server cannot be followed from here".to_owned());
        };
        let folder =
            TempDir::with_prefix("quietus-standby-").map_err(|e| format!("no temporary folder: {e}"))?;
        hand_over(folder.path())?;
        run(ordinary(&bin.join("pg_basebackup"))
            .args(["-h", "127.0.0.1", "-p", &port.to_string(), "-U", USER, "-R", "-c", "fast", "-D"])
            .arg(folder.path().join("data"))
            .current_dir(folder.path()))?;
        let place =
            Place::Own { bin: bin.clone(), folder, port: free_port()?, options: *options, child: None };
        let mut standby = Self { place };
        standby.start_again()?;
        Ok(standby)
    }

    /// A new database in a server that is there; it stays there afterwards.
    pub fn given(url: &str) -> Result<Self> {
        let given = Self { place: Place::Given { url: url.to_owned() } };
        Ok(Self { place: Place::Given { url: given.database()? } })
    }

    /// Whether its programs are here.
    pub fn is_installed() -> bool {
        find().is_some()
    }

    /// One of its programs, such as `pg_dump`, to be run against any server of that version.
    pub fn program(name: &str) -> Result<Command> {
        Ok(Command::new(programs()?.join(name)))
    }

    /// A new, empty database; answers its URL.
    pub fn database(&self) -> Result<String> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("quietus_{}_{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let url = self.url();
        let psql = programs()?.join("psql");
        // The server's own vacuum may sit in template1, which then is no template; nobody ever connects to this one.
        let statement = format!("CREATE DATABASE {name} TEMPLATE template0");
        run(Command::new(psql).args([&url, "-X", "-q", "-c", &statement]))?;
        other_database(&url, &name)
    }

    /// Where clients connect.
    pub fn url(&self) -> String {
        match &self.place {
            Place::Own { port, .. } => format!("postgres://{USER}@127.0.0.1:{port}/{USER}"),
            Place::Given { url } => url.clone(),
        }
    }

    /// Fast shutdown: open transactions are rolled back, connections closed.
    pub fn stop(&mut self) -> Result<()> {
        self.end("-INT")
    }

    /// As a power cut takes it: nothing is written any more. The postmaster's children end by themselves.
    pub fn kill9(&mut self) -> Result<()> {
        self.end("-KILL")
    }

    /// Starts it on the same data and the same port.
    pub fn start_again(&mut self) -> Result<()> {
        let Place::Own { bin, folder, port, options, child } = &mut self.place else {
            return Err("a given server cannot be started from here".to_owned());
        };
        if child.is_some() {
            return Ok(());
        }
        let log_path = folder.path().join("log");
        let log = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(&log_path)
            .map_err(|e| format!("{}: {e}", log_path.display()))?;
        let data = folder.path().join("data");
        let started = Instant::now();
        loop {
            let mut running = ordinary(&bin.join("postgres"))
                .arg("-D")
                .arg(&data)
                .args(["-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="])
                .args(["-c", &format!("port={port}"), "-c", "wal_level=logical", "-c", "max_connections=50"])
                // So that a test can say when something was committed, not only when it was done.
                .args(["-c", "track_commit_timestamp=on"])
                .args(["-c", if options.fsync { "fsync=on" } else { "fsync=off" }])
                .current_dir(folder.path())
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(log.try_clone().map_err(|e| format!("{}: {e}", log_path.display()))?)
                .spawn()
                .map_err(|e| format!("{}: {e}", bin.join("postgres").display()))?;
            while started.elapsed() < READY_WITHIN {
                if is_ready(bin, *port) {
                    *child = Some(running);
                    return Ok(());
                }
                // After a kill the shared memory of the old server may live for a moment: it ends at once, and is
                // tried again.
                if running.try_wait().map_err(|e| e.to_string())?.is_some() {
                    break;
                }
                std::thread::sleep(Duration::from_millis(20));
            }
            if started.elapsed() >= READY_WITHIN {
                let _ = running.kill();
                let _ = running.wait();
                let said = fs::read_to_string(&log_path).unwrap_or_default();
                return Err(format!("PostgreSQL was not ready within {READY_WITHIN:?}; it said:\n{said}"));
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    fn end(&mut self, signal: &str) -> Result<()> {
        let Place::Own { child, .. } = &mut self.place else {
            return Err("a given server cannot be stopped from here".to_owned());
        };
        let Some(mut running) = child.take() else { return Ok(()) };
        run(Command::new("kill").arg(signal).arg(running.id().to_string()))?;
        running.wait().map(|_| ()).map_err(|e| format!("waiting for the server's end: {e}"))
    }

    /// Starts it again with this setting, which stays; a given server stays as it is.
    pub fn set(&mut self, setting: &str) -> Result<()> {
        if matches!(self.place, Place::Given { .. }) {
            return Ok(());
        }
        self.psql("postgres", &format!("ALTER SYSTEM SET {setting}"))?;
        self.stop()?;
        self.start_again()
    }

    fn psql(&self, database: &str, statement: &str) -> Result<()> {
        let Place::Own { bin, port, .. } = &self.place else { return Ok(()) };
        run(Command::new(bin.join("psql"))
            .args(["-h", "127.0.0.1", "-p", &port.to_string(), "-U", USER, "-d", database, "-X", "-q"])
            .args(["-c", statement]))
    }
}

/// The same server and login, another database.
fn other_database(url: &str, name: &str) -> Result<String> {
    let (server, options) = url.split_once('?').map_or((url, String::new()), |(s, o)| (s, format!("?{o}")));
    let (server, _) =
        server.rsplit_once('/').ok_or("a given server's URL must name a database: postgres://HOST/DB")?;
    Ok(format!("{server}/{name}{options}"))
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if let Place::Own { child: Some(_), .. } = &self.place
            && let Err(e) = self.end("-QUIT")
        {
            eprintln!("{e}");
        }
    }
}

/// The newest folder with `initdb` and `postgres`.
fn programs() -> Result<PathBuf> {
    find().ok_or_else(|| {
        "PostgreSQL's initdb is neither in /usr/lib/postgresql nor in PATH: `apt-get install postgresql`"
            .to_owned()
    })
}

fn find() -> Option<PathBuf> {
    let complete = |folder: &PathBuf| ["initdb", "postgres", "psql"].iter().all(|p| folder.join(p).is_file());
    let debian = fs::read_dir("/usr/lib/postgresql").ok().and_then(|versions| {
        versions
            .filter_map(|v| Some(v.ok()?.path().join("bin")))
            .filter(complete)
            .max_by_key(|folder| version(folder))
    });
    debian.or_else(|| std::env::split_paths(&std::env::var_os("PATH")?).find(complete))
}

fn version(bin: &Path) -> u32 {
    bin.parent().and_then(|p| p.file_name()?.to_str()?.parse().ok()).unwrap_or(0)
}

fn is_ready(bin: &Path, port: u16) -> bool {
    Command::new(bin.join("psql"))
        .args([
            "-h",
            "127.0.0.1",
            "-p",
            &port.to_string(),
            "-U",
            USER,
            "-d",
            "postgres",
            "-X",
            "-q",
            "-c",
            "SELECT 1",
        ])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|s| s.success())
}
