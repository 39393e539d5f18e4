//! What a fact holds sealed: where its copies lie, and whose it is.

use quietus_core::identity::ItemKey;

use super::accept::short;
use super::identify::{self, Who};
use super::lifecycle::CopyAt;
use super::refuse::Refused;
use super::turn::{Turn, unsealed};
use crate::sealing::Sealer;

impl Turn<'_> {
    /// The copies, each place once, with their sealed locators.
    pub(super) fn cells<'c>(
        &self,
        sealer: &Sealer<'_>,
        item: &ItemKey,
        copies: Vec<CopyAt<'c>>,
    ) -> Result<(Vec<CopyAt<'c>>, Vec<Vec<u8>>), Refused> {
        let (mut kept, mut cells) = (Vec::with_capacity(copies.len()), Vec::with_capacity(copies.len()));
        for (n, copy) in copies.into_iter().enumerate() {
            let naming = self.context.naming(copy.system, copy.dataset);
            identify::check_locator(copy.locator, naming, n)?;
            let locator = identify::key_columns(copy.locator, naming);
            let cell = sealer.locator(item, copy.system, copy.dataset, &locator).map_err(unsealed)?;
            let same = |(k, c): (&CopyAt<'_>, &Vec<u8>)| {
                *c == cell && k.system == copy.system && k.dataset == copy.dataset
            };
            if !kept.iter().zip(&cells).any(same) {
                kept.push(copy);
                cells.push(cell);
            }
        }
        Ok((kept, cells))
    }

    pub(super) fn is_unregistered(&self, copy: &CopyAt<'_>) -> bool {
        self.context.naming(copy.system, copy.dataset).is_none()
    }

    /// The sealed identity, unless it was sent lately.
    pub(super) fn identity(&mut self, who: &Who, sealer: &Sealer<'_>) -> Result<Option<Vec<u8>>, Refused> {
        let short = short(&who.key);
        // Events of one person often follow each other.
        if self.identified == Some(short) || self.intake.was_sent(short) || !self.subjects.insert(short) {
            return Ok(None);
        }
        self.identified = Some(short);
        let (kind, value) = (&who.identity.kind, who.identity.value.reveal());
        sealer.identity(kind, value).map(Some).map_err(unsealed)
    }
}
