//! What some seeds begin with: one record is corrected, by its company and at its person's request, and erased, by its
//! date and at its person's request, in any order, while answers are lost and the rule is made longer.

use quietus_memory::Faults;

use crate::invariants::Checked;
use crate::model::Asked;
use crate::plain::{DAY, Item, Purpose, What};
use crate::rules::{From, Keep, Rules, Span};
use crate::world::World;

/// It is told over HTTP.
const ITEM: Item = 0;

impl World {
    pub fn amends(&mut self) -> Checked {
        self.keep_for(Span::Days(2));
        let (person, kind) = (self.company.items[&ITEM].person, self.company.items[&ITEM].kind);
        let systems = kind.homes().to_vec();
        systems.iter().for_each(|s| self.company.put(&self.sites[s], *s, ITEM));
        let start = Some(self.real - DAY);
        self.company.starts.insert(ITEM, start);
        let what =
            What::Recorded { item: ITEM, start, purposes: vec![Purpose::Service], systems: systems.clone() };
        self.happens(person, what);
        self.tick_all();
        self.hear_all()?;
        self.tell_watermark();
        self.settle()?;
        let mut acts: Vec<u8> = (0..9).collect();
        self.rng.shuffle(&mut acts);
        for act in acts {
            match act {
                0 | 1 => self.correct(ITEM),
                2 => {
                    let values = self.company.new_values(&mut self.rng, &kind.parts());
                    self.asks(person, Asked::Correct(values));
                }
                3 if self.rng.bool() => self.asks(person, Asked::Erase(Some("unlawful"))),
                4 => {
                    self.pass(2 * DAY);
                    self.tick_all();
                    self.hear_all()?;
                    self.tell_watermark();
                    self.sweep()?;
                }
                5 => self.keep_for(Span::Days(300)),
                6 => {
                    let faults = Faults { lose_answers: 1, ..Faults::default() };
                    systems.iter().for_each(|s| self.sites[s].connector.set_faults(faults.clone()));
                }
                7 => self.crash()?,
                _ => self.carry_out()?,
            }
            // Heard at once, or together with what comes next.
            if self.rng.bool() {
                self.tick_all();
                self.hear_all()?;
                self.carry_out()?;
            }
            for _ in 0..self.rng.u8(..12) {
                self.work()?;
            }
        }
        self.settle()
    }

    fn keep_for(&mut self, span: Span) {
        let parts = self.company.items[&ITEM].kind.parts();
        let keep = |part| Keep { part, purpose: Purpose::Service, span, from: From::Recorded };
        let keeps = parts.map(keep).to_vec();
        self.publish(Rules { zone: "UTC", keeps, minimum: None, cool_down_hours: 0, limit: None });
    }
}
