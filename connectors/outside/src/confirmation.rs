//! What a connector answers to one command.

use quietus_contract::{CommandId, Failure, Outcome, TargetOutcome};
use serde::{Deserialize, Serialize};

/// `schemas/avro/Confirmation`; the same fields as JSON over HTTP.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Confirmation {
    pub id: String,
    pub attempt: i32,
    pub system: String,
    pub outcome: String,
    pub count: i64,
    pub detail: Option<String>,
    pub may_retry: bool,
    pub might_have_happened: bool,
    pub until: Option<i64>,
    pub at: Option<i64>,
    pub position: Option<String>,
}

/// Details longer than this are cut: they stand in the ledger for years.
const DETAIL_MAX: usize = 200;

impl Confirmation {
    /// In the contract's words; `reference` is what it is polled with, where it says that it was taken on.
    pub(crate) fn told(&self, command: CommandId, reference: &str) -> TargetOutcome {
        let count = u64::try_from(self.count).unwrap_or_default();
        let detail =
            || self.detail.as_deref().unwrap_or_default().chars().take(DETAIL_MAX).collect::<String>();
        let outcome = match self.outcome.as_str() {
            "removed" => Outcome::Removed(count),
            "changed" => Outcome::Changed(count),
            "absent" => Outcome::Absent,
            "unchanged" => Outcome::Unchanged { reason: detail() },
            "accepted" => Outcome::Accepted { reference: reference.to_owned() },
            // What was recalled was recalled for a hold.
            "blocked" if self.detail.as_deref() == Some("recalled") => {
                Outcome::Blocked { cause: "hold".to_owned(), until: None }
            }
            "blocked" => Outcome::Blocked { cause: detail(), until: self.until },
            "residual" => Outcome::Residual { cause: detail(), until: self.until },
            "refused" => Outcome::Refused { reason: detail() },
            "failed" => Outcome::Failed(Failure {
                code: "connector",
                detail: detail(),
                may_retry: self.may_retry,
                might_have_happened: self.might_have_happened,
            }),
            _ => Outcome::Failed(Failure::unknown(
                "conflict",
                "the connector's outcome is none of the protocol's",
            )),
        };
        TargetOutcome { command, outcome, at: self.at, position: self.position.as_deref().map(Into::into) }
    }

    /// The command's own answer, by whom it was asked of.
    pub(crate) fn is_to(&self, id: &str, attempt: u32, system: &str) -> bool {
        self.id == id && i64::from(self.attempt) == i64::from(attempt) && self.system == system
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(outcome: &str, detail: Option<&str>) -> Outcome {
        let detail = detail.map(str::to_owned);
        Confirmation { outcome: outcome.into(), detail, ..Confirmation::default() }
            .told(CommandId([1; 16]), "r")
            .outcome
    }

    #[test]
    fn what_is_no_word_of_the_protocol_is_no_success() {
        let Outcome::Failed(failure) = outcome("done", None) else { panic!() };
        assert!(failure.might_have_happened && failure.may_retry);
        // A record that is not there cannot have been removed: whoever reads this says absent.
        assert_eq!(outcome("removed", None), Outcome::Removed(0));
    }

    #[test]
    fn a_recalled_command_was_held() {
        assert_eq!(
            outcome("blocked", Some("recalled")),
            Outcome::Blocked { cause: "hold".into(), until: None }
        );
        assert_eq!(outcome("blocked", Some("worm")), Outcome::Blocked { cause: "worm".into(), until: None });
    }

    #[test]
    fn an_answer_is_to_one_attempt() {
        let said =
            Confirmation { id: "cm_1".into(), attempt: 2, system: "crm".into(), ..Confirmation::default() };
        assert!(said.is_to("cm_1", 2, "crm"));
        assert!(
            !said.is_to("cm_1", 1, "crm") && !said.is_to("cm_1", 2, "hr") && !said.is_to("cm_2", 2, "crm")
        );
    }
}
