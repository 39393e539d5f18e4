//! Which sequence a frame belongs to, and where it is.

use std::fmt;

/// One sequence of frames: each has offsets of its own, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stream {
    Control,
    Partition(u32),
}

impl Stream {
    /// 0 = control, 1 + p = partition p: what is written on disk.
    pub fn number(self) -> u32 {
        match self {
            Self::Control => 0,
            Self::Partition(p) => p.saturating_add(1),
        }
    }

    pub fn from_number(number: u32) -> Self {
        match number.checked_sub(1) {
            None => Self::Control,
            Some(p) => Self::Partition(p),
        }
    }

    /// The place of this stream in lists that hold one value per stream.
    pub fn slot(self) -> usize {
        usize::try_from(self.number()).unwrap_or(usize::MAX)
    }

    /// Every stream of a ledger, in the order of their slots.
    pub fn all(partitions: u32) -> impl Iterator<Item = Self> {
        (0..=partitions).map(Self::from_number)
    }
}

impl fmt::Display for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Control => f.write_str("control"),
            Self::Partition(p) => write!(f, "partition {p}"),
        }
    }
}

/// Where a frame starts in the files; of use in messages and for resuming a scan.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    pub segment: u64,
    pub at: u64,
}

/// One durable frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    pub stream: Stream,
    pub offset: u64,
    pub body: Vec<u8>,
    pub position: Position,
}
