//! `quietus audit check-proof`: what a third party does, with the public key and nothing of ours but this program.

use std::path::Path;

use serde::Serialize;

use crate::audit::{Proof, Unproven, Unsigned, Verifier};
use crate::surface::cli::{Exit, Failure, Output, files};
use crate::surface::wire::EntryView;

#[derive(Debug, Default, Serialize)]
struct Checked {
    ok: bool,
    entry: Option<EntryView>,
    /// The log it stands in, and how long that was when it was signed.
    origin: Option<String>,
    size: Option<u64>,
    finding: Option<String>,
    /// What no proof of this kind says.
    not_checked: [&'static str; 1],
}

pub(super) fn check(file: &Path, key: &Path, out: &mut Output) -> Result<Exit, Failure> {
    let text = text(file)?;
    let keys = verifiers(key)?;
    // The key of the log that the proof is of; what is of none of them was signed by somebody else.
    let believed = keys.iter().map(|key| Proof::check(&text, key));
    let mut checked = Err(Unproven::Unsigned(Unsigned::OtherKey));
    for one in believed {
        if one.is_ok() || checked == Err(Unproven::Unsigned(Unsigned::OtherKey)) {
            checked = one;
        }
    }
    let told = match checked {
        Ok(proof) => Checked {
            ok: true,
            entry: Some(EntryView::from(&proof.entry)),
            origin: Some(proof.checkpoint.origin),
            size: Some(proof.checkpoint.size),
            ..Checked::default()
        },
        Err(why) => Checked { finding: Some(why.to_string()), ..Checked::default() },
    };
    let told = Checked { not_checked: ["that nobody was shown another log under the same key"], ..told };
    out.answer(&told, human)?;
    Ok(if told.ok { Exit::Done } else { Exit::No })
}

fn human(out: &mut Output, told: &Checked) {
    if let Some(finding) = &told.finding {
        return out.line(finding);
    }
    let entry = told.entry.clone().unwrap_or_default();
    out.pairs(&[
        ("proved", "the entry stands in the log that was signed".to_owned()),
        ("log", told.origin.clone().unwrap_or_default()),
        ("entry", format!("{} of {}", entry.n, told.size.unwrap_or_default())),
        ("offset", entry.offset.to_string()),
        ("decisions", entry.decisions.to_string()),
        ("hash", entry.hash),
        ("not checked", told.not_checked.join(", ")),
    ]);
}

/// The public keys of a file, one a line.
pub(super) fn verifiers(file: &Path) -> Result<Vec<Verifier>, Failure> {
    let text = text(file)?;
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let read = |(n, line): (usize, &str)| {
        Verifier::parse(line).map_err(|why| Failure::usage(format!("{}:{}:1: {why}", file.display(), n + 1)))
    };
    let keys = lines.map(read).collect::<Result<Vec<_>, _>>()?;
    if keys.is_empty() {
        return Err(Failure::usage(format!(
            "{}: no key stands in it; save what `quietus audit keys` prints",
            file.display()
        )));
    }
    Ok(keys)
}

pub(super) fn text(file: &Path) -> Result<String, Failure> {
    String::from_utf8(files::read(file)?).map_err(|_| {
        Failure::usage(format!("{}: not valid UTF-8; save the file as it was printed", file.display()))
    })
}
