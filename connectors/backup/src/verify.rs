//! The read-back: the folder listed anew. A generation that was begun before the answer is there, or it is not;
//! what the manifest says of its expiry is not believed.

use std::sync::Arc;

use quietus_contract::{Finding, ReadBack, Target};

use crate::config::Config;
use crate::generation::{holding, list};

pub(crate) fn read_back(config: &Config, targets: &[Target]) -> Vec<ReadBack> {
    let all = list(&config.folder);
    let one = |target: &Target| {
        let mut back = ReadBack {
            command: target.command,
            finding: Finding::Gone,
            identity_rows: None,
            scope: Arc::default(),
            not_checked: Vec::new(),
            at: None,
        };
        let all = match &all {
            Ok(all) => all,
            Err(failure) => return ReadBack { finding: Finding::Unreadable(failure.clone()), ..back },
        };
        back.scope = Arc::from([format!("listing of {} generations", all.len())]);
        let held = holding(all, target.answered_at);
        match held.first() {
            None => back.identity_rows = Some(0),
            Some(oldest) => {
                let count = u64::try_from(held.len()).unwrap_or(u64::MAX);
                let by = format!("generation {}, the oldest of {count} that may hold it", oldest.name);
                back.finding = Finding::Found { count, by };
                back.not_checked.push("what is in a generation: its age tells what may be".into());
            }
        }
        back
    };
    targets.iter().map(one).collect()
}
