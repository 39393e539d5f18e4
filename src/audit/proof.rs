//! A proof that an entry stands in a log, for whoever has the public key and nothing else. As C2SP `tlog-proof`.
//!
//! The entry itself rides along as the format's extra data: what it says (partition, number, offset, hashes) is what
//! is proved.

use data_encoding::BASE64;
use quietus_core::merkle::{self, Hash};

use super::checkpoint::Checkpoint;
use super::note::{Unsigned, Verifier};
use super::{Chain, Entry};

const FIRST_LINE: &str = "c2sp.org/tlog-proof@v1";

/// What a proof says, once it is believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    pub entry: Entry,
    pub checkpoint: Checkpoint,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unproven {
    #[error("this is no proof: its first line is `c2sp.org/tlog-proof@v1`, and a signed checkpoint ends it")]
    NoProof,
    #[error("its checkpoint: {0}")]
    Unsigned(#[from] Unsigned),
    #[error("the entry does not stand where the proof says in the log that was signed")]
    NotIn,
}

impl Proof {
    /// The proof of entry `n`, under a checkpoint of the same chain; None = there is no such entry.
    pub fn write(chain: &Chain, n: u64, checkpoint: &Checkpoint, signed: &str) -> Option<String> {
        let size = usize::try_from(checkpoint.size).ok()?;
        let leaves: Vec<Hash> = chain.entries().get(..size)?.iter().map(Entry::hash).collect();
        let index = usize::try_from(n).ok()?;
        let entry = chain.entries().get(index)?;
        let path = merkle::path(&leaves, index)?;
        let mut text = format!("{FIRST_LINE}\nextra {}\nindex {n}\n", BASE64.encode(&entry.bytes()));
        path.iter().for_each(|hash| text.push_str(&(BASE64.encode(hash) + "\n")));
        Some(format!("{text}\n{signed}"))
    }

    /// Believes nothing but the key.
    pub fn check(text: &str, key: &Verifier) -> Result<Self, Unproven> {
        let (head, signed) = text.split_once("\n\n").ok_or(Unproven::NoProof)?;
        let (entry, index, path) = read_head(head).ok_or(Unproven::NoProof)?;
        let checkpoint = Checkpoint::open(signed, key)?;
        let root = merkle::root_by(entry.hash(), index, checkpoint.size, &path);
        if root == Some(checkpoint.root) && entry.n == index {
            Ok(Self { entry, checkpoint })
        } else {
            Err(Unproven::NotIn)
        }
    }
}

fn read_head(head: &str) -> Option<(Entry, u64, Vec<Hash>)> {
    let mut lines = head.lines();
    if lines.next()? != FIRST_LINE {
        return None;
    }
    let entry = BASE64.decode(lines.next()?.strip_prefix("extra ")?.as_bytes()).ok()?;
    let index = lines.next()?.strip_prefix("index ")?.parse().ok()?;
    let hash = |line: &str| BASE64.decode(line.as_bytes()).ok()?.try_into().ok();
    let path = lines.map(hash).collect::<Option<Vec<Hash>>>()?;
    Some((Entry::from_bytes(&entry)?, index, path))
}

#[cfg(test)]
mod tests {
    use quietus_core::engine::{Decision, Slice};

    use super::super::checkpoint::verifiers;
    use super::*;

    #[test]
    fn every_entry_is_proved_with_the_public_line_alone() {
        let mut chain = Chain::new(0, b"key");
        for i in 0..11 {
            let slice = Slice { due: i, ..Slice::default() };
            chain.add(i, b"frame", &[Decision::Swept { sweep: "sw_1".into(), slice }]);
        }
        let checkpoint = Checkpoint::of(&[7; 16], 0, &chain);
        let signed = checkpoint.sign(&[3; 32]).unwrap();
        let line = verifiers(&[7; 16], 1, &[3; 32]).remove(0).to_string();
        let key = Verifier::parse(&line).unwrap();
        for n in 0..11 {
            let text = Proof::write(&chain, n, &checkpoint, &signed).unwrap();
            assert_eq!(Proof::check(&text, &key).unwrap().entry.n, n);
            let moved = text.replace(&format!("index {n}\n"), &format!("index {}\n", (n + 1) % 11));
            assert_eq!(Proof::check(&moved, &key), Err(Unproven::NotIn));
        }
        assert_eq!(Proof::write(&chain, 11, &checkpoint, &signed), None);
        assert_eq!(Proof::check("", &key), Err(Unproven::NoProof));
        let text = Proof::write(&chain, 3, &checkpoint, &signed).unwrap();
        for cut in 0..text.len() {
            if text.is_char_boundary(cut) {
                assert!(Proof::check(&text[..cut], &key).is_err() || cut + 1 == text.len(), "cut at {cut}");
            }
        }
    }
}
