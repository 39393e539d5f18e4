//! The laws by name, each with its sentence and its check.

use super::Outcome;
use super::trial::{Flaw, Held, Trial, broken};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Law {
    Erase,
    Absent,
    Narrow,
    Dedupe,
    Verify,
    NotAfter,
    Recall,
    Signature,
    Refuse,
    Correct,
}

const DONE: [&str; 5] = ["removed", "changed", "absent", "unchanged", "accepted"];

impl Law {
    pub const ALL: [Self; 10] = [
        Self::Erase,
        Self::Absent,
        Self::Narrow,
        Self::Dedupe,
        Self::Verify,
        Self::NotAfter,
        Self::Recall,
        Self::Signature,
        Self::Refuse,
        Self::Correct,
    ];

    pub fn id(self) -> &'static str {
        match self {
            Self::Erase => "erase",
            Self::Absent => "absent",
            Self::Narrow => "narrow",
            Self::Dedupe => "dedupe",
            Self::Verify => "verify",
            Self::NotAfter => "not_after",
            Self::Recall => "recall",
            Self::Signature => "signature",
            Self::Refuse => "refuse",
            Self::Correct => "correct",
        }
    }

    pub fn sentence(self) -> &'static str {
        match self {
            Self::Erase => "A record that may go is gone, and is answered removed.",
            Self::Absent => "Where there was nothing, the answer is absent.",
            Self::Narrow => "Records with other keys stay, however alike the keys look.",
            Self::Dedupe => {
                "The same attempt again changes nothing, and is answered as it was the first time."
            }
            Self::Verify => "Success is told only of what a look after the commit saw.",
            Self::NotAfter => "Nothing is committed past not_after.",
            Self::Recall => "What was recalled before it was carried out is not carried out.",
            Self::Signature => {
                "What is not signed with the system's secret changes nothing, and is not answered."
            }
            Self::Refuse => "What the connector does not know is refused, and changes nothing.",
            Self::Correct => "A corrected record is told changed, one that is not there is not made.",
        }
    }

    pub(super) async fn check(self, trial: &Trial) -> Outcome {
        let held = match self {
            Self::Erase => erase(trial).await,
            Self::Absent => absent(trial).await,
            Self::Narrow => narrow(trial).await,
            Self::Dedupe => dedupe(trial).await,
            Self::Verify => verify(trial).await,
            Self::NotAfter => not_after(trial).await,
            Self::Recall => recall(trial).await,
            Self::Signature => signature(trial).await,
            Self::Refuse => refuse(trial).await,
            Self::Correct => correct(trial).await,
        };
        held.into()
    }
}

fn is(said: &str, wanted: &str, of: &str) -> Held {
    if said == wanted { Ok(()) } else { Err(broken(format!("{of} was answered {said}, not {wanted}"))) }
}

async fn there(trial: &Trial, record: &str, wanted: bool, after: &str) -> Held {
    match (trial.is_there(record).await?, wanted) {
        (true, false) => Err(broken(format!("the record is there after {after}"))),
        (false, true) => Err(broken(format!("the record is gone after {after}"))),
        _ => Ok(()),
    }
}

async fn erase(trial: &Trial) -> Held {
    let record = trial.record();
    trial.put(&record, false).await?;
    there(trial, &record, true, "it was put there").await?;
    let said = trial.tell(&trial.command("erase", &record)).await?;
    is(&said.outcome, "removed", "an erasure")?;
    if said.count != 1 {
        return Err(broken(format!("one record was removed, and {} were told", said.count)));
    }
    there(trial, &record, false, "it was told removed").await
}

async fn absent(trial: &Trial) -> Held {
    let said = trial.tell(&trial.command("erase", &trial.record())).await?;
    is(&said.outcome, "absent", "an erasure of nothing")
}

async fn narrow(trial: &Trial) -> Held {
    let record = trial.record();
    let alike = [format!("{record}0"), format!(" {record}"), format!("{record}%"), record.to_uppercase()];
    trial.put(&record, false).await?;
    for other in alike.iter().filter(|other| **other != record) {
        trial.put(other, false).await?;
    }
    trial.tell(&trial.command("erase", &record)).await?;
    for other in alike.iter().filter(|other| **other != record) {
        there(trial, other, true, "another was erased").await?;
    }
    Ok(())
}

async fn dedupe(trial: &Trial) -> Held {
    let record = trial.record();
    trial.put(&record, false).await?;
    let command = trial.command("erase", &record);
    let first = trial.tell(&command).await?;
    // The customer has come back: an old command knows nothing of that.
    trial.put(&record, false).await?;
    let again = trial.tell(&command).await?;
    there(trial, &record, true, "the same attempt came again: it was carried out twice").await?;
    if (&again.outcome, again.count) != (&first.outcome, first.count) {
        return Err(broken(format!(
            "the same attempt was answered {}, then {}",
            first.outcome, again.outcome
        )));
    }
    // An attempt that is new is no repeat.
    let mut next = command;
    next.attempt += 1;
    is(&trial.tell(&next).await?.outcome, "removed", "the next attempt")
}

async fn verify(trial: &Trial) -> Held {
    let record = trial.record();
    trial.put(&record, true).await?;
    let said = trial.tell(&trial.command("erase", &record)).await?;
    match DONE.contains(&said.outcome.as_str()) {
        true => Err(broken(format!("a record that was there again at once was told {}", said.outcome))),
        false => Ok(()),
    }
}

async fn not_after(trial: &Trial) -> Held {
    let record = trial.record();
    trial.put(&record, false).await?;
    let said = trial.tell(&trial.late(trial.command("erase", &record))).await?;
    there(trial, &record, true, "a command past its not_after").await?;
    match DONE.contains(&said.outcome.as_str()) {
        true => Err(broken(format!("a command past its not_after was told {}", said.outcome))),
        false => Ok(()),
    }
}

async fn recall(trial: &Trial) -> Held {
    let record = trial.record();
    trial.put(&record, false).await?;
    let command = trial.command("erase", &record);
    let said = trial.tell(&command.clone().saying("recall")).await?;
    is(&said.outcome, "blocked", "a recall of what was not carried out")?;
    // The command itself comes late, or comes again.
    is(&trial.tell(&command).await?.outcome, "blocked", "a command that was recalled")?;
    there(trial, &record, true, "a command that was recalled").await?;
    let mut next = command;
    next.attempt += 1;
    is(&trial.tell(&next).await?.outcome, "removed", "the next attempt")?;
    is(&trial.tell(&next.saying("recall")).await?.outcome, "removed", "a recall of what was carried out")
}

async fn signature(trial: &Trial) -> Held {
    let record = trial.record();
    trial.put(&record, false).await?;
    if trial.tell_as_stranger(&trial.command("erase", &record)).await {
        return Err(broken("a command that is not signed with the system's secret was answered"));
    }
    there(trial, &record, true, "a command that is not signed with the system's secret").await
}

async fn refuse(trial: &Trial) -> Held {
    let record = trial.record();
    trial.put(&record, false).await?;
    let said = trial.tell(&trial.command("defenestrate", &record)).await?;
    is(&said.outcome, "refused", "an action that does not exist")?;
    let mut elsewhere = trial.command("erase", &record);
    elsewhere.dataset = "conform.nowhere".to_owned();
    is(&trial.tell(&elsewhere).await?.outcome, "refused", "a dataset that does not exist")?;
    there(trial, &record, true, "what was refused").await
}

async fn correct(trial: &Trial) -> Held {
    let record = trial.record();
    let mut command = trial.command("correct", &record);
    command.values = [("user.contact.email".to_owned(), Some("new@example.org".to_owned()))].into();
    let said = trial.tell(&command).await?;
    if said.outcome == "refused" {
        return Err(Flaw::NotApplicable("the connector refuses corrections".to_owned()));
    }
    is(&said.outcome, "absent", "a correction of nothing")?;
    there(trial, &record, false, "a correction of nothing").await?;
    trial.put(&record, false).await?;
    let mut again = trial.command("correct", &record);
    again.values = command.values;
    is(&trial.tell(&again).await?.outcome, "changed", "a correction")
}
