//! What some seeds begin with: a record is used while its source stands still, falls due by what the node knows, and a
//! sweep runs before the source goes on.

use crate::invariants::Checked;
use crate::plain::{HOUR, Item, Purpose, What};
use crate::rules::{From, Keep, Rules, Span};
use crate::world::World;

/// It is told by the first lane.
const ITEM: Item = 1;

impl World {
    pub fn late_news(&mut self) -> Checked {
        let (person, kind) = (self.company.items[&ITEM].person, self.company.items[&ITEM].kind);
        let keep =
            |part| Keep { part, purpose: Purpose::Ads, span: Span::Hours(30), from: From::LastActivity };
        let keeps = kind.parts().map(keep).to_vec();
        self.publish(Rules { zone: "UTC", keeps, minimum: None, cool_down_hours: 0, limit: None });
        self.settle()?;
        let systems = kind.homes().to_vec();
        systems.iter().for_each(|s| self.company.put(&self.sites[s], *s, ITEM));
        let start = Some(self.real);
        self.company.starts.insert(ITEM, start);
        self.happens(person, What::Recorded { item: ITEM, start, purposes: vec![Purpose::Ads], systems });
        self.happens(person, What::Touched { item: ITEM });
        while self.company.lanes[0].next < self.company.lanes[0].events.len() {
            self.tick_all();
            self.read_all()?;
            self.read_lane();
        }
        self.settle()?;
        self.pass(24 * HOUR);
        self.happens(person, What::Touched { item: ITEM });
        self.pass(16 * HOUR);
        self.tell_watermark();
        self.settle()?;
        self.sweep()?;
        self.settle()
    }
}
