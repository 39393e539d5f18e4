//! Whether the folder can be listed, and whether rotation does what the manifest says.

use std::os::unix::fs::MetadataExt;

use quietus_contract::{CheckReport, Problem};

use crate::config::Config;
use crate::generation::{Generation, list};

const DAY: i64 = 86_400_000;

pub(crate) fn report(config: &Config) -> CheckReport {
    let mut problems = Vec::new();
    match list(&config.folder) {
        Ok(all) => rotation(config, &all, &mut problems),
        Err(failure) => problems.push(Problem {
            fatal: true,
            code: failure.code,
            place: config.system.clone(),
            detail: failure.detail,
            fix: "see connection.url and the rights on the folder".into(),
        }),
    }
    CheckReport { problems }
}

fn rotation(config: &Config, all: &[Generation], problems: &mut Vec<Problem>) {
    let now = now().or_else(|| all.last().map(|g| g.changed));
    let age = |g: &Generation| now.unwrap_or(g.changed).saturating_sub(g.changed);
    let listed = all.first().map_or_else(
        || "no generation lies there".to_owned(),
        |g| format!("{} generations, the oldest is {}, {} days old", all.len(), g.name, age(g) / DAY),
    );
    let mut warn = |code, detail, fix: &str| {
        let place = config.system.clone();
        problems.push(Problem { fatal: false, code, place, detail, fix: fix.to_owned() });
    };
    let detail = format!("nothing can be erased, masked or corrected here: it ends by rotation ({listed})");
    warn("cannot_execute", detail, "nothing to do: what is erased elsewhere is residual here until then");
    let Some(expires) = config.expires else {
        let detail = "nobody says how long a generation is kept, so no date can be given".to_owned();
        return warn("rotation", detail, "add `expires:` to the manifest");
    };
    for old in all.iter().filter(|g| age(g) > expires) {
        let (name, age, kept) = (&old.name, age(old) / DAY, expires / DAY);
        let detail =
            format!("generation {name} is {age} days old, and `expires` says {kept}: rotation does not work");
        warn("rotation", detail, "mend the rotation, or say the real period in `expires`");
    }
}

/// The time a file gets that is made now: this machine's clock, by which the entries' ages are meant.
fn now() -> Option<i64> {
    let meta = tempfile::tempfile().ok()?.metadata().ok()?;
    Some(meta.mtime().saturating_mul(1_000).saturating_add(meta.mtime_nsec() / 1_000_000))
}
