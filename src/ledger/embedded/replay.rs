//! Every frame of a ledger that nobody need have open: read only, so that a copy kept as evidence stays as it is.

use std::path::Path;

use super::kept;
use super::mark::Meta;
use super::verify::{Verified, verify};
use super::walk::{Step, Walk};
use crate::ledger::{Frame, LedgerError, Position, Stream};

/// Verifies the ledger, then hands its frames to `each` in the order they were written, up to the last that is
/// durable; entries of the control log whose segments are gone come first. An error of `each` ends it.
pub fn replay<E: From<LedgerError>>(
    dir: &Path,
    mut each: impl FnMut(Frame) -> Result<(), E>,
) -> Result<Verified, E> {
    let verified = verify(dir)?;
    let meta = Meta::read(dir)?.ok_or_else(|| LedgerError::Missing { dir: dir.to_owned() })?;
    for frame in kept::frames(dir, &meta.ledger, meta.control, 0)? {
        each(frame)?;
    }
    let mut body = Vec::new();
    for number in meta.first..=verified.position.segment {
        let mut walk = Walk::open(dir, number)?;
        // What a running node appends meanwhile was not verified.
        while (Position { segment: number, at: walk.at }) < verified.position {
            let Step::Frame { head, at } = walk.step(&mut body)? else { break };
            let stream = Stream::from_number(u32::try_from(head.slot()).unwrap_or(u32::MAX));
            let position = Position { segment: number, at };
            each(Frame { stream, offset: head.offset, body: body.clone(), position })?;
        }
    }
    Ok(verified)
}
