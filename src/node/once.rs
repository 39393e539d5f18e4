//! A call that is carried out once, over crashes too.
//!
//! What a call makes (a request, a hold, a sweep) takes its id from the caller's key, and its record carries a hash of
//! what was asked. So the effect and the memory of the call are one record: there is no moment at which one is
//! durable and the other is not, and a replay knows both again. Rejected: a record of its own for the answer,
//! which a crash between the two would lose.

use quietus_core::time::Millis;

use super::NodeError;
use crate::sealing::Keys;

/// How long a repeat is known.
pub const REMEMBERED: i64 = Millis::DAY;

/// One call of one caller, whatever it says.
#[derive(Clone, Copy, Debug)]
pub struct Once {
    /// Of who called what with which key.
    pub key: [u8; 32],
    /// Of what was asked.
    pub asked: [u8; 32],
}

/// What a call is to make.
#[derive(Debug, PartialEq, Eq)]
pub enum WantedId {
    New(String),
    /// It was made by the same call before.
    Made(String),
}

impl Once {
    /// Hashes under the tenant key: bodies name people.
    pub fn new(keys: &Keys, key: &[&[u8]], asked: &[&[u8]]) -> Self {
        let tagged = |domain: &[u8], fields: &[&[u8]]| {
            let mut all = vec![domain];
            all.extend_from_slice(fields);
            keys.repeat_tag(&all)
        };
        Self { key: tagged(b"key", key), asked: tagged(b"asked", asked) }
    }

    /// The id for what this call makes. `known` says of an id when it was made, and what was asked then.
    pub fn wanted(
        &self,
        keys: &Keys,
        prefix: &str,
        now: Millis,
        known: impl Fn(&str) -> Option<(Millis, Option<Vec<u8>>)>,
    ) -> Result<WantedId, NodeError> {
        let mut life = 0u64;
        loop {
            let tag = keys.repeat_tag(&[b"id", &self.key, &life.to_be_bytes()]);
            let id = super::id_of(prefix, tag.first_chunk::<10>().copied().unwrap_or_default());
            match known(&id) {
                None => return Ok(WantedId::New(id)),
                // A key may be used again once nobody remembers it.
                Some((made, _)) if now.0.saturating_sub(made.0) >= REMEMBERED => life += 1,
                Some((_, asked)) if asked.as_deref() == Some(self.asked.as_slice()) => {
                    return Ok(WantedId::Made(id));
                }
                Some(_) => {
                    return Err(NodeError::Refused {
                        code: "idempotency-key-reused",
                        what: "this `Idempotency-Key` was used with another body".to_owned(),
                        fix: "use a new one for a new call".to_owned(),
                    });
                }
            }
        }
    }
}

/// The id for what `once` makes; without one, or for the first time, a new id.
pub(super) fn wanted(
    once: Option<&Once>,
    keys: &Keys,
    prefix: &str,
    now: Millis,
    known: impl Fn(&str) -> Option<(Millis, Option<Vec<u8>>)>,
) -> Result<WantedId, NodeError> {
    match once {
        None => Ok(WantedId::New(super::fresh_id(prefix))),
        Some(once) => once.wanted(keys, prefix, now, known),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_call_finds_what_it_made_and_another_is_refused() {
        let keys = Keys::from_tenant(&[7; 32]).unwrap();
        let once = |asked: &[u8]| Once::new(&keys, &[b"ci", b"/v1/holds", b"one"], &[asked]);
        let at = |now: i64, once: Once, made: Option<(&str, Millis)>| {
            let asked = Some(super::Once::new(&keys, &[], &[b"a"]).asked.to_vec());
            let known = |id: &str| made.filter(|(m, _)| *m == id).map(|(_, at)| (at, asked.clone()));
            once.wanted(&keys, "hd", Millis(now), known)
        };
        let WantedId::New(id) = at(0, once(b"a"), None).unwrap() else { panic!("nothing was made") };
        let made = Some((id.as_str(), Millis(0)));
        assert_eq!(at(5, once(b"a"), made).unwrap(), WantedId::Made(id.clone()));
        assert!(matches!(at(5, once(b"b"), made), Err(NodeError::Refused { .. })));
        // A day later nobody remembers it: a new call, with an id of its own.
        let WantedId::New(next) = at(REMEMBERED, once(b"b"), made).unwrap() else { panic!("still known") };
        assert_ne!(next, id);
    }
}
