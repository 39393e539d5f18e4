//! Nobody but the connector itself can look there: what it says of itself is `confirmed`, never `verified`.

use std::sync::Arc;

use quietus_contract::{Failure, Finding, ReadBack, Target};

pub(crate) fn unreadable(target: &Target) -> ReadBack {
    let why = "the system is looked into by its own connector alone";
    ReadBack {
        command: target.command,
        finding: Finding::Unreadable(Failure::fatal("cannot_execute", why)),
        identity_rows: None,
        scope: Arc::default(),
        not_checked: vec!["the system itself".to_owned()],
        at: None,
    }
}
