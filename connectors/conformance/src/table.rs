//! The results as the README of a connector shows them.

use quietus_contract::Capabilities;

use crate::{LawOutcome, LawResult};

/// A Markdown table of what a connector says it can do.
pub fn abilities(can: &Capabilities) -> String {
    let lines = [
        ("erase records", can.erase),
        ("mask fields", can.mask),
        ("anonymise", can.anonymise),
        ("pseudonymise", can.pseudonymise),
        ("restrict", can.restrict),
        ("correct fields", can.correct),
        ("read back by a session of its own", can.verify),
        ("ask the gate and keep the lease inside the target", can.gated),
        ("answer later (poll)", can.poll),
    ];
    let mut text = String::from("| can | |\n|---|---|\n");
    for (what, can) in lines {
        text.push_str(&format!("| {what} | {} |\n", if can { "yes" } else { "no" }));
    }
    // Only a few kinds are of this sort: the others' tables need no line that says they are not.
    for (what, is) in [
        ("take back what it handed over (recall)", can.recall),
        ("be scanned", can.scan),
        ("tell its tables (catalogue)", can.catalogue),
        ("hold copies made from others, found by a name: a correction takes the stale one away", can.derived),
        ("ask somebody outside, who answers for themselves", can.outside),
        (
            "find records by the subject's identities alone, and take all that lies under them",
            can.by_identity,
        ),
        ("erase nothing: what it holds ends by itself", can.residual),
    ] {
        if is {
            text.push_str(&format!("| {what} | yes |\n"));
        }
    }
    text
}

/// A Markdown table: one line per law.
pub fn table(results: &[LawResult]) -> String {
    let mut text = String::from("| law | what it says | here |\n|---|---|---|\n");
    for result in results {
        let here = match &result.outcome {
            LawOutcome::Held => "holds".to_owned(),
            LawOutcome::Broken(what) => format!("**broken**: {}", what.replace('|', "\\|")),
            LawOutcome::NotApplicable(why) => format!("not applicable: {}", why.replace('|', "\\|")),
            LawOutcome::NotTried(why) => format!("not tried: {}", why.replace('|', "\\|")),
        };
        text.push_str(&format!("| `{}` | {} | {here} |\n", result.law.id(), result.law.sentence()));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Law;

    #[test]
    fn every_law_has_its_line_and_nothing_breaks_the_table() {
        let results = [
            LawResult { law: Law::GateIsAsked, outcome: LawOutcome::Held },
            LawResult { law: Law::AbsentIsTold, outcome: LawOutcome::Broken("a | b".into()) },
        ];
        let text = table(&results);
        assert_eq!(text.lines().count(), 4);
        assert!(text.contains("| `gate_is_asked` |") && text.contains("a \\| b"));
    }
}
