//! Signed notes: a text, a blank line, and signatures that name their key. As C2SP `signed-note` with Ed25519.
//!
//! Invariant: what [`Verifier::open`] returns was signed, byte for byte. Whoever has the public line needs nothing
//! else, and no program of ours. Rejected: a signature over JSON, which has no bytes of its own.

use std::fmt;

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use data_encoding::{BASE64, HEXLOWER};
use sha2::{Digest, Sha256};

/// Ed25519 in the notes' list of algorithms.
const ALGORITHM: u8 = 1;
const DASH: &str = "\u{2014} ";

/// Signs in the name of one log.
pub struct Signer {
    name: String,
    pair: Ed25519KeyPair,
}

/// A public key with its name: `NAME+ID+KEY`, as everybody may have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verifier {
    name: String,
    key: [u8; 32],
}

/// Why a note is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unsigned {
    #[error("this is no signed note: text, a blank line, and lines that begin with a dash")]
    NoNote,
    #[error("no signature in it is by this key")]
    OtherKey,
    #[error("its signature does not match: the text is not as it was signed")]
    Wrong,
    #[error("this is no public key: it is written NAME+ID+KEY, as `quietus audit keys` prints it")]
    NoKey,
}

impl Signer {
    /// None = these bytes are no key.
    pub fn new(name: &str, seed: &[u8; 32]) -> Option<Self> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed).ok()?;
        Some(Self { name: name.to_owned(), pair })
    }

    /// The text, which ends its last line, with our signature under it.
    pub fn sign(&self, text: &str) -> String {
        let mut signed = self.verifier().id().to_vec();
        signed.extend_from_slice(self.pair.sign(text.as_bytes()).as_ref());
        format!("{text}\n{DASH}{} {}\n", self.name, BASE64.encode(&signed))
    }

    pub fn verifier(&self) -> Verifier {
        let key = self.pair.public_key().as_ref().first_chunk().copied().unwrap_or_default();
        Verifier { name: self.name.clone(), key }
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signer({})", self.name)
    }
}

impl Verifier {
    /// The text of a note that this key signed.
    pub fn open<'a>(&self, note: &'a str) -> Result<&'a str, Unsigned> {
        let (text, signatures) = split(note).ok_or(Unsigned::NoNote)?;
        let mine = |line: &str| -> Option<Vec<u8>> {
            let (name, signed) = line.strip_prefix(DASH)?.split_once(' ')?;
            let signed = BASE64.decode(signed.as_bytes()).ok()?;
            let (id, signature) = signed.split_first_chunk::<4>()?;
            (name == self.name && *id == self.id()).then(|| signature.to_vec())
        };
        let signature = signatures.lines().find_map(mine).ok_or(Unsigned::OtherKey)?;
        let key = UnparsedPublicKey::new(&ED25519, &self.key);
        key.verify(text.as_bytes(), &signature).map(|()| text).map_err(|_| Unsigned::Wrong)
    }

    /// From its line.
    pub fn parse(line: &str) -> Result<Self, Unsigned> {
        let mut fields = line.trim().splitn(3, '+');
        let (name, id, key) = (fields.next(), fields.next(), fields.next());
        let (Some(name), Some(id), Some(key)) = (name, id, key) else { return Err(Unsigned::NoKey) };
        let bytes = BASE64.decode(key.as_bytes()).map_err(|_| Unsigned::NoKey)?;
        let key = match bytes.split_first() {
            Some((&ALGORITHM, key)) => <[u8; 32]>::try_from(key).map_err(|_| Unsigned::NoKey)?,
            _ => return Err(Unsigned::NoKey),
        };
        let verifier = Self { name: name.to_owned(), key };
        let named = HEXLOWER.decode(id.as_bytes()).map_err(|_| Unsigned::NoKey)?;
        if name.is_empty() || named != verifier.id() { Err(Unsigned::NoKey) } else { Ok(verifier) }
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    fn id(&self) -> [u8; 4] {
        let hash = Sha256::new()
            .chain_update(self.name.as_bytes())
            .chain_update([b'\n', ALGORITHM])
            .chain_update(self.key)
            .finalize();
        hash.first_chunk().copied().unwrap_or_default()
    }
}

impl fmt::Display for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = [&[ALGORITHM], self.key.as_slice()].concat();
        write!(f, "{}+{}+{}", self.name, HEXLOWER.encode(&self.id()), BASE64.encode(&key))
    }
}

/// Text with its last line end, and the lines of signatures.
fn split(note: &str) -> Option<(&str, &str)> {
    let at = note.find(&format!("\n\n{DASH}"))?;
    let (text, rest) = note.split_at_checked(at + 1)?;
    Some((text, rest.strip_prefix('\n')?))
}

/// The notes of a file that holds several, one after the other.
pub fn notes(text: &str) -> Vec<String> {
    let (mut found, mut one, mut is_signed) = (Vec::new(), String::new(), false);
    for line in text.split_inclusive('\n') {
        let signs = line.starts_with(DASH);
        if is_signed && !signs {
            found.push(std::mem::take(&mut one));
            is_signed = false;
            if line.trim().is_empty() {
                continue;
            }
        }
        is_signed |= signs;
        one.push_str(line);
    }
    if !one.trim().is_empty() {
        found.push(one);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signer(seed: u8) -> Signer {
        Signer::new("quietus/ledger/partition-0", &[seed; 32]).unwrap()
    }

    #[test]
    fn what_was_signed_is_read_and_nothing_else() {
        let note = signer(1).sign("log\n12\nroot\n");
        let line = signer(1).verifier().to_string();
        let verifier = Verifier::parse(&line).unwrap();
        assert_eq!(verifier.open(&note), Ok("log\n12\nroot\n"));
        assert_eq!(verifier.open(&note.replace("12", "13")), Err(Unsigned::Wrong));
        assert_eq!(signer(2).verifier().open(&note), Err(Unsigned::OtherKey));
        assert_eq!(verifier.open("log\n12\nroot\n"), Err(Unsigned::NoNote));
        assert_eq!(verifier.open(""), Err(Unsigned::NoNote));
    }

    #[test]
    fn a_line_that_is_no_key_is_refused() {
        let line = signer(1).verifier().to_string();
        let other = signer(2).verifier().to_string();
        let mixed: Vec<&str> = line.split('+').take(2).chain(other.splitn(3, '+').skip(2)).collect();
        for wrong in ["", "a+b", &line[1..], &mixed.join("+"), &line.replace("+", "-")] {
            assert_eq!(Verifier::parse(wrong), Err(Unsigned::NoKey), "{wrong}");
        }
    }

    #[test]
    fn a_file_of_several_notes_is_taken_apart() {
        let (a, b) = (signer(1).sign("a\n1\nx\n"), signer(2).sign("b\n2\ny\n"));
        assert_eq!(notes(&format!("{a}{b}")), [a.clone(), b.clone()]);
        assert_eq!(notes(&format!("{a}\n{b}\n")), [a, b]);
        assert!(notes("").is_empty());
    }
}
