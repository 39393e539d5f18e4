//! What the shop writes to disk beside its databases: an archive of sign-ups, and each night a backup of its customers,
//! of which the last fourteen are kept.

use std::fs::{self, File, FileTimes, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use quietus_core::time::Millis;

/// Nights that a backup is kept.
pub const NIGHTS: i64 = 14;
/// The first line of each.
const HEAD: &str = "customer_id,name,email,phone,city,created_at";

#[derive(Debug)]
pub struct Disk {
    archive: PathBuf,
    backups: PathBuf,
}

impl Disk {
    pub fn create(dir: &Path) -> io::Result<Self> {
        let disk = Self { archive: dir.join("archive"), backups: dir.join("backups") };
        fs::create_dir_all(&disk.archive)?;
        fs::create_dir_all(&disk.backups)?;
        Ok(disk)
    }

    /// A line in the month's file.
    pub fn signed_up(&self, customer: i64, at: &str) -> io::Result<()> {
        let month = self.archive.join(format!("dt={}", at.get(..7).unwrap_or_default()));
        fs::create_dir_all(&month)?;
        let mut file = OpenOptions::new().create(true).append(true).open(month.join("signups.jsonl"))?;
        writeln!(file, "{{\"customer_id\": {customer}, \"at\": \"{at}\", \"plan\": \"basic\"}}")
    }

    /// The night's backup, as old as the night is; those past their time go.
    pub fn back_up(&self, customers: &[String], now: Millis) -> io::Result<()> {
        let path = self.backups.join(name(now));
        let mut file = File::create(&path)?;
        writeln!(file, "{HEAD}")?;
        customers.iter().try_for_each(|row| writeln!(file, "{row}"))?;
        file.set_times(FileTimes::new().set_modified(time(now)))?;
        let oldest = name(now.plus(-NIGHTS * Millis::DAY));
        for entry in fs::read_dir(&self.backups)? {
            let path = entry?.path();
            if path.file_name().is_some_and(|n| *n <= *oldest) {
                fs::remove_file(path)?;
            }
        }
        Ok(())
    }

    /// The rows of that night's backup.
    pub fn restore(&self, night: Millis) -> io::Result<Vec<Vec<String>>> {
        let text = fs::read_to_string(self.backups.join(name(night)))?;
        Ok(text.lines().skip(1).map(|row| row.split(',').map(str::to_owned).collect()).collect())
    }
}

fn name(night: Millis) -> String {
    format!("customers-{}.csv", night.to_string().get(..10).unwrap_or_default())
}

fn time(at: Millis) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(u64::try_from(at.0).unwrap_or_default())
}
