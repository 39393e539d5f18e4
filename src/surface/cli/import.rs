//! A file's records to a node, piece by piece.
//!
//! The node knows by the file's hash how far it has come: an import that was interrupted is run again, and goes on.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::Path;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::Failure;
use super::output::say;
use crate::surface::client::Client;

/// A piece; the node takes 16 MiB at most.
const PIECE_RECORDS: u64 = 5_000;
const PIECE_BYTES: usize = 4 << 20;
const SAY_EVERY: Duration = Duration::from_secs(2);

#[derive(Debug, Default, Serialize)]
pub struct Done {
    /// In the file.
    pub records: u64,
    /// Of them, taken in by an earlier run.
    pub known: u64,
    pub taken: u64,
    pub skipped: u64,
    pub dead_letters: u64,
}

pub async fn run(client: &Client, path: &Path, source: &str) -> Result<Done, Failure> {
    let failed = |cause: std::io::Error| {
        Failure::usage(format!("{}: cannot be read: {cause}; check the path and its rights", path.display()))
    };
    let mut file = File::open(path).map_err(failed)?;
    let (digest, records) = survey(&mut file).map_err(failed)?;
    let begun = client.import(source, &digest, 0, Vec::new()).await?;
    let mut done = Done { records, known: begun.next.min(records), ..Done::default() };
    if done.known > 0 && done.known < records {
        say(&format!("{} of {records} records are known: going on", done.known));
    }
    file.seek(SeekFrom::Start(0)).map_err(failed)?;
    let mut lines = BufReader::new(file);
    let (mut number, mut next) = (0u64, begun.next);
    let (mut piece, mut first) = (Vec::new(), next);
    let mut said = Instant::now();
    let mut line = Vec::new();
    loop {
        line.clear();
        let end = lines.read_until(b'\n', &mut line).map_err(failed)? == 0;
        let is_record = !line.trim_ascii().is_empty();
        if is_record && number >= next {
            piece.extend_from_slice(line.trim_ascii());
            piece.push(b'\n');
        }
        number += u64::from(is_record);
        let full = piece.len() >= PIECE_BYTES || number.saturating_sub(first) >= PIECE_RECORDS;
        if !piece.is_empty() && (end || full) {
            let answer = client.import(source, &digest, first, std::mem::take(&mut piece)).await?;
            done.taken += answer.taken;
            done.skipped += answer.skipped;
            done.dead_letters += answer.dead_letters;
            (next, first) = (answer.next, answer.next);
        }
        if said.elapsed() >= SAY_EVERY {
            say(&format!("{next} of {records} records, {} dead letters", done.dead_letters));
            said = Instant::now();
        }
        if end {
            say(&format!("{next} of {records} records, {} dead letters", done.dead_letters));
            return Ok(done);
        }
    }
}

/// What the file goes by, and how many records it holds.
fn survey(file: &mut File) -> std::io::Result<(String, u64)> {
    let mut hash = blake3::Hasher::new();
    let mut buffer = vec![0; 1 << 20];
    let (mut records, mut blank) = (0, true);
    loop {
        let n = file.read(&mut buffer)?;
        let Some(read) = buffer.get(..n).filter(|read| !read.is_empty()) else {
            return Ok((hash.finalize().to_hex().to_string(), records));
        };
        hash.update(read);
        for byte in read {
            if *byte == b'\n' {
                blank = true;
            } else if blank && !byte.is_ascii_whitespace() {
                blank = false;
                records += 1;
            }
        }
    }
}
