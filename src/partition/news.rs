//! News that waits to be told, in files beside the store: a partition's state knows no more of it than its numbers.
//!
//! A file holds pieces one after the other and is named after its first: 20 decimal digits. A piece = length of what
//! follows the checksum (4 bytes), CRC-32C of that (4), number (8), all little endian, and the item in postcard.
//!
//! Invariant: what a root's state has given out and nobody was told is synced before that root is made, and what was
//! written after it is cut off when a start goes on from it, for the ledger gives it again. Memory does not grow with
//! the time that brokers are away. Rejected: waiting in the state, which is written whole at each flush; and reading
//! the ledger again, for what was news depends on a state that has moved on.

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use quietus_core::engine::news::Item;

use crate::durable;

/// The next file begins beyond this.
const FILE_BYTES: u64 = 4 << 20;
/// So much is written at once.
const BUFFER: usize = 64 << 10;
const HEAD: usize = 8;
const NUMBER: usize = 8;
/// No piece is as long: what says so is no length.
const PIECE_MAX: usize = 16 << 20;

/// What waits.
#[derive(Debug)]
pub struct Waiting {
    dir: PathBuf,
    /// The first number of each file, in order.
    files: VecDeque<u64>,
    /// The file that is written, and the length of what lies in it.
    last: Option<(File, u64)>,
    /// Not written yet, from this number on.
    buffer: Vec<u8>,
    buffered: u64,
    /// Where the piece after the one that was read last lies: its number, its file, its place.
    ahead: Option<(u64, u64, u64)>,
}

impl Waiting {
    /// Goes on with what lies there of the numbers beyond `told` up to `given`; None = some of it is missing. `more`:
    /// more was told than that, and what was may be gone.
    pub fn open(dir: &Path, told: u64, given: u64, more: bool) -> io::Result<Option<Self>> {
        durable::make_folder(dir)?;
        let mut files = Vec::new();
        for entry in fs::read_dir(dir)? {
            let name = entry?.file_name();
            files.extend(name.to_str().and_then(|name| name.parse::<u64>().ok()));
        }
        files.sort_unstable();
        let more = more && !files.is_empty();
        let mut waiting = Self { files: files.into(), ..Self::nothing(dir) };
        while waiting.files.back().is_some_and(|first| *first > given) {
            waiting.remove_last()?;
        }
        waiting.forget(told)?;
        let mut next = waiting.files.front().copied().unwrap_or(given + 1);
        let is_whole = more || next <= told.saturating_add(1) || told >= given;
        for first in waiting.files.clone() {
            let (mut place, mut gap) = (0, first != next);
            let mut pieces = Pieces::open(&waiting.path(first), 0)?;
            while next <= given && !gap {
                match pieces.next()? {
                    Some((number, _, end)) if number == next => (next, place) = (next + 1, end),
                    _ => gap = true,
                }
            }
            // The file after this one says whether it ended where it should.
            let follows = waiting.files.iter().any(|f| *f == next);
            if gap && !follows {
                break;
            }
            if waiting.files.back() == Some(&first) {
                let file = OpenOptions::new().write(true).open(waiting.path(first))?;
                file.set_len(place)?;
                waiting.last = Some((file, place));
            }
        }
        let reaches = next == given + 1 && (waiting.files.is_empty() || waiting.last.is_some());
        Ok((is_whole && reaches).then_some(waiting))
    }

    /// Nothing waits.
    pub fn anew(dir: &Path) -> io::Result<Self> {
        if dir.is_dir() {
            fs::remove_dir_all(dir)?;
        }
        durable::make_folder(dir)?;
        Ok(Self::nothing(dir))
    }

    fn nothing(dir: &Path) -> Self {
        let (dir, files) = (dir.to_owned(), VecDeque::new());
        Self { dir, files, last: None, buffer: Vec::new(), buffered: 0, ahead: None }
    }

    /// The next number. What cannot be written now waits in memory, and is written with the next.
    pub fn push(&mut self, number: u64, item: &Item) -> io::Result<()> {
        let body = postcard::to_allocvec(item).map_err(io::Error::other)?;
        let mut piece = number.to_le_bytes().to_vec();
        piece.extend_from_slice(&body);
        let length = u32::try_from(piece.len()).map_err(io::Error::other)?;
        if self.buffer.is_empty() {
            self.buffered = number;
        }
        self.buffer.extend_from_slice(&length.to_le_bytes());
        self.buffer.extend_from_slice(&crc32c::crc32c(&piece).to_le_bytes());
        self.buffer.extend_from_slice(&piece);
        if self.buffer.len() >= BUFFER { self.write() } else { Ok(()) }
    }

    fn write(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        if let Some((full, _)) = self.last.as_ref().filter(|(_, length)| *length >= FILE_BYTES) {
            full.sync_data()?;
            self.last = None;
        }
        if self.last.is_none() {
            let path = self.path(self.buffered);
            let file = OpenOptions::new().write(true).create(true).truncate(true).open(path)?;
            self.files.push_back(self.buffered);
            self.last = Some((file, 0));
        }
        if let Some((file, length)) = &mut self.last {
            file.write_all_at(&self.buffer, *length)?;
            *length += self.buffer.len() as u64;
            self.buffer.clear();
        }
        Ok(())
    }

    /// Everything that was pushed is on the disk.
    pub fn sync(&mut self) -> io::Result<()> {
        self.write()?;
        if let Some((file, _)) = &self.last {
            file.sync_data()?;
        }
        durable::sync_folder(&self.dir)
    }

    /// So many pieces from this number on, oldest first.
    pub fn read(&mut self, from: u64, most: usize) -> io::Result<Vec<(u64, Item)>> {
        self.write()?;
        let known = self.ahead.filter(|(number, ..)| *number == from);
        // With none that begins so early, those before the first are known to be told, or lost.
        let early = || self.files.iter().rev().find(|first| **first <= from).or(self.files.front());
        let holds = || early().map(|first| (*first, 0));
        let Some((mut file, mut place)) = known.map(|(_, file, place)| (file, place)).or_else(holds) else {
            return Ok(Vec::new());
        };
        let mut read = Vec::new();
        let mut pieces = Pieces::open(&self.path(file), place)?;
        while read.len() < most {
            match pieces.next()? {
                Some((number, body, end)) => {
                    place = end;
                    if number >= from {
                        read.push((number, postcard::from_bytes(&body).map_err(io::Error::other)?));
                    }
                }
                None => match self.files.iter().find(|first| **first > file) {
                    Some(next) => {
                        (file, place) = (*next, 0);
                        pieces = Pieces::open(&self.path(file), 0)?;
                    }
                    None => break,
                },
            }
        }
        self.ahead = read.last().map(|(number, _)| (number + 1, file, place));
        Ok(read)
    }

    /// These were told, as a root knows that stays: files without any other go.
    pub fn forget(&mut self, told: u64) -> io::Result<()> {
        while self.files.get(1).is_some_and(|second| *second <= told.saturating_add(1)) {
            if let Some(first) = self.files.pop_front() {
                self.ahead = self.ahead.filter(|(_, file, _)| *file != first);
                fs::remove_file(self.path(first))?;
            }
        }
        Ok(())
    }

    fn remove_last(&mut self) -> io::Result<()> {
        self.files.pop_back().map_or(Ok(()), |first| fs::remove_file(self.path(first)))
    }

    fn path(&self, first: u64) -> PathBuf {
        self.dir.join(format!("{first:020}"))
    }
}

/// The pieces of a file, up to its end or to what is none.
struct Pieces {
    file: io::BufReader<File>,
    place: u64,
}

impl Pieces {
    fn open(path: &Path, place: u64) -> io::Result<Self> {
        let mut file = File::open(path)?;
        file.seek(SeekFrom::Start(place))?;
        Ok(Self { file: io::BufReader::new(file), place })
    }

    /// Number, the item's bytes, and where it ends.
    fn next(&mut self) -> io::Result<Option<(u64, Vec<u8>, u64)>> {
        let Some(head) = self.bytes(HEAD)? else { return Ok(None) };
        let word = |bytes: Option<&[u8]>| {
            bytes.and_then(|b| b.first_chunk::<4>()).map_or(0, |four| u32::from_le_bytes(*four))
        };
        let (length, sum) = (word(head.get(..4)) as usize, word(head.get(4..)));
        if !(NUMBER..PIECE_MAX).contains(&length) {
            return Ok(None);
        }
        let Some(mut piece) = self.bytes(length)? else { return Ok(None) };
        if crc32c::crc32c(&piece) != sum {
            return Ok(None);
        }
        self.place += (HEAD + length) as u64;
        let number = piece.first_chunk::<NUMBER>().map_or(0, |eight| u64::from_le_bytes(*eight));
        piece.drain(..NUMBER);
        Ok(Some((number, piece, self.place)))
    }

    fn bytes(&mut self, count: usize) -> io::Result<Option<Vec<u8>>> {
        let mut bytes = Vec::with_capacity(count);
        (&mut self.file).take(count as u64).read_to_end(&mut bytes)?;
        Ok((bytes.len() == count).then_some(bytes))
    }
}

#[cfg(test)]
mod tests {
    use quietus_core::engine::news::What;
    use quietus_core::time::Millis;

    use super::*;

    fn item(number: u64) -> Item {
        let at = Millis(i64::try_from(number).unwrap());
        Item { at, what: What::DeadLetter { id: "x".repeat(100) }, trace: None }
    }

    fn filled(dir: &Path, given: u64) -> Waiting {
        let mut waiting = Waiting::open(dir, 0, 0, false).unwrap().unwrap();
        (1..=given).for_each(|n| waiting.push(n, &item(n)).unwrap());
        waiting
    }

    fn numbers(waiting: &mut Waiting, from: u64, most: usize) -> Vec<u64> {
        waiting.read(from, most).unwrap().into_iter().map(|(number, _)| number).collect()
    }

    #[test]
    fn memory_stays_level_however_much_waits_and_what_was_told_leaves_the_disk() {
        let dir = tempfile::tempdir().unwrap();
        let mut waiting = filled(dir.path(), 200_000);
        let held = waiting.buffer.capacity() + 8 * waiting.files.capacity();
        assert!(held <= 2 * BUFFER, "{held} bytes");
        assert!(waiting.files.len() > 3, "{:?}", waiting.files);
        let mut from = 1;
        while from <= 200_000 {
            let read = waiting.read(from, 1_000).unwrap();
            assert_eq!((read.len(), &read[0]), (1_000, &(from, item(from))));
            from = read[999].0 + 1;
            waiting.forget(from - 1).unwrap();
        }
        assert_eq!(numbers(&mut waiting, from, 10), [0; 0]);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_was_read_to_a_files_end_and_told_keeps_nobody_from_reading_on() {
        let dir = tempfile::tempdir().unwrap();
        let mut waiting = filled(dir.path(), 0);
        let mut given = 0;
        let push = |waiting: &mut Waiting, given: &mut u64| {
            *given += 1;
            waiting.push(*given, &item(*given)).unwrap();
        };
        while waiting.last.as_ref().is_none_or(|(_, length)| *length < FILE_BYTES) {
            push(&mut waiting, &mut given);
        }
        waiting.sync().unwrap();
        assert_eq!(numbers(&mut waiting, 1, usize::MAX).last(), Some(&given));
        push(&mut waiting, &mut given);
        waiting.sync().unwrap();
        waiting.forget(given - 1).unwrap();
        assert_eq!(waiting.files.len(), 1, "the first is gone");
        assert_eq!(numbers(&mut waiting, given, 5), [given]);
    }

    #[test]
    fn a_start_cuts_off_what_its_root_did_not_give_and_goes_on() {
        let dir = tempfile::tempdir().unwrap();
        let mut waiting = filled(dir.path(), 60_000);
        waiting.sync().unwrap();
        drop(waiting);
        for (told, given) in [(10, 50_000), (10, 41_000), (40_990, 41_000), (41_000, 41_000)] {
            let mut waiting = Waiting::open(dir.path(), told, given, false).unwrap().unwrap();
            let wanted: Vec<u64> = (told + 1..=given).take(5).collect();
            assert_eq!(numbers(&mut waiting, told + 1, 5), wanted);
            assert_eq!(waiting.read(given, 5).unwrap().len(), 1, "nothing beyond {given}");
        }
        let mut waiting = Waiting::open(dir.path(), 41_000, 41_000, false).unwrap().unwrap();
        waiting.push(41_001, &item(41_001)).unwrap();
        assert_eq!(numbers(&mut waiting, 41_001, 5), [41_001]);
    }

    #[test]
    fn what_is_missing_is_missed() {
        let dir = tempfile::tempdir().unwrap();
        let mut waiting = filled(dir.path(), 60_000);
        waiting.sync().unwrap();
        let files: Vec<u64> = waiting.files.iter().copied().collect();
        drop(waiting);
        assert!(Waiting::open(dir.path(), 0, 60_001, false).unwrap().is_none(), "it ends too early");
        let copy = |name: &str| {
            let copy = dir.path().join(name);
            fs::create_dir(&copy).unwrap();
            for first in &files {
                let file = format!("{first:020}");
                fs::copy(dir.path().join(&file), copy.join(&file)).unwrap();
            }
            copy
        };
        let without = copy("without");
        fs::remove_file(without.join(format!("{:020}", files[1]))).unwrap();
        assert!(Waiting::open(&without, 0, 60_000, false).unwrap().is_none(), "a file is gone");
        let bent = copy("bent");
        let path = bent.join(format!("{:020}", files[0]));
        let mut bytes = fs::read(&path).unwrap();
        bytes[20_000] ^= 1;
        fs::write(&path, bytes).unwrap();
        assert!(Waiting::open(&bent, 0, 60_000, false).unwrap().is_none(), "a bit is bent");
        assert!(Waiting::open(&bent, files[1], 60_000, false).unwrap().is_some(), "and was told already");
        let told = copy("told");
        fs::remove_file(told.join(format!("{:020}", files[0]))).unwrap();
        assert!(Waiting::open(&told, 10, 60_000, false).unwrap().is_none(), "the first file is gone");
        let mut waiting = Waiting::open(&told, 10, 60_000, true).unwrap().unwrap();
        assert_eq!(numbers(&mut waiting, 11, 2), [files[1], files[1] + 1], "as told as it was");
        fs::remove_dir_all(&told).unwrap();
        assert!(Waiting::open(&told, 10, 60_000, true).unwrap().is_none(), "the last file never is");
    }
}
