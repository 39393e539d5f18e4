//! What a person said of consent, and how that lies between an item's dates.

use std::cmp::Ordering;

use quietus_core::item::Consent;
use quietus_core::life::What;
use quietus_core::time::Millis;

/// The last time of each, sorted by what was said and of which purpose.
#[derive(Clone, Debug, Default)]
pub(super) struct Consents(Vec<Said>);

#[derive(Clone, Debug)]
struct Said {
    how: How,
    purpose: String,
    at: Millis,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum How {
    Granted = 1,
    Withdrawn = 2,
    Ended = 3,
}

/// More than so many are not told apart by how they lie.
const MOST: usize = 4;
const BITS: u32 = 15;

impl Consents {
    /// Takes in what a change of the subject says, and answers of which purpose; other changes say nothing here.
    pub fn hear<'w>(&mut self, what: &'w What) -> Option<&'w str> {
        let (how, purpose, at) = match what {
            What::Granted { purpose, at } => (How::Granted, purpose, *at),
            What::Withdrawn { purpose, at } => (How::Withdrawn, purpose, *at),
            What::Ended { purpose, at } => (How::Ended, purpose, *at),
            _ => return None,
        };
        let order = |said: &Said| -> Ordering { (said.how, &said.purpose).cmp(&(how, purpose)) };
        match self.0.binary_search_by(order) {
            Ok(known) => self.0.get_mut(known).into_iter().for_each(|said| said.at = said.at.max(at)),
            Err(place) => self.0.insert(place, Said { how, purpose: purpose.clone(), at }),
        }
        Some(purpose)
    }

    /// Something was said of one of these purposes.
    pub fn concern(&self, purposes: &[String]) -> bool {
        self.0.iter().any(|said| purposes.contains(&said.purpose))
    }

    /// As the rules see it.
    pub fn consent(&self) -> Consent {
        let mut consent = Consent::default();
        for said in &self.0 {
            let of = match said.how {
                How::Granted => &mut consent.granted,
                How::Withdrawn => &mut consent.withdrawn,
                How::Ended => &mut consent.ended,
            };
            of.insert(said.purpose.clone(), said.at);
        }
        consent
    }

    /// What was said of these purposes, each by where it lies: between which of the dates or on one of them, before or
    /// after the recording, and before which of the others. None = there is more than fits.
    pub fn between(&self, dates: &[Millis], recorded: Millis, purposes: &[String]) -> Option<u64> {
        let concerning = || {
            self.0.iter().filter_map(|said| {
                let purpose = purposes.iter().position(|own| *own == said.purpose)?;
                Some((purpose, said))
            })
        };
        let mut between = 0;
        for (n, (purpose, said)) in concerning().enumerate() {
            let date = dates.partition_point(|date| *date < said.at);
            if n >= MOST || purpose >= 1 << 5 || date >= 1 << 4 {
                return None;
            }
            let earlier = concerning().filter(|(_, other)| other.at < said.at).count();
            let on = dates.get(date) == Some(&said.at);
            let reached = recorded <= said.at;
            let packed = (said.how as usize) << 13 | purpose << 8 | date << 4 | earlier << 2;
            between = between << BITS | (packed | usize::from(on) << 1 | usize::from(reached)) as u64;
        }
        Some(between)
    }
}
