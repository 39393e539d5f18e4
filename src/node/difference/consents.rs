//! What a person said of consent, and how that lies between an item's dates.

use std::collections::BTreeMap;

use quietus_core::item::Consent;
use quietus_core::time::Millis;

use crate::store::{How, Said};

/// Purposes of which something was said: what was said names them by their places.
#[derive(Debug, Default)]
pub(super) struct Heard {
    all: Vec<String>,
    places: BTreeMap<String, usize>,
}

impl Heard {
    pub fn all(&self) -> &[String] {
        &self.all
    }

    fn place(&mut self, purpose: &str) -> usize {
        if let Some(place) = self.places.get(purpose) {
            return *place;
        }
        let place = self.all.len();
        self.all.push(purpose.to_owned());
        self.places.insert(purpose.to_owned(), place);
        place
    }

    fn purpose(&self, place: usize) -> String {
        self.all.get(place).cloned().unwrap_or_default()
    }
}

/// Of each purpose that was heard of, its place among some.
pub(super) type Places = Vec<Option<u8>>;

/// The last time of each, sorted by what was said and of which purpose. Most persons say one thing.
#[derive(Clone, Debug, Default)]
pub(super) struct Consents {
    first: Option<Last>,
    others: Vec<Last>,
}

#[derive(Clone, Copy, Debug)]
struct Last {
    at: Millis,
    purpose: usize,
    how: How,
}

/// More than so many are not told apart by how they lie.
const MOST: usize = 4;
const BITS: u32 = 15;

impl Consents {
    pub fn hear(&mut self, said: Said<'_>, heard: &mut Heard) {
        let Said { how, purpose, at } = said;
        let new = Last { at, purpose: heard.place(purpose), how };
        let order = |said: &Last| (said.how, said.purpose);
        if let Some(known) = self.first.iter_mut().chain(&mut self.others).find(|s| order(s) == order(&new)) {
            known.at = known.at.max(at);
            return;
        }
        match &mut self.first {
            None => self.first = Some(new),
            Some(first) => {
                let later = if order(&new) < order(first) { std::mem::replace(first, new) } else { new };
                let place = self.others.partition_point(|said| order(said) < order(&later));
                self.others.insert(place, later);
            }
        }
    }

    fn all(&self) -> impl Iterator<Item = &Last> {
        self.first.iter().chain(&self.others)
    }

    fn concerning(&self, places: &Places) -> impl Iterator<Item = (usize, &Last)> {
        self.all().filter_map(|said| {
            let place = places.get(said.purpose).copied().flatten()?;
            Some((usize::from(place), said))
        })
    }

    /// Something was said of one of these purposes.
    pub fn concern(&self, places: &Places) -> bool {
        self.concerning(places).next().is_some()
    }

    /// As the rules see it.
    pub fn consent(&self, heard: &Heard) -> Consent {
        let mut consent = Consent::default();
        for said in self.all() {
            let of = match said.how {
                How::Granted => &mut consent.granted,
                How::Withdrawn => &mut consent.withdrawn,
                How::Ended => &mut consent.ended,
            };
            of.insert(heard.purpose(said.purpose), said.at);
        }
        consent
    }

    /// What was said of these purposes, each by where it lies: between which of the dates or on one of them, before or
    /// after the recording, and before which of the others. None = there is more than fits.
    pub fn between(&self, dates: &[Millis], recorded: Millis, places: &Places) -> Option<u64> {
        let mut between = 0;
        for (n, (purpose, said)) in self.concerning(places).enumerate() {
            let date = dates.partition_point(|date| *date < said.at);
            if n >= MOST || purpose >= 1 << 5 || date >= 1 << 4 {
                return None;
            }
            let earlier = self.concerning(places).filter(|(_, other)| other.at < said.at).count();
            let on = dates.get(date) == Some(&said.at);
            let reached = recorded <= said.at;
            let packed = (said.how as usize) << 13 | purpose << 8 | date << 4 | earlier << 2;
            between = between << BITS | (packed | usize::from(on) << 1 | usize::from(reached)) as u64;
        }
        Some(between)
    }
}
