//! One digest over everything a partition knows, whatever the layout it is kept in.
//!
//! BLAKE3 over logical rows in key order, every field length-prefixed. Same semantics number and same ledger give
//! the same digest; ticks, offsets and owner records are not in it, so that two nodes that were asked the same
//! things at other moments agree.

use crate::item::{Consent, CopyState, Subject};
use crate::life::{CopyNote, Life, Lives};
use crate::obligation::Obligation;
use crate::request::Request;
use crate::time::Millis;

/// Takes rows in key order.
#[derive(Debug)]
pub struct Digest(blake3::Hasher);

impl Default for Digest {
    fn default() -> Self {
        Self(blake3::Hasher::new_derive_key("quietus 2026 state digest v2"))
    }
}

impl Digest {
    pub fn finish(&self) -> [u8; 32] {
        *self.0.finalize().as_bytes()
    }

    pub fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.update(&(bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
        self
    }

    pub fn text(&mut self, text: &str) -> &mut Self {
        self.bytes(text.as_bytes())
    }

    pub fn number(&mut self, number: u64) -> &mut Self {
        self.0.update(&number.to_le_bytes());
        self
    }

    fn time(&mut self, at: Option<Millis>) -> &mut Self {
        self.bytes(&at.map_or(i64::MIN, |m| m.0).to_le_bytes())
    }

    fn word(&mut self, word: Option<&str>) -> &mut Self {
        self.number(u64::from(word.is_some())).text(word.unwrap_or_default())
    }

    fn words(&mut self, words: &[String]) -> &mut Self {
        self.number(words.len() as u64);
        words.iter().for_each(|w| {
            self.text(w);
        });
        self
    }

    /// Every life of an item that is not closed; changes that wait for their item count too.
    pub fn item(&mut self, lives: &Lives) {
        for life in &lives.lives {
            self.life(life);
        }
        self.number(lives.waiting.len() as u64);
    }

    fn life(&mut self, life: &Life) {
        let item = &life.item;
        self.text("life").bytes(&item.id.subject.0).bytes(&item.id.item.0).number(u64::from(item.generation));
        self.time(item.recorded).time(item.touched);
        self.bytes(&item.process.map(|p| p.0).unwrap_or_default());
        for (event, at) in &item.events {
            self.text(event).time(Some(*at));
        }
        self.consent(&item.consent);
        for (copy, note) in life.copies() {
            self.text(&copy.system).text(&copy.dataset).bytes(&copy.cell);
            self.words(&copy.categories).words(&copy.purposes);
            self.word(copy.jurisdiction.as_deref())
                .word(copy.service.as_deref())
                .word(copy.controller.as_deref());
            self.copy_state(copy.state);
            self.note(note);
        }
        for (place, derived) in &life.derived {
            self.text(&place.system).text(&place.dataset).bytes(&place.cell);
            self.copy_state(derived.state);
            self.note(&derived.note);
        }
    }

    fn note(&mut self, note: &CopyNote) {
        self.number(u64::from(note.round)).number(u64::from(note.back)).number(u64::from(note.late));
        self.word(note.disclosure.as_deref());
        for (category, action) in &note.changed {
            self.text(category).text(&format!("{action:?}"));
        }
    }

    fn copy_state(&mut self, state: CopyState) {
        match state {
            CopyState::Live => self.number(0),
            CopyState::Erased { at, verified } => self.number(1).time(Some(at)).time(verified),
            CopyState::Gone { at } => self.number(2).time(Some(at)),
        };
    }

    fn consent(&mut self, consent: &Consent) {
        for map in [&consent.granted, &consent.withdrawn, &consent.ended] {
            self.number(map.len() as u64);
            for (purpose, at) in map {
                self.text(purpose).time(Some(*at));
            }
        }
    }

    pub fn subject(&mut self, subject: &Subject) {
        self.text("subject").bytes(&subject.key.0).time(subject.active);
        self.consent(&subject.consent);
        for (event, at) in &subject.events {
            self.text(event).time(Some(*at));
        }
        for ((process, event), at) in &subject.process_events {
            self.bytes(&process.0).text(event).time(Some(*at));
        }
    }

    /// A duty, without the times of its commands: those depend on when somebody asked.
    pub fn duty(&mut self, duty: &Obligation) {
        self.text("duty").bytes(&duty.id.0).bytes(&duty.item.subject.0).bytes(&duty.item.item.0);
        self.text(&format!("{:?}", duty.stand)).number(u64::from(duty.attempt));
        self.words(&duty.parts).text(&format!("{:?}", duty.duty)).number(u64::from(duty.round));
        self.time(duty.executed).time(duty.verified);
    }

    pub fn request(&mut self, request: &Request) {
        self.text("request").text(&request.id).text(request.kind.name()).bytes(&request.subject.0);
        self.time(Some(request.received))
            .number(u64::from(request.cancelled))
            .number(request.targets.len() as u64);
    }
}
