//! What a partition's owner writes about itself.

use serde::{Deserialize, Serialize};

/// A new owner; its offset is the epoch, and records of an older epoch are void when read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OwnerStarted {
    pub node: String,
    pub semantics: i32,
    pub version: String,
}

/// The only *now*.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tick {
    /// Milliseconds.
    pub now: i64,
}

/// A source has been read up to here.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SourceAt {
    pub source: String,
    pub source_generation: i32,
    pub position: String,
    /// Watermark in event time, milliseconds.
    pub time: i64,
}

/// Entry `k` of the control log, copied into a partition in order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ControlCopy {
    pub k: i64,
    pub schema: i32,
    #[serde(with = "serde_bytes")]
    pub body: Vec<u8>,
}

/// Others were told of this partition's news up to this number.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NewsTold {
    pub up_to: i64,
}
