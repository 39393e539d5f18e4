//! A checkpoint: how long a partition's log is, and its root. As C2SP `tlog-checkpoint`.
//!
//! Who keeps one elsewhere can tell later that the log was cut, or written anew: it is refused.

use data_encoding::BASE64;
use quietus_core::merkle::Hash;

use super::Chain;
use super::note::{Signer, Unsigned, Verifier};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// Which log: `quietus/LEDGER/partition-N`.
    pub origin: String,
    pub size: u64,
    pub root: Hash,
}

/// Why a log is not the one that was signed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Mismatch {
    #[error(
        "{origin}: {has} entries, fewer than the {size} that were signed: the ledger was cut, or is an older copy"
    )]
    Shorter { origin: String, size: u64, has: u64 },
    #[error("{origin}: its first {size} entries are not those that were signed: the ledger was changed")]
    Different { origin: String, size: u64 },
}

impl Checkpoint {
    pub fn of(ledger: &[u8; 16], partition: u32, chain: &Chain) -> Self {
        let origin = origin(ledger, partition);
        Self { origin, size: chain.entries().len() as u64, root: chain.root() }
    }

    pub fn sign(&self, seed: &[u8; 32]) -> Option<String> {
        let text = format!("{}\n{}\n{}\n", self.origin, self.size, BASE64.encode(&self.root));
        Some(Signer::new(&self.origin, seed)?.sign(&text))
    }

    /// Reads a note that this key signed in the name of the same log.
    pub fn open(note: &str, key: &Verifier) -> Result<Self, Unsigned> {
        let read = Self::parse(key.open(note)?).ok_or(Unsigned::NoNote)?;
        if read.origin == key.name() { Ok(read) } else { Err(Unsigned::OtherKey) }
    }

    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        let (origin, size, root) = (lines.next()?, lines.next()?, lines.next()?);
        let root = BASE64.decode(root.as_bytes()).ok()?.try_into().ok()?;
        // Written as it is, so that one number has one spelling.
        let number: u64 = size.parse().ok().filter(|n: &u64| n.to_string() == size)?;
        Some(Self { origin: origin.to_owned(), size: number, root })
    }

    /// The log goes on from what was signed.
    pub fn holds(&self, chain: &Chain) -> Result<(), Mismatch> {
        let (origin, size) = (self.origin.clone(), self.size);
        match chain.root_at(size) {
            None => Err(Mismatch::Shorter { origin, size, has: chain.entries().len() as u64 }),
            Some(root) if root == self.root => Ok(()),
            Some(_) => Err(Mismatch::Different { origin, size }),
        }
    }
}

/// The name of a partition's log, and of the key that signs it.
pub fn origin(ledger: &[u8; 16], partition: u32) -> String {
    format!("quietus/{}/partition-{partition}", data_encoding::HEXLOWER.encode(ledger))
}

/// The key's public line for each log of a ledger.
pub fn verifiers(ledger: &[u8; 16], partitions: u32, seed: &[u8; 32]) -> Vec<Verifier> {
    let of = |p| Signer::new(&origin(ledger, p), seed).map(|signer| signer.verifier());
    (0..partitions).filter_map(of).collect()
}

#[cfg(test)]
mod tests {
    use quietus_core::engine::{Decision, Slice};

    use super::*;

    fn chain(n: u64, last: u64) -> Chain {
        let mut chain = Chain::new(1, b"key");
        for i in 0..n {
            let slice = Slice { due: if i + 1 == n { last } else { i }, ..Slice::default() };
            chain.add(i, b"frame", &[Decision::Swept { sweep: "sw_1".into(), slice }]);
        }
        chain
    }

    #[test]
    fn a_log_goes_on_from_its_checkpoint_or_is_refused() {
        let signed = Checkpoint::of(&[7; 16], 1, &chain(5, 4)).sign(&[3; 32]).unwrap();
        let key = verifiers(&[7; 16], 2, &[3; 32]).remove(1);
        let read = Checkpoint::open(&signed, &key).unwrap();
        assert_eq!(read.holds(&chain(5, 4)), Ok(()));
        assert_eq!(read.holds(&chain(9, 8)), Ok(()));
        assert!(matches!(read.holds(&chain(4, 3)), Err(Mismatch::Shorter { has: 4, .. })));
        assert!(matches!(read.holds(&chain(5, 9)), Err(Mismatch::Different { .. })));
    }

    #[test]
    fn a_checkpoint_of_another_log_or_key_is_not_believed() {
        let signed = Checkpoint::of(&[7; 16], 1, &chain(5, 4)).sign(&[3; 32]).unwrap();
        let keys = verifiers(&[7; 16], 2, &[3; 32]);
        assert_eq!(Checkpoint::open(&signed, &keys[0]), Err(Unsigned::OtherKey));
        let other = verifiers(&[7; 16], 2, &[4; 32]);
        assert_eq!(Checkpoint::open(&signed, &other[1]), Err(Unsigned::OtherKey));
        assert_eq!(Checkpoint::open(&signed.replace("\n5\n", "\n4\n"), &keys[1]), Err(Unsigned::Wrong));
    }
}
