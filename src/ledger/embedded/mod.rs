//! The embedded backend: one sequence of segment files for all streams, one fsync a group.
//!
//! One thread writes: it takes every append that waits, writes them in one go, syncs once, and answers them all.
//! Invariants: an answer means the frame is on disk; readers see synced frames only; a stream's frames stand in the
//! order of their offsets without a gap; whatever of it changes, goes or moves is found by [`verify`]; truncation
//! gives files back to the system, and leaves the control log whole.
//!
//! After a failed sync nothing is appended until a restart: the kernel may have dropped the pages and would call the
//! next sync a success. A full disk is no such end: what was half written is cut off again and the next append tries
//! anew. Rejected: a file per stream (one fsync each, measured slower), repairing damage (who cuts it away loses
//! what stood behind it without a word).

mod examine;
mod frame;
mod index;
mod kept;
mod mark;
mod reader;
mod recover;
mod replay;
mod segment;
#[cfg(test)]
mod tests;
mod verify;
mod walk;
mod writer;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::thread::JoinHandle;

use tokio::sync::{Semaphore, oneshot, watch};

pub use examine::Tail;
pub use frame::MAX_BODY;
pub use reader::Reader;
pub use replay::replay;
pub use verify::{Verified, verify};

use super::{LedgerError, Position, Stream};
use index::Index;
use writer::{Job, Message, Writer};

/// A segment's head names every stream's offset, so their number has a bound.
pub const MAX_PARTITIONS: u32 = 1024;
/// What one `append_many` may bring: it is durable whole or not at all, so it is written in one go.
pub const MAX_APPEND: usize = 16 << 20;
/// Bytes that may wait for the disk; further appends wait for room.
const MAX_WAITING: usize = 32 << 20;

/// How a ledger is made. Only `segment_bytes` may differ when it is opened again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    pub partitions: u32,
    /// The ledger is made under a simulated clock.
    pub simulated: bool,
    /// A new segment begins beyond this size.
    pub segment_bytes: u64,
    /// Of a ledger that is made now; one that is there keeps its own.
    pub generation: u32,
}

impl Default for Options {
    fn default() -> Self {
        Self { partitions: 4, simulated: false, segment_bytes: 64 << 20, generation: 1 }
    }
}

/// What opening found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovered {
    /// There was no ledger; this one is new.
    pub created: bool,
    /// The last node shut down in order.
    pub clean: bool,
    /// What a crash left unfinished at the end, and was cut off.
    pub cut: Option<Tail>,
    pub ledger: [u8; 16],
    pub generation: u32,
    /// The next offset of every stream, by slot: compare it with what the store's root has seen.
    pub ends: Vec<u64>,
    pub frames: u64,
}

/// An open ledger; clones share it. The folder is locked until the last clone is dropped.
#[derive(Clone)]
pub struct Ledger {
    inner: Arc<Inner>,
}

struct Inner {
    shared: Arc<Shared>,
    sender: Sender<Message>,
    room: Arc<Semaphore>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

/// What the writer tells the readers.
struct Shared {
    dir: PathBuf,
    ledger: [u8; 16],
    generation: u32,
    partitions: u32,
    simulated: bool,
    index: RwLock<Index>,
    durable: watch::Sender<Durable>,
    /// The next offset of every stream, by slot, of what is synced.
    ends: Vec<watch::Sender<u64>>,
}

/// How far readers may go.
#[derive(Clone, Copy, Debug)]
struct Durable {
    /// The end of what is synced.
    end: Position,
    /// Nothing will follow.
    closed: bool,
}

impl Ledger {
    /// Opens the ledger in this folder, or makes one. Reads all of it once: what is damaged is an error, what a
    /// crash left unfinished at the end is cut off and reported.
    pub fn create_or_open(dir: &Path, options: Options) -> Result<(Self, Recovered), LedgerError> {
        let (writer, recovered) = recover::open(dir, &options)?;
        Ok((Self::start(writer)?, recovered))
    }

    fn start(writer: Writer) -> Result<Self, LedgerError> {
        let shared = writer.shared.clone();
        let (sender, messages) = channel();
        let thread = std::thread::Builder::new()
            .name("ledger".to_owned())
            .spawn(move || writer.run(messages))
            .map_err(LedgerError::io(&shared.dir, "start the thread that writes"))?;
        let room = Arc::new(Semaphore::new(MAX_WAITING));
        let inner = Inner { shared, sender, room, writer: Mutex::new(Some(thread)) };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Appends one frame; answers its offset once it is durable. Dropping the future may or may not append it.
    pub async fn append(&self, stream: Stream, body: Vec<u8>) -> Result<u64, LedgerError> {
        let offsets = self.append_many(vec![(stream, body)]).await?;
        offsets.first().copied().ok_or(LedgerError::Closed)
    }

    /// Appends frames in this order, in one write; answers their offsets once all are durable. A failure leaves none
    /// of them, unless it says that it might have happened; a crash may leave the first few.
    pub async fn append_many(&self, frames: Vec<(Stream, Vec<u8>)>) -> Result<Vec<u64>, LedgerError> {
        let mut bytes = 0usize;
        for (stream, body) in &frames {
            self.slot(*stream)?;
            if body.len() > MAX_BODY {
                return Err(LedgerError::TooLarge { bytes: body.len(), limit: MAX_BODY });
            }
            bytes += frame::HEAD + body.len();
        }
        if bytes > MAX_APPEND {
            return Err(LedgerError::TooLarge { bytes, limit: MAX_APPEND });
        }
        if frames.is_empty() {
            return Ok(Vec::new());
        }
        let permits = u32::try_from(bytes).unwrap_or(u32::MAX);
        let room =
            self.inner.room.clone().acquire_many_owned(permits).await.map_err(|_| LedgerError::Closed)?;
        let (answer, answered) = oneshot::channel();
        let job = Job { frames, bytes, answer, _room: room };
        self.inner.sender.send(Message::Append(job)).map_err(|_| LedgerError::Closed)?;
        answered.await.map_err(|_| LedgerError::Closed)?
    }

    /// The stream's durable frames from this offset on; goes on as more become durable.
    pub fn read(&self, stream: Stream, from: u64) -> Result<Reader, LedgerError> {
        Reader::of_stream(self.inner.shared.clone(), stream, from)
    }

    /// Every durable frame of every stream, as they stand in the files, from these offsets on (by slot; a stream
    /// that is not named is read from its beginning). One sequential pass: what a rebuild wants.
    pub fn scan(&self, from: &[u64]) -> Result<Reader, LedgerError> {
        Reader::of_all(self.inner.shared.clone(), from)
    }

    /// The stream's next offset, of what is durable; changes as frames become so.
    pub fn subscribe(&self, stream: Stream) -> Result<watch::Receiver<u64>, LedgerError> {
        let slot = self.slot(stream)?;
        let end = self.inner.shared.ends.get(slot).ok_or(LedgerError::Closed)?;
        Ok(end.subscribe())
    }

    /// The stream's next offset, of what is durable.
    pub fn end(&self, stream: Stream) -> Result<u64, LedgerError> {
        self.subscribe(stream).map(|end| *end.borrow())
    }

    /// The stream's oldest offset that is still there.
    pub fn first(&self, stream: Stream) -> Result<u64, LedgerError> {
        Ok(self.inner.shared.index().first(self.slot(stream)?))
    }

    /// Gives up the segments that hold nothing at or above these offsets (by slot); what they held of the control log
    /// is kept. Answers how many.
    pub async fn truncate_before(&self, floors: Vec<u64>) -> Result<u64, LedgerError> {
        let (first, entries) = {
            let index = self.inner.shared.index();
            let first = index.needed_from(&floors);
            (first, index.control_before(first))
        };
        let reader = self.read(Stream::Control, 0)?;
        // Read here: the thread that writes has others waiting.
        let read = tokio::task::spawn_blocking(move || {
            let entries = usize::try_from(entries).unwrap_or(usize::MAX);
            let bodies = reader.take(entries).map(|frame| frame.map(|frame| frame.body));
            bodies.collect::<Result<Vec<_>, _>>()
        });
        let control = read.await.map_err(|_| LedgerError::Closed)??;
        let (answer, answered) = oneshot::channel();
        let message = Message::Truncate { first, control, answer };
        self.inner.sender.send(message).map_err(|_| LedgerError::Closed)?;
        answered.await.map_err(|_| LedgerError::Closed)?
    }

    /// What follows stands in a segment of its own, so that what is there now can be given up without it.
    pub async fn begin_segment(&self) -> Result<(), LedgerError> {
        let (answer, answered) = oneshot::channel();
        self.inner.sender.send(Message::Begin { answer }).map_err(|_| LedgerError::Closed)?;
        answered.await.map_err(|_| LedgerError::Closed)?
    }

    /// Writes what waits, and the mark of a clean shutdown. Later appends are refused. Dropping the last clone does
    /// the same, but tells nobody when it fails.
    pub async fn close(&self) -> Result<(), LedgerError> {
        let (answer, answered) = oneshot::channel();
        self.inner.sender.send(Message::Close(Some(answer))).map_err(|_| LedgerError::Closed)?;
        answered.await.map_err(|_| LedgerError::Closed)?
    }

    pub fn partitions(&self) -> u32 {
        self.inner.shared.partitions
    }

    pub fn simulated(&self) -> bool {
        self.inner.shared.simulated
    }

    pub fn generation(&self) -> u32 {
        self.inner.shared.generation
    }

    pub fn id(&self) -> [u8; 16] {
        self.inner.shared.ledger
    }

    fn slot(&self, stream: Stream) -> Result<usize, LedgerError> {
        self.inner.shared.slot(stream)
    }
}

impl fmt::Debug for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let durable = self.inner.shared.durable.borrow().end;
        f.debug_struct("Ledger").field("dir", &self.inner.shared.dir).field("durable", &durable).finish()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // A writer that is gone already has nothing left to close.
        let _ = self.sender.send(Message::Close(None));
        let thread = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread
            && thread.join().is_err()
        {
            tracing::error!("the thread that writes the ledger ended in a panic");
        }
    }
}

impl Shared {
    fn slot(&self, stream: Stream) -> Result<usize, LedgerError> {
        if stream.slot() < self.ends.len() {
            return Ok(stream.slot());
        }
        Err(LedgerError::UnknownStream { stream, partitions: self.partitions })
    }

    fn index(&self) -> std::sync::RwLockReadGuard<'_, Index> {
        self.index.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn index_mut(&self) -> std::sync::RwLockWriteGuard<'_, Index> {
        self.index.write().unwrap_or_else(PoisonError::into_inner)
    }
}
