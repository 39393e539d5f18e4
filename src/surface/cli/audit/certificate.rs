//! `quietus audit check-certificate`: what a third party does, with the public key and nothing of ours but this
//! program.

use std::path::Path;

use serde::Serialize;

use super::proof::{text, verifiers};
use crate::audit::{Certificate, Certified, not_checked};
use crate::surface::cli::{Exit, Failure, Output};

#[derive(Debug, Default, Serialize)]
struct Checked {
    ok: bool,
    of: String,
    kind: Option<String>,
    decisions: u64,
    entries: u64,
    logs: u64,
    duties: Vec<Certified>,
    finding: Option<String>,
    not_checked: Vec<String>,
}

pub(super) fn check(file: &Path, key: &Path, out: &mut Output) -> Result<Exit, Failure> {
    let text = text(file)?;
    let keys = verifiers(key)?;
    let certificate: Certificate = serde_json::from_str(&text).map_err(|cause| {
        Failure::usage(format!(
            "{}:{}:{}: this is no certificate; save what `quietus audit certificate ID` prints",
            file.display(),
            cause.line(),
            cause.column()
        ))
    })?;
    let told = Checked {
        of: certificate.of.clone(),
        kind: certificate.kind.clone(),
        not_checked: not_checked(),
        ..Checked::default()
    };
    let told = match certificate.check(&keys) {
        Ok(believed) => Checked {
            ok: true,
            decisions: believed.decisions,
            entries: believed.entries,
            logs: believed.logs,
            duties: believed.duties,
            ..told
        },
        Err(why) => Checked { finding: Some(why.to_string()), ..told },
    };
    out.answer(&told, human)?;
    Ok(if told.ok { Exit::Done } else { Exit::No })
}

fn human(out: &mut Output, told: &Checked) {
    if let Some(finding) = &told.finding {
        return out.line(finding);
    }
    let proved =
        format!("{} decisions in {} entries of {} signed logs", told.decisions, told.entries, told.logs);
    out.pairs(&[
        ("of", told.of.clone()),
        ("type", told.kind.clone().unwrap_or_else(|| "sweep".to_owned())),
        ("proved", proved),
    ]);
    let row = |d: &Certified| {
        let rule = d.rule.clone().unwrap_or_default();
        vec![
            d.item.clone(),
            d.system.clone(),
            d.dataset.clone(),
            d.outcome.clone(),
            d.categories.join(", "),
            rule,
        ]
    };
    let rows: Vec<_> = told.duties.iter().map(row).collect();
    out.table(&["item", "system", "dataset", "outcome", "categories", "rule"], &rows);
    told.not_checked.iter().for_each(|what| out.line(&format!("not checked: {what}")));
}
