//! What the simulated company has and does, in plain words: people, records, rules, events.
//!
//! Both sides are made from this: the documents and CloudEvents that the system under test reads, and what the
//! reference model is told. Nothing in here knows a hash, a seal or a frame.

use std::collections::BTreeMap;

use quietus::core::time::Millis;
use quietus_core::system::{Collection, Dataset, Field, Manifest, Mode, SubjectColumn};
use serde_json::{Value, json};

pub type Person = usize;
pub type Item = usize;

pub const HOUR: i64 = Millis::HOUR;
pub const DAY: i64 = Millis::DAY;
/// Later than everything.
pub const NEVER: i64 = i64::MAX;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum System {
    Crm,
    Shop,
    Mirror,
}

impl System {
    pub const ALL: [Self; 3] = [Self::Crm, Self::Shop, Self::Mirror];

    pub fn name(self) -> &'static str {
        match self {
            Self::Crm => "crm",
            Self::Shop => "shop",
            Self::Mirror => "mirror",
        }
    }

    pub fn of(name: &str) -> Self {
        Self::ALL.into_iter().find(|s| s.name() == name).unwrap()
    }

    fn kinds(self) -> Vec<Kind> {
        match self {
            Self::Crm => vec![Kind::Profile],
            Self::Shop => vec![Kind::Order],
            Self::Mirror => vec![Kind::Profile, Kind::Order],
        }
    }

    /// Its manifest, as canonical JSON is made from it.
    pub fn manifest(self, retains: bool) -> Manifest {
        let collections = self.kinds().into_iter().map(Kind::collection).collect();
        let dataset = Dataset { fides_key: self.name().to_owned(), collections, ..Dataset::default() };
        Manifest {
            system: self.name().to_owned(),
            kind: "memory".to_owned(),
            mode: Mode::Enforce,
            retains,
            datasets: vec![dataset],
            ..Manifest::default()
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Profile,
    Order,
}

impl Kind {
    pub fn homes(self) -> [System; 2] {
        match self {
            Self::Profile => [System::Crm, System::Mirror],
            Self::Order => [System::Shop, System::Mirror],
        }
    }

    pub fn parts(self) -> [Part; 2] {
        match self {
            Self::Profile => [Part::Email, Part::Note],
            Self::Order => [Part::Amount, Part::Basket],
        }
    }

    pub fn dataset(self, system: System) -> String {
        format!("{}.{}", system.name(), self.table())
    }

    fn table(self) -> &'static str {
        match self {
            Self::Profile => "people",
            Self::Order => "orders",
        }
    }

    fn collection(self) -> Collection {
        let field = |part: Part| Field {
            name: part.field().to_owned(),
            categories: vec![part.category().to_owned()],
            ..Field::default()
        };
        let plain = |name: &str| Field { name: name.to_owned(), ..Field::default() };
        let mut fields = vec![plain("id"), plain("customer")];
        fields.extend(self.parts().map(field));
        Collection {
            name: self.table().to_owned(),
            key: vec!["id".to_owned()],
            item: Some("id".to_owned()),
            subject: Some(SubjectColumn { column: "customer".to_owned(), kind: "customer_id".to_owned() }),
            fields,
            ..Collection::default()
        }
    }
}

/// One category of a record, in one field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    Email,
    Note,
    Amount,
    Basket,
}

impl Part {
    pub fn category(self) -> &'static str {
        match self {
            Self::Email => "user.contact.email",
            Self::Note => "user.content",
            Self::Amount => "user.financial",
            Self::Basket => "user.behavior.purchase_history",
        }
    }

    pub fn field(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::Note => "note",
            Self::Amount => "amount",
            Self::Basket => "basket",
        }
    }

    pub fn of(category: &str) -> Self {
        let all = [Self::Email, Self::Note, Self::Amount, Self::Basket];
        all.into_iter().find(|p| p.category() == category).unwrap()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Purpose {
    /// A contract.
    Service,
    /// A contract.
    Billing,
    /// Consent, for marketing.
    Ads,
}

impl Purpose {
    pub const ALL: [Self; 3] = [Self::Service, Self::Billing, Self::Ads];

    pub fn name(self) -> &'static str {
        match self {
            Self::Service => "service",
            Self::Billing => "billing",
            Self::Ads => "ads",
        }
    }
}

/// A record about a person; its key is the same in every system it lies in.
#[derive(Clone, Debug)]
pub struct Record {
    pub person: Person,
    pub kind: Kind,
    pub key: String,
}

/// Something that happened, as its source tells it.
#[derive(Clone, Debug, PartialEq)]
pub struct Told {
    pub id: u64,
    /// When it happened.
    pub at: i64,
    pub what: What,
}

#[derive(Clone, Debug, PartialEq)]
pub enum What {
    Recorded { item: Item, start: Option<i64>, purposes: Vec<Purpose>, systems: Vec<System> },
    Touched { item: Item },
    Active,
    Granted { item: Option<Item>, purpose: Purpose },
    Withdrawn { item: Option<Item>, purpose: Purpose },
    Closed,
    Reopened,
    Gone { item: Item, system: System },
    Corrected { item: Item, values: Values },
}

/// New values, by the part that they belong to.
pub type Values = BTreeMap<Part, String>;

impl What {
    pub fn item(&self) -> Option<Item> {
        match self {
            Self::Recorded { item, .. } | Self::Touched { item } | Self::Gone { item, .. } => Some(*item),
            Self::Corrected { item, .. } => Some(*item),
            Self::Granted { item, .. } | Self::Withdrawn { item, .. } => *item,
            Self::Active | Self::Closed | Self::Reopened => None,
        }
    }
}

impl Told {
    /// The event as a source sends it.
    pub fn cloud_event(&self, customer: &str, items: &BTreeMap<Item, Record>) -> Value {
        let key = |item: &Item| items[item].key.clone();
        let at = Millis(self.at).to_string();
        let with = |item: &Option<Item>, purpose: &Purpose| {
            let mut data = json!({"purpose": purpose.name(), "at": at});
            if let Some(item) = item {
                data["item"] = json!(key(item));
            }
            data
        };
        let (kind, mut data) = match &self.what {
            What::Recorded { item, start, purposes, systems, .. } => {
                let record = &items[item];
                let copy = |s: &System| json!({"system": s.name(), "dataset": record.kind.dataset(*s), "locator": {"id": record.key}});
                let mut data = json!({
                    "item": record.key, "category": record.kind.parts().map(Part::category),
                    "purposes": purposes.iter().map(|p| p.name()).collect::<Vec<_>>(),
                    "copies": systems.iter().map(copy).collect::<Vec<_>>(),
                });
                if let Some(start) = start {
                    data["recorded_at"] = json!(Millis(*start).to_string());
                }
                ("item.recorded", data)
            }
            What::Touched { item } => ("item.touched", json!({"item": key(item), "at": at})),
            What::Gone { item, system } => {
                ("item.gone", json!({"item": key(item), "system": system.name(), "at": at}))
            }
            What::Corrected { item, values } => {
                let values: BTreeMap<&str, &String> =
                    values.iter().map(|(part, value)| (part.category(), value)).collect();
                ("item.corrected", json!({"item": key(item), "values": values, "at": at}))
            }
            What::Granted { item, purpose } => ("purpose.granted", with(item, purpose)),
            What::Withdrawn { item, purpose } => ("purpose.withdrawn", with(item, purpose)),
            What::Active => ("subject.event", json!({"event": "active", "at": at})),
            What::Closed => ("subject.event", json!({"event": "account_closed", "at": at})),
            What::Reopened => ("subject.event", json!({"event": "account_reopened", "at": at})),
        };
        data["subject"] = json!(format!("customer_id:{customer}"));
        json!({"specversion": "1.0", "id": format!("ev-{}", self.id), "source": "/company",
               "type": format!("quietus.{kind}.v1"), "time": at, "data": data})
    }
}
