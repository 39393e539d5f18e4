//! One batch on its way: each event becomes a fact, a change, a duplicate or a refusal.

use std::collections::BTreeMap;
use std::sync::Arc;

use quietus_core::identity::{ItemKey, ShownItem, SubjectKey};
use quietus_core::policy::Level;
use quietus_core::record::{Change, ChangeKind, Fact, NamedCopy, Origin};
use quietus_core::time::Millis;

use super::accept::{Accepted, EventId, Intake, Receipt};
use super::cloudevent::{Payload, Position, RawEvent};
use super::context::Context;
use super::data::{Data, Given};
use super::dedupe::Hashes;
use super::identify::{self, Who};
use super::lifecycle::{self, Consent, CopyAt, Event, Recorded, Which};
use super::refuse::Refused;
use super::route::{Feed, Router};
use crate::sealing::{SealError, Sealer};

/// One batch on its way.
pub(super) struct Turn<'a> {
    pub(super) intake: &'a Intake,
    pub(super) context: &'a Context,
    router: Router<'a>,
    /// Of the event being taken.
    trace: Option<String>,
    pub(super) origin: Origin,
    position: Option<Position>,
    events: Hashes<(u32, u64)>,
    pub(super) subjects: Hashes<u64>,
    /// Whose identity this batch sends, last.
    pub(super) identified: Option<u64>,
    /// Of the person that the last cell was sealed for: events of one often follow each other.
    pub(super) sealer: Option<Sealer<'a>>,
    /// The last subject, as it was written, for the same reason.
    pub(super) who: Option<(String, Arc<Who>)>,
    pub told: Accepted,
}

impl<'a> Turn<'a> {
    pub fn new(intake: &'a Intake, feed: &'a Feed, context: &'a Context) -> Self {
        Self {
            intake,
            context,
            router: Router::new(feed, intake.partitions),
            trace: None,
            origin: Origin::Event,
            position: None,
            events: Hashes::default(),
            subjects: Hashes::default(),
            identified: None,
            sealer: None,
            who: None,
            told: Accepted::default(),
        }
    }

    /// What follows is of this trace.
    pub fn traced(&mut self, trace: Option<&str>) {
        if self.trace.as_deref() != trace {
            self.trace = trace.map(str::to_owned);
        }
    }

    pub fn finish(self) -> Accepted {
        let receipt = Receipt {
            events: self.events.into_iter().collect(),
            subjects: self.subjects.into_iter().collect(),
        };
        Accepted { frames: self.router.finish(), receipt, ..self.told }
    }

    pub fn take(&mut self, raw: &RawEvent<'_>, id: EventId) -> Result<(), Refused> {
        let read;
        let data = match &raw.payload {
            Payload::Read(data) => data,
            Payload::None => return Err(Refused::missing("data")),
            Payload::Bytes(bytes) => {
                read = parse(bytes)?;
                &read
            }
        };
        (self.origin, self.position) = (raw.origin, raw.position);
        self.router.begin(raw.position);
        match lifecycle::event(&raw.kind, raw.time, data)? {
            Event::Recorded(recorded) => self.recorded(recorded, id),
            Event::Copied { item, subject, copies, disclosure, at } => {
                self.copied(item, subject, copies, disclosure.as_deref(), at, id)
            }
            Event::Touched { item, subject, at } => {
                let who = self.who(subject)?;
                let item = self.which(&item, Some(&who.key))?;
                self.change(
                    &who,
                    Change { item: Some(item.0.into()), ..Change::new(ChangeKind::Touched, at.0) },
                    id,
                )
            }
            Event::Gone { item, subject, system, dataset, at } => {
                let change = Change {
                    system: system.map(str::to_owned),
                    dataset: dataset.map(str::to_owned),
                    ..Change::new(ChangeKind::Gone, at.0)
                };
                self.gone(&item, subject, change, id)
            }
            Event::Corrected { item, subject, values, at } => self.corrected(&item, subject, values, at, id),
            Event::Granted(consent) => self.consent(ChangeKind::Granted, &consent, id),
            Event::Withdrawn(consent) => self.consent(ChangeKind::Withdrawn, &consent, id),
            Event::Happened { subject, event, at, process, item } => {
                self.happened(subject, event, at, process, item, id)
            }
            Event::Linked { subject, also, at } => self.linked(subject, &also, at, id),
        }
    }

    pub(super) fn recorded(&mut self, mut recorded: Recorded<'_>, id: EventId) -> Result<(), Refused> {
        let keys = &self.intake.keys;
        let who = self.who(recorded.subject)?;
        let first = recorded.copies.first().ok_or_else(|| Refused::missing("data.copies"))?;
        let partition = who.key.partition(self.intake.partitions);
        if self.is_known(partition, id) {
            return Ok(());
        }
        let naming = self.context.naming(first.system, first.dataset);
        let item = identify::recorded(keys, recorded.item, first, naming)?;
        recorded.recorded_at.map_or(Ok(()), |at| self.in_time(at, "data.recorded_at"))?;
        recorded.source_time.map_or(Ok(()), |at| self.in_time(at, "time"))?;
        let sealer = self.sealer(&who.key)?;
        let (copies, cells) = self.cells(&sealer, &item, std::mem::take(&mut recorded.copies))?;
        recorded.copies = copies;
        self.told.unregistered += recorded.copies.iter().filter(|c| self.is_unregistered(c)).count();
        let fact = Fact {
            subject: who.key,
            item,
            start: recorded.recorded_at,
            shape: 0,
            origin: self.origin,
            source_time: recorded.source_time.unwrap_or(self.context.newest_tick),
            process: recorded.process.map(|process| keys.process_key(&who.key, process)),
            event_id: id.hash.to_le_bytes(),
            cells,
            identity: self.identity(&who, &sealer)?,
        };
        self.sealer = Some(sealer);
        self.know(partition, id);
        if !self.router.has(partition, self.position) {
            self.router.fact(partition, self.trace.as_deref(), &recorded, fact);
        }
        Ok(())
    }

    fn copied(
        &mut self,
        item: &str,
        subject: &str,
        copies: Vec<CopyAt<'_>>,
        disclosure: Option<&str>,
        at: Millis,
        id: EventId,
    ) -> Result<(), Refused> {
        let who = self.who(subject)?;
        let item = identify::item(&self.intake.keys, item, Some(&who.key))?;
        let sealer = self.sealer(&who.key)?;
        let (copies, cells) = self.cells(&sealer, &item, copies)?;
        self.sealer = Some(sealer);
        let unregistered = copies.iter().filter(|c| self.is_unregistered(c)).count();
        let named = copies.into_iter().zip(cells).map(|(copy, cell)| NamedCopy {
            system: copy.system.to_owned(),
            dataset: copy.dataset.to_owned(),
            purposes: copy.purposes.map(|p| p.into_iter().map(str::to_owned).collect()),
            disclosure: disclosure.map(str::to_owned),
            cell,
        });
        let copies = named.collect();
        let change = Change { item: Some(item.0.into()), copies, ..Change::new(ChangeKind::Copied, at.0) };
        self.change(&who, change, id)?;
        self.told.unregistered += unregistered;
        Ok(())
    }

    fn gone(
        &mut self,
        which: &Which<'_>,
        subject: Option<&str>,
        change: Change,
        id: EventId,
    ) -> Result<(), Refused> {
        if let Some(subject) = subject {
            let who = self.who(subject)?;
            let item = self.which(which, Some(&who.key))?;
            return self.change(&who, Change { item: Some(item.0.into()), ..change }, id);
        }
        self.in_time(Millis(change.at), "data.at, or time,")?;
        let key = self.which(which, None)?;
        let (event_id, origin) = (known_by(id), self.origin as i32);
        let change = Change { item: Some(key.0.into()), event_id, origin, ..change };
        // An `it_…` carries what the partition is computed from; any other id may be anybody's.
        let shown = match which {
            Which::Named(item) => ShownItem::parse(item),
            Which::At(_) => None,
        };
        let partitions = match shown {
            Some(shown) => {
                let mut key = SubjectKey::default();
                key.0.iter_mut().zip(shown.subject_prefix).for_each(|(byte, known)| *byte = known);
                let own = key.partition(self.intake.partitions);
                own..own + 1
            }
            None => 0..self.intake.partitions,
        };
        if self.is_known(partitions.start, id) {
            return Ok(());
        }
        self.know(partitions.start, id);
        for partition in partitions {
            if !self.router.has(partition, self.position) {
                self.router.change(partition, self.trace.as_deref(), change.clone());
            }
        }
        Ok(())
    }

    fn corrected(
        &mut self,
        which: &Which<'_>,
        subject: &str,
        values: &[(String, Option<String>)],
        at: Millis,
        id: EventId,
    ) -> Result<(), Refused> {
        let who = self.who(subject)?;
        let item = self.which(which, Some(&who.key))?;
        let values: BTreeMap<_, _> = values.iter().cloned().collect();
        let sealed = self.intake.keys.seal_corrections(&who.key, Some(&item), &values).map_err(unsealed)?;
        let change = Change {
            item: Some(item.0.into()),
            categories: values.into_keys().collect(),
            values: Some(sealed),
            ..Change::new(ChangeKind::Corrected, at.0)
        };
        self.change(&who, change, id)
    }

    fn consent(&mut self, kind: ChangeKind, consent: &Consent<'_>, id: EventId) -> Result<(), Refused> {
        let who = self.who(consent.subject)?;
        let item =
            consent.item.map(|item| identify::item(&self.intake.keys, item, Some(&who.key))).transpose()?;
        let change = Change {
            item: item.map(|item| item.0.into()),
            name: Some(consent.purpose.to_owned()),
            policy_version: consent.policy_version.map(str::to_owned),
            ..Change::new(kind, consent.at.0)
        };
        self.change(&who, change, id)
    }

    /// A declared event keeps what its level asks for, so that the engine has one thing to go by.
    fn happened(
        &mut self,
        subject: &str,
        event: &str,
        at: Millis,
        process: Option<&str>,
        item: Option<&str>,
        id: EventId,
    ) -> Result<(), Refused> {
        let who = self.who(subject)?;
        let level = self.context.events.get(event);
        let (process, item) = match level {
            Some(Level::Subject) => (None, None),
            Some(Level::Process) if process.is_none() => {
                return Err(Refused::new(
                    "process-missing",
                    "data.process is missing: the policy declares this event of a process",
                ));
            }
            Some(Level::Item) if item.is_none() => {
                return Err(Refused::new(
                    "item-missing",
                    "data.item is missing: the policy declares this event of an item",
                ));
            }
            Some(Level::Process) => (process, None),
            Some(Level::Item) => (None, item),
            None => (process, item),
        };
        if event == "active" && level.is_none() {
            return self.change(&who, Change::new(ChangeKind::Active, at.0), id);
        }
        let item = item.map(|item| identify::item(&self.intake.keys, item, Some(&who.key))).transpose()?;
        let change = Change {
            item: item.map(|item| item.0.into()),
            process: process.map(|process| self.intake.keys.process_key(&who.key, process).0.into()),
            name: Some(event.to_owned()),
            ..Change::new(ChangeKind::Event, at.0)
        };
        self.change(&who, change, id)?;
        self.told.undeclared += usize::from(level.is_none());
        Ok(())
    }

    fn linked(&mut self, subject: &str, also: &[&str], at: Millis, id: EventId) -> Result<(), Refused> {
        let who = self.who(subject)?;
        let mut linked: Vec<SubjectKey> = Vec::with_capacity(also.len());
        for text in also {
            let key =
                identify::subject(&self.intake.keys, text, &self.context.default_type, "data.also")?.key;
            if key != who.key && !linked.contains(&key) {
                linked.push(key);
            }
        }
        if linked.is_empty() {
            return Err(Refused::new(
                "linked-to-itself",
                "data.also names no identity but the subject itself",
            ));
        }
        let linked = linked.iter().flat_map(|key| key.0).collect();
        self.change(&who, Change { linked: Some(linked), ..Change::new(ChangeKind::Linked, at.0) }, id)
    }

    pub(super) fn change(&mut self, who: &Who, change: Change, id: EventId) -> Result<(), Refused> {
        self.in_time(Millis(change.at), "data.at, or time,")?;
        let partition = who.key.partition(self.intake.partitions);
        if self.is_known(partition, id) {
            return Ok(());
        }
        self.know(partition, id);
        if !self.router.has(partition, self.position) {
            let (event_id, origin) = (known_by(id), self.origin as i32);
            let change = Change { subject: Some(who.key.0.into()), event_id, origin, ..change };
            self.router.change(partition, self.trace.as_deref(), change);
        }
        Ok(())
    }

    fn which(&self, which: &Which<'_>, subject: Option<&SubjectKey>) -> Result<ItemKey, Refused> {
        match which {
            Which::Named(item) => identify::item(&self.intake.keys, item, subject),
            Which::At(copy) => {
                let naming = self.context.naming(copy.system, copy.dataset);
                identify::check_locator(copy.locator, naming, 0)?;
                identify::recorded(&self.intake.keys, None, copy, naming)
            }
        }
    }

    fn in_time(&self, at: Millis, field: &str) -> Result<(), Refused> {
        if self.context.is_ahead(at) {
            return Err(Refused::new(
                "time-ahead",
                format!("{field} lies more than 5 minutes ahead of the ledger's clock: check the sender's"),
            ));
        }
        Ok(())
    }

    /// Whether the event was taken in before, lately or in this batch.
    fn is_known(&mut self, partition: u32, id: EventId) -> bool {
        if id.hash == 0 {
            return false;
        }
        let seen = !id.is_new && self.intake.was_seen(partition, id.hash);
        let known = seen || self.events.contains(&(partition, id.hash));
        self.told.duplicates += usize::from(known);
        known
    }

    /// Only when nothing can refuse the event any more: a refused one may come again, mended, under its id.
    fn know(&mut self, partition: u32, id: EventId) {
        if id.hash != 0 {
            self.events.insert((partition, id.hash));
        }
    }
}

fn parse(bytes: &[u8]) -> Result<Data<'_>, Refused> {
    match serde_json::from_slice::<Given<Data<'_>>>(bytes) {
        Ok(Given::Is(data)) => Ok(data),
        Ok(_) => Err(Refused::wrong("data", "an object")),
        Err(e) => Err(Refused::new(
            "malformed",
            format!("data is not JSON, or has a field twice: line {}, column {}", e.line(), e.column()),
        )),
    }
}

pub(super) fn unsealed(error: SealError) -> Refused {
    Refused::new("not-sealed", error.to_string())
}

fn known_by(id: EventId) -> Option<Vec<u8>> {
    (id.hash != 0).then(|| id.hash.to_le_bytes().into())
}
