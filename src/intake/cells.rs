//! What a fact holds sealed: where its copies lie, and whose it is.
//!
//! Events of one person often follow each other: what was made of the last one is kept for the next.

use std::sync::Arc;

use quietus_core::identity::{ItemKey, SubjectKey};

use super::accept::short;
use super::identify::{self, Who};
use super::lifecycle::CopyAt;
use super::refuse::Refused;
use super::turn::{Turn, unsealed};
use crate::sealing::Sealer;

impl<'a> Turn<'a> {
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
        if self.identified == Some(short) || self.intake.was_sent(short) || !self.subjects.insert(short) {
            return Ok(None);
        }
        self.identified = Some(short);
        let (kind, value) = (&who.identity.kind, who.identity.value.reveal());
        sealer.identity(kind, value).map(Some).map_err(unsealed)
    }

    pub(super) fn sealer(&mut self, subject: &SubjectKey) -> Result<Sealer<'a>, Refused> {
        match self.sealer.take().filter(|sealer| sealer.is_of(subject)) {
            Some(sealer) => Ok(sealer),
            None => self.intake.keys.sealer(subject).map_err(unsealed),
        }
    }

    pub(super) fn who(&mut self, subject: &str) -> Result<Arc<Who>, Refused> {
        if let Some((text, who)) = &self.who
            && text == subject
        {
            return Ok(Arc::clone(who));
        }
        let (keys, default_type) = (&self.intake.keys, &self.context.default_type);
        let who = Arc::new(identify::subject(keys, subject, default_type, "data.subject")?);
        self.who = Some((subject.to_owned(), Arc::clone(&who)));
        Ok(who)
    }
}
