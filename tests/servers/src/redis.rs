//! One Redis server of a test's own, with nothing kept on disk.

use std::fs;
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::account::{hand_over, ordinary, run};
use crate::{Result, free_port, packages};

const READY_WITHIN: Duration = Duration::from_secs(30);

/// A running server; dropping it stops it and removes its folder.
#[derive(Debug)]
pub struct Redis {
    program: PathBuf,
    folder: TempDir,
    port: u16,
    options: Vec<String>,
    child: Option<Child>,
}

impl Redis {
    /// A fresh, empty server.
    pub fn start() -> Result<Self> {
        Self::start_with(&[])
    }

    /// With options as on its command line: `["--cluster-enabled", "yes"]`.
    pub fn start_with(options: &[&str]) -> Result<Self> {
        let folder =
            TempDir::with_prefix("quietus-redis-").map_err(|e| format!("no temporary folder: {e}"))?;
        hand_over(folder.path())?;
        let options = options.iter().map(|o| (*o).to_owned()).collect();
        let mut server = Self { program: program()?, folder, port: free_port()?, options, child: None };
        server.start_again()?;
        Ok(server)
    }

    /// Where clients connect.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Ends it at once: what it held is gone.
    pub fn stop(&mut self) -> Result<()> {
        let Some(mut running) = self.child.take() else { return Ok(()) };
        run(Command::new("kill").arg("-KILL").arg(running.id().to_string()))?;
        running.wait().map(|_| ()).map_err(|e| format!("waiting for the server's end: {e}"))
    }

    /// Starts it on the same port, empty.
    pub fn start_again(&mut self) -> Result<()> {
        if self.child.is_some() {
            return Ok(());
        }
        let log_path = self.folder.path().join("log");
        let mut running = ordinary(&self.program)
            .args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--daemonize", "no"])
            .args(["--port", &self.port.to_string()])
            .arg("--dir")
            .arg(self.folder.path())
            .arg("--logfile")
            .arg(&log_path)
            .args(&self.options)
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|e| format!("{}: {e}", self.program.display()))?;
        let started = Instant::now();
        while started.elapsed() < READY_WITHIN {
            if TcpStream::connect(("127.0.0.1", self.port)).is_ok() {
                self.child = Some(running);
                return Ok(());
            }
            if running.try_wait().map_err(|e| e.to_string())?.is_some() {
                break;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = running.kill();
        let _ = running.wait();
        let said = fs::read_to_string(&log_path).unwrap_or_default();
        Err(format!("Redis was not ready within {READY_WITHIN:?}; it said:\n{said}"))
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        if let Err(e) = self.stop() {
            eprintln!("{e}");
        }
    }
}

fn program() -> Result<PathBuf> {
    let find = || packages::program("redis-server");
    if let Some(found) = find() {
        return Ok(found);
    }
    packages::install("redis-server")?;
    find().ok_or_else(|| "Redis was installed, but redis-server is not in PATH".to_owned())
}
