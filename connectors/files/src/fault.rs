//! What an error means for a command: may it be retried, might it have happened? Names places, never text of files.

use std::io::{Error, ErrorKind};

use quietus_contract::Failure;

use crate::record::Broken;

/// Nothing was changed at `place`.
pub(crate) fn of(error: &Error, place: &str) -> Failure {
    match error.kind() {
        ErrorKind::NotFound => Failure::retry("unreachable", format!("{place}: it is not there")),
        ErrorKind::PermissionDenied => {
            Failure::fatal("denied", format!("{place}: the node has no right to read or replace it"))
        }
        ErrorKind::NotADirectory => Failure::fatal("unreachable", format!("{place}: it is no folder")),
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            Failure::retry("unreachable", format!("{place}: no space is left for the rewritten file"))
        }
        ErrorKind::ReadOnlyFilesystem => {
            Failure::fatal("denied", format!("{place}: the file system is read-only"))
        }
        kind => Failure::retry("unreachable", format!("{place}: {kind}")),
    }
}

/// A file that cannot be understood is left alone.
pub(crate) fn broken(path: &str, broken: &Broken) -> Failure {
    let place = broken.line.map_or_else(|| path.to_owned(), |line| format!("{path}:{line}"));
    let detail = format!("{place}: {}; the file was left as it is", broken.why);
    if broken.may_pass { Failure::retry("unreadable", detail) } else { Failure::fatal("unreadable", detail) }
}
