//! What the shop's people and customers do on a day, and what the shop says of it.

use serde_json::{Value, json};

use super::DemoError;
use super::story::{Story, subject};
use crate::clock::Clock;

const NAMES: [&str; 12] = [
    "Ada Berg",
    "Ben Kaya",
    "Cem Roth",
    "Dana Voss",
    "Eva Lind",
    "Finn Oser",
    "Gül Demir",
    "Hana Ito",
    "Ivo Marek",
    "Jana Wolf",
    "Kofi Amo",
    "Lea Sand",
];
const CITIES: [&str; 5] = ["Berlin", "Hamburg", "Leipzig", "Kiel", "Ulm"];
/// The story is about these: chance leaves them alone.
const KNOWN: [i64; 8] = [3, 5, 7, 9, 11, 13, 15, 17];

impl Story {
    pub(super) async fn shop_day(&mut self, day: i64) -> Result<(), DemoError> {
        // Most come in the first two years.
        let wanted = self.subjects.min((day + 1) * self.subjects / 700 + 18);
        while self.customers < wanted {
            self.customers += 1;
            self.arrive(self.customers).await?;
            self.subscribe(self.customers).await?;
        }
        if self.dice.roll(3) == 0 {
            self.order()?;
        }
        if self.dice.roll(9) == 0 {
            self.ticket()?;
        }
        if day > 30 && self.dice.roll(6) == 0 {
            let leaving = self.someone_else();
            self.leaves(leaving);
        }
        if day > 60 && self.dice.roll(15) == 0 {
            let tired = self.someone_else();
            self.say(
                "quietus.purpose.withdrawn.v1",
                json!({"subject": subject(tired), "purpose": "newsletter"}),
            );
        }
        Ok(())
    }

    fn someone(&mut self) -> i64 {
        let count = u64::try_from(self.customers).unwrap_or(1);
        1 + i64::try_from(self.dice.roll(count)).unwrap_or_default()
    }

    fn someone_else(&mut self) -> i64 {
        loop {
            let customer = self.someone();
            if !KNOWN.contains(&customer) {
                return customer;
            }
        }
    }

    fn number(&mut self) -> i64 {
        self.next += 1;
        self.next
    }

    /// A row in the shop's database, a line in the archive, a page in the cache.
    pub(super) async fn arrive(&mut self, id: i64) -> Result<(), DemoError> {
        let at = self.clock.now().to_string();
        let (name, city) = (self.dice.pick(&NAMES), self.dice.pick(&CITIES));
        self.shop.customer(id, name, city, &at)?;
        self.disk.signed_up(id, &at).map_err(|cause| self.io(cause))?;
        self.outside.visit(id).await?;
        let copies =
            json!([{"system": "shop-db", "dataset": "shop.customers", "locator": {"customer_id": id}}]);
        self.record(id, &["user.name", "user.contact"], &["service"], &copies);
        Ok(())
    }

    /// Half of them want the newsletter: a row in its database, another at the partner who mails it.
    async fn subscribe(&mut self, id: i64) -> Result<(), DemoError> {
        if id != 9 && self.dice.roll(2) != 0 {
            return Ok(());
        }
        let (at, address) = (self.clock.now().to_string(), format!("news.{id}@example.org"));
        self.shop.subscribe(id, &address, &at)?;
        self.outside.hand_on(id, &address).await?;
        self.say("quietus.purpose.granted.v1", json!({"subject": subject(id), "purpose": "newsletter"}));
        let copies =
            json!([{"system": "crm-db", "dataset": "crm.newsletter", "locator": {"customer_id": id}}]);
        self.record(id, &["user.contact.email"], &["newsletter"], &copies);
        Ok(())
    }

    pub(super) fn leaves(&mut self, id: i64) {
        self.say("quietus.subject.event.v1", json!({"subject": subject(id), "event": "account_closed"}));
    }

    fn order(&mut self) -> Result<(), DemoError> {
        let (customer, order, invoice) = (self.someone(), self.number(), self.number());
        let at = self.clock.now().to_string();
        let city = self.dice.pick(&CITIES);
        self.shop.order(order, customer, city, &at)?;
        let copies = json!([{"system": "shop-db", "dataset": "shop.orders", "locator": {"order_id": order}}]);
        self.record(customer, &["user.behavior.purchase_history"], &["service"], &copies);
        let cents = i64::try_from(self.dice.roll(20_000)).unwrap_or_default() + 500;
        self.shop.invoice(invoice, customer, cents, at.get(..10).unwrap_or_default())?;
        let copies =
            json!([{"system": "shop-db", "dataset": "shop.invoices", "locator": {"invoice_id": invoice}}]);
        self.record(customer, &["user.financial"], &["billing"], &copies);
        Ok(())
    }

    fn ticket(&mut self) -> Result<(), DemoError> {
        let (customer, ticket, at) = (self.someone(), self.number(), self.clock.now().to_string());
        self.shop.ticket(ticket, customer, "where is my parcel?", &at)?;
        let copies =
            json!([{"system": "shop-db", "dataset": "shop.tickets", "locator": {"ticket_id": ticket}}]);
        self.record(customer, &["user.content"], &["support"], &copies);
        Ok(())
    }

    fn record(&mut self, customer: i64, category: &[&str], purposes: &[&str], copies: &Value) {
        let at = self.clock.now().to_string();
        self.say(
            "quietus.item.recorded.v1",
            json!({"subject": subject(customer), "category": category, "purposes": purposes,
                   "recorded_at": at, "copies": copies}),
        );
    }

    pub(super) fn say(&mut self, kind: &str, data: Value) {
        self.sent += 1;
        self.events.push(json!({
            "specversion": "1.0", "id": self.sent.to_string(), "source": "/demo/shop", "type": kind,
            "time": self.clock.now().to_string(), "datacontenttype": "application/json", "data": data,
        }));
    }
}
