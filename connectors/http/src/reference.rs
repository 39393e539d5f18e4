//! What is kept of a request that a partner took on: text that the node stores and gives back, over restarts.
//!
//! Invariant: no identity in it. It stands in the ledger in clear.

use std::collections::BTreeSet;

use quietus_contract::Failure;
use serde::{Deserialize, Serialize};

/// `{"at":1780000000000,"job":"j-17"}`
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Reference {
    /// When it was handed over, by the node's clock in milliseconds.
    pub(crate) at: i64,
    /// The partner's own name for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) job: Option<String>,
}

/// A job's name is a name: longer ones are somebody's data.
const LONGEST: usize = 512;
/// Shorter values stand in many names by chance.
const TELLING: usize = 6;

impl Reference {
    /// Refuses a name that repeats one of these values.
    pub(crate) fn new(at: i64, job: Option<String>, values: &BTreeSet<String>) -> Result<Self, &'static str> {
        if let Some(job) = &job {
            let repeats = |v: &String| v == job || (v.len() >= TELLING && job.contains(v.as_str()));
            if job.len() > LONGEST {
                return Err("the partner's reference is too long to be one");
            }
            if values.iter().any(repeats) {
                return Err(
                    "the partner's reference repeats an identity, and is kept in clear: choose another `ref`",
                );
            }
        }
        Ok(Self { at, job })
    }

    pub(crate) fn text(&self) -> String {
        // Two plain fields: nothing JSON cannot say.
        serde_json::to_string(self).unwrap_or_default()
    }

    pub(crate) fn read(text: &str) -> Result<Self, Failure> {
        serde_json::from_str(text)
            .map_err(|_| Failure::unknown("internal", "the kept reference is none of this connector's"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_comes_back_as_it_was_and_never_holds_an_identity() {
        let values = ["ann@example.org".to_owned(), "17".to_owned()].into();
        let kept = Reference::new(5, Some("j-17".into()), &values).expect("a name");
        assert_eq!(Reference::read(&kept.text()).expect("its own"), kept);
        for job in ["17", "job/ann@example.org/1"] {
            assert!(Reference::new(5, Some(job.into()), &values).is_err(), "{job}");
        }
        assert!(Reference::read("j-17").is_err());
    }
}
