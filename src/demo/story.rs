//! What happens in the shop, day by day, and what quietus does about it at night.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use quietus_core::hold::Scope;
use quietus_core::request::RequestKind;
use quietus_core::time::Millis;
use serde_json::{Value, json};

use super::shop::Shop;
use super::{DemoError, DemoOptions, systems};
use crate::clock::{Clock, SimulatedClock};
use crate::node::{HoldOrder, Node, RequestOrder};
use crate::schedule::{sweeps, ticks};

/// Three years.
pub const DAYS: i64 = 1096;

const POLICY: &str = include_str!("shop.policy.yaml");
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

/// Seeded choices: SplitMix64, so that a seed tells the same story everywhere.
#[derive(Debug)]
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % sides.max(1)
    }

    fn pick<'a>(&mut self, words: &[&'a str]) -> &'a str {
        let at = usize::try_from(self.roll(words.len() as u64)).unwrap_or_default();
        words.get(at).copied().unwrap_or_default()
    }
}

/// The shop, the node, and where in the story we are.
#[derive(Debug)]
pub struct Story {
    node: Arc<Node>,
    clock: Arc<SimulatedClock>,
    dir: PathBuf,
    shop: Shop,
    dice: Dice,
    subjects: i64,
    customers: i64,
    next: i64,
    events: Vec<Value>,
    sent: u64,
}

impl Story {
    pub fn new(
        node: Arc<Node>,
        clock: Arc<SimulatedClock>,
        dir: &Path,
        options: &DemoOptions,
    ) -> Result<Self, DemoError> {
        Ok(Self {
            node,
            clock,
            dir: dir.to_owned(),
            shop: Shop::create(dir)?,
            dice: Dice(options.seed),
            subjects: i64::from(options.subjects.max(20)),
            customers: 0,
            next: 1000,
            events: Vec::new(),
            sent: 0,
        })
    }

    pub async fn set_up(&self) -> Result<(), DemoError> {
        self.node.store_policy("shop.policy.yaml", POLICY.as_bytes(), None).await?;
        self.node.publish_policy("demo-shop", None).await?;
        let load = |path: &str| Err(format!("{path}: the demo's manifests name no files"));
        for (file, manifest) in [("shop", systems::shop(&self.dir)), ("crm", systems::crm(&self.dir))] {
            self.node.put_system(&format!("{file}.system.yaml"), manifest.as_bytes(), &load, None).await?;
        }
        Ok(())
    }

    /// Day by day, from three years ago to now.
    pub async fn tell(&mut self, tell: &mut dyn FnMut(&str)) -> Result<(), DemoError> {
        let first = self.clock.now();
        let mut held = None;
        for day in 0..DAYS {
            self.clock.set(first.plus(day * Millis::DAY));
            ticks::tick_all(&self.node).await?;
            self.shop_day(day)?;
            match day {
                400 => {
                    tell("a year on: the customers who closed their accounts 90 days ago are erased by now")
                }
                500 => held = Some(self.hold(3).await?),
                501 => tell("a court asks to preserve everything about customer 3: a legal hold"),
                640 => {
                    if let Some(id) = held.take() {
                        self.node.release_hold(&id, None, Some("the case is closed".to_owned())).await?;
                        tell(
                            "the hold is released; what fell due meanwhile is erased after a day's cool-down",
                        );
                    }
                }
                700 => self.crm_away(tell)?,
                701 => {
                    let failed = self.node.report(|_| true).failed;
                    tell(&format!(
                        "that night: {failed} could not be erased there, and nothing says otherwise"
                    ));
                }
                706 => self.crm_back(tell)?,
                900 => self.erasure(5, tell).await?,
                1000 => {
                    self.hold(7).await?;
                    tell("another hold, on customer 7; this one stays");
                }
                _ => {}
            }
            self.send().await?;
            // Nightly where something can be due, weekly in the first quiet year.
            if day >= 365 || day % 7 == 0 {
                self.clock.set(first.plus(day * Millis::DAY + 14 * Millis::HOUR));
                self.sweep().await?;
            }
            if day % 180 == 179 {
                let live = self.node.report(|_| false);
                tell(&format!(
                    "day {}: {} events so far, {} items of {} people live here",
                    day + 1,
                    self.sent,
                    live.items,
                    live.subjects
                ));
            }
        }
        let day = self.clock.now().to_string();
        self.shop.ends(day.get(..10).unwrap_or_default())?;
        Ok(())
    }

    /// What the shop's people and customers do on a day.
    fn shop_day(&mut self, day: i64) -> Result<(), DemoError> {
        // Most come in the first two years.
        let wanted = self.subjects.min((day + 1) * self.subjects / 700 + 8);
        while self.customers < wanted {
            self.arrive()?;
        }
        if self.dice.roll(3) == 0 {
            self.order()?;
        }
        if self.dice.roll(9) == 0 {
            self.ticket()?;
        }
        if day > 30 && self.dice.roll(6) == 0 {
            let leaving = self.someone_else();
            self.say(
                "quietus.subject.event.v1",
                json!({"subject": subject(leaving), "event": "account_closed"}),
            );
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

    /// Anyone but those the story is about.
    fn someone_else(&mut self) -> i64 {
        loop {
            let customer = self.someone();
            if ![3, 5, 7, 9].contains(&customer) {
                return customer;
            }
        }
    }

    fn number(&mut self) -> i64 {
        self.next += 1;
        self.next
    }

    fn arrive(&mut self) -> Result<(), DemoError> {
        self.customers += 1;
        let (id, at) = (self.customers, self.clock.now().to_string());
        let (name, city) = (self.dice.pick(&NAMES), self.dice.pick(&CITIES));
        self.shop.customer(id, name, city, &at)?;
        let copies =
            json!([{"system": "shop-db", "dataset": "shop.customers", "locator": {"customer_id": id}}]);
        self.record(id, &["user.name", "user.contact"], &["service"], &copies);
        if id == 9 || self.dice.roll(2) == 0 {
            self.shop.subscribe(id, &format!("news.{id}@example.org"), &at)?;
            self.say("quietus.purpose.granted.v1", json!({"subject": subject(id), "purpose": "newsletter"}));
            let copies =
                json!([{"system": "crm-db", "dataset": "crm.newsletter", "locator": {"customer_id": id}}]);
            self.record(id, &["user.contact.email"], &["newsletter"], &copies);
        }
        Ok(())
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

    fn say(&mut self, kind: &str, data: Value) {
        self.sent += 1;
        self.events.push(json!({
            "specversion": "1.0", "id": self.sent.to_string(), "source": "/demo/shop", "type": kind,
            "time": self.clock.now().to_string(), "datacontenttype": "application/json", "data": data,
        }));
    }

    /// The day's events, as the shop would post them.
    async fn send(&mut self) -> Result<(), DemoError> {
        if self.events.is_empty() {
            return Ok(());
        }
        let body = Value::Array(std::mem::take(&mut self.events)).to_string();
        let taken = self.node.take_events("application/cloudevents-batch+json", body.as_bytes()).await;
        let taken = taken.map_err(|e| DemoError::Refused(e.to_string()))?;
        match taken.rejected.first() {
            None => Ok(()),
            Some(first) => {
                Err(DemoError::Refused(format!("an event was rejected: {}: {}", first.code, first.detail)))
            }
        }
    }

    /// A sweep, until it has come to rest. Time passes while it retries.
    async fn sweep(&self) -> Result<(), DemoError> {
        let id = sweeps::start(&self.node, Some("demo".to_owned()), None).await?;
        let closed = || self.node.with_control(|c| c.sweeps.get(&id).is_some_and(|s| s.closed.is_some()));
        let mut patience = 0;
        while !closed() {
            let moved = tokio::time::timeout(Duration::from_millis(10), self.node.moved.notified()).await;
            if moved.is_err() {
                patience += 1;
                if patience % 5 == 0 {
                    self.clock.advance(Duration::from_secs(10));
                    ticks::tick_all(&self.node).await?;
                }
            }
        }
        Ok(())
    }

    async fn hold(&self, customer: i64) -> Result<String, DemoError> {
        let key = self.node.keys.subject_key("customer_id", &customer.to_string());
        let order = HoldOrder {
            matter: format!("case {customer}"),
            authority: "district court".to_owned(),
            reference: None,
            owner: "legal".to_owned(),
            reason: "preservation of evidence".to_owned(),
            scope: Scope { subjects: [key.0].into(), ..Scope::default() },
            review: "2030-01-01".to_owned(),
            confidential: false,
            allow: Vec::new(),
            by: Some("demo".to_owned()),
            once: None,
        };
        let (hold, _) = self.node.place_hold(order, Duration::from_secs(5)).await?;
        Ok(hold.id)
    }

    fn crm_away(&mut self, tell: &mut dyn FnMut(&str)) -> Result<(), DemoError> {
        // Customer 9 takes the consent back just then.
        self.say("quietus.purpose.withdrawn.v1", json!({"subject": subject(9), "purpose": "newsletter"}));
        tell("the newsletter's database goes away for six days; what is due there fails and is tried again");
        self.shop.crm_away().map_err(|cause| DemoError::Io { dir: self.dir.clone(), cause })
    }

    fn crm_back(&self, tell: &mut dyn FnMut(&str)) -> Result<(), DemoError> {
        tell("it is back: the next sweep carries out what waited");
        self.shop.crm_back().map_err(|cause| DemoError::Io { dir: self.dir.clone(), cause })
    }

    /// Customer `id` closes the account and asks to be erased.
    async fn erasure(&mut self, id: i64, tell: &mut dyn FnMut(&str)) -> Result<(), DemoError> {
        self.say("quietus.subject.event.v1", json!({"subject": subject(id), "event": "account_closed"}));
        self.send().await?;
        self.shop.asks(id)?;
        let order = RequestOrder {
            kind: RequestKind::Erase,
            subject: self.node.keys.subject_key("customer_id", &id.to_string()),
            also: Vec::new(),
            identity: None,
            grounds: Some("no_longer_necessary".to_owned()),
            purposes: Vec::new(),
            categories: Vec::new(),
            corrections: None,
            regime: None,
            on_behalf_of: None,
            unverified: false,
            by: Some("demo".to_owned()),
            once: None,
        };
        let (request, _) = self.node.receive_request(order).await?;
        let mut patience = 0;
        loop {
            let (request, state) = self.node.request(&request.id)?;
            let open = state == quietus_core::request::RequestState::InProgress;
            if !open || patience > 400 {
                let kept = request.targets.len();
                tell(&format!(
                    "customer {id} asks to be erased: {state:?}, {kept} copies; invoices stay as the law wants"
                ));
                return Ok(());
            }
            patience += 1;
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

fn subject(customer: i64) -> String {
    format!("customer_id:{customer}")
}
