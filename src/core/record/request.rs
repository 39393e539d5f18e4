//! Data subject requests, and what is passed on between the partitions of linked identities.

use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RequestReceived {
    /// `rq_…`
    pub id: String,
    /// `erase`, `withdraw`, `correct`, `restrict`, `object`, `access`.
    pub kind: String,
    #[serde(with = "serde_bytes")]
    pub subject: Vec<u8>,
    pub grounds: Option<String>,
    pub purposes: Vec<String>,
    pub regime: Option<String>,
    /// Milliseconds.
    pub received: i64,
    /// When an answer is due, milliseconds.
    pub due: i64,
    /// Categories that take a new value.
    pub categories: Vec<String>,
    /// Corrected values, sealed as one cell.
    #[serde(with = "serde_bytes")]
    pub corrections: Option<Vec<u8>>,
    /// The identity on whose behalf it was made: 16 bytes.
    #[serde(with = "serde_bytes")]
    pub on_behalf_of: Option<Vec<u8>>,
    /// Who took it in: a token's name.
    pub by: Option<String>,
    /// Sealed identity, when it was not sent lately.
    #[serde(with = "serde_bytes")]
    pub identity: Option<Vec<u8>>,
    /// Who asks has not been verified yet: nothing is done before that.
    pub unverified: bool,
    /// Keyed hash of what was asked, 32 bytes: the same call repeated finds what it made. Null = nobody repeats it.
    #[serde(with = "serde_bytes")]
    pub asked: Option<Vec<u8>>,
}

/// A person moved a request on: cancelled, decided, extended, lifted, verified the identity.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RequestMoved {
    pub id: String,
    #[serde(with = "serde_bytes")]
    pub subject: Vec<u8>,
    /// `cancel`, `decide`, `extend`, `lift`, `verify-identity`.
    pub verb: String,
    /// A decision per purpose: `end` or `keep`.
    pub purposes: Vec<String>,
    pub decision: Option<String>,
    pub until: Option<i64>,
    pub reason: Option<String>,
    pub by: Option<String>,
}

/// Something about one member of a linked set, passed on to another member's partition by its owner.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Forwarded {
    pub from_partition: i32,
    /// The sender's number for it: they rise, and what is not above the last one was taken in before.
    pub from_offset: i64,
    #[serde(with = "serde_bytes")]
    pub subject: Vec<u8>,
    pub schema: i32,
    #[serde(with = "serde_bytes")]
    pub body: Vec<u8>,
}

/// Everything that this partition passed on up to here lies in the ledgers of those it was for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Delivered {
    pub up_to: i64,
}
