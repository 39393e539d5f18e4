//! What some seeds begin with: the answers to an erasure are lost, and its customer comes back under the same key before
//! anybody knows what had happened.

use quietus_memory::Faults;

use crate::invariants::Checked;
use crate::plain::{DAY, Item, Purpose, System, What};
use crate::rules::{From, Keep, Rules, Span};
use crate::world::World;

/// It is told over HTTP.
const ITEM: Item = 0;

impl World {
    pub fn comeback(&mut self) -> Checked {
        let (person, kind) = (self.company.items[&ITEM].person, self.company.items[&ITEM].kind);
        let keep =
            |part| Keep { part, purpose: Purpose::Service, span: Span::Hours(1), from: From::Recorded };
        let keeps = kind.parts().map(keep).to_vec();
        self.publish(Rules { zone: "UTC", keeps, minimum: None, cool_down_hours: 0, limit: None });
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
        let faults = Faults { lose_answers: 1, ..Faults::default() };
        systems.iter().for_each(|s| self.sites[s].connector.set_faults(faults.clone()));
        self.sweep()?;
        self.carry_out()?;
        self.come_back(ITEM, systems);
        // Told before the next attempts, or after them.
        if self.rng.u8(..4) > 0 {
            self.hear_all()?;
        }
        self.settle()
    }

    /// What is owed is sent once; nobody hears the answers yet.
    pub fn carry_out(&mut self) -> Checked {
        // Both scenes are about the first record.
        let home = self.home(self.company.items[&ITEM].person);
        self.read_all()?;
        while self.copy_control(home) {}
        self.read_all()?;
        System::ALL.into_iter().for_each(|system| self.propose(system, home));
        self.read_all()?;
        while !self.node.sends.is_empty() {
            self.send(0)?;
        }
        while !self.node.calls.is_empty() {
            self.go_on(0)?;
        }
        Ok(())
    }
}
