//! A file's bytes from one place to another, read past any shared position, and its text where it is compressed.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::fs::FileExt;

use flate2::bufread::MultiGzDecoder;

const BUFFER: usize = 256 << 10;

/// `[from, to)` of a file; a file that has become shorter ends earlier.
pub(crate) struct Span<'f> {
    file: &'f File,
    from: u64,
    to: u64,
}

impl<'f> Span<'f> {
    pub(crate) fn new(file: &'f File, from: u64, to: u64) -> Self {
        Self { file, from, to }
    }
}

impl Read for Span<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.to.saturating_sub(self.from)).unwrap_or(usize::MAX);
        let most = buffer.len().min(left);
        let read = self.file.read_at(buffer.get_mut(..most).unwrap_or_default(), self.from)?;
        self.from += u64::try_from(read).unwrap_or_default();
        Ok(read)
    }
}

/// The text in these bytes.
pub(crate) fn text<'r>(bytes: impl Read + 'r, gzip: bool) -> Box<dyn BufRead + 'r> {
    let mut plain = BufReader::with_capacity(BUFFER, bytes);
    // A compressed file that has nothing in it yet is empty, not damaged.
    let empty = plain.fill_buf().is_ok_and(<[u8]>::is_empty);
    if gzip && !empty {
        Box::new(BufReader::with_capacity(BUFFER, MultiGzDecoder::new(plain)))
    } else {
        Box::new(plain)
    }
}

/// Passes bytes on and keeps their hash.
pub(crate) struct Hashing<R> {
    inner: R,
    pub(crate) hash: blake3::Hasher,
}

impl<R: Read> Hashing<R> {
    pub(crate) fn new(inner: R) -> Self {
        Self { inner, hash: blake3::Hasher::new() }
    }
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.hash.update(buffer.get(..read).unwrap_or_default());
        Ok(read)
    }
}

/// The hash of a file's first bytes, as far as a swap tells one state from another by it.
pub(crate) fn short_hash(hash: &blake3::Hasher) -> u64 {
    let bytes = *hash.finalize().as_bytes();
    bytes.first_chunk::<8>().map_or(0, |first| u64::from_be_bytes(*first))
}

pub(crate) fn hash_of(file: &File, size: u64) -> io::Result<u64> {
    let mut bytes = Hashing::new(Span::new(file, 0, size));
    io::copy(&mut bytes, &mut io::sink())?;
    Ok(short_hash(&bytes.hash))
}
