//! A row of a table, as its dataset says what it means.

use std::borrow::Cow;
use std::collections::BTreeMap;

use quietus_contract::Locator;
use quietus_core::record::Origin;
use quietus_core::source::{Dataset, Emit, Unit};
use quietus_core::system::{Collection, ColumnOr, Manifest};
use quietus_core::time::Millis;

use super::Unfit;
use super::logical::{self, Types};
use super::native::{scalar, text};
use super::tree::Tree;
use crate::intake::cloudevent::{Payload, RawEvent};
use crate::intake::data::{At, CopyData, Data, Given, Place, Text, Time, Words};
use crate::intake::refuse::Refused;

/// Debezium's word for a large column that it did not read again.
const UNAVAILABLE: &str = "__debezium_unavailable_value";

/// What a dataset says of its rows.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    system: String,
    dataset: String,
    unit: Option<Unit>,
    collection: Collection,
    /// (column, identity type)
    subject: (String, String),
    categories: Vec<String>,
    purposes: Vec<String>,
}

/// One row, with its columns' types.
#[derive(Clone, Copy)]
pub struct Row<'t> {
    pub tree: &'t Tree,
    pub types: &'t Types,
    /// The row before: for columns that were not sent again.
    pub older: Option<&'t Tree>,
}

impl Table {
    pub fn new(dataset: &Dataset, systems: &BTreeMap<String, Manifest>) -> Result<Self, Unfit> {
        let unfit = |detail: String, fix: &str| Unfit { key: "dataset", detail, fix: fix.to_owned() };
        let (system, name) = (&dataset.system, &dataset.name);
        let Some(manifest) = systems.get(system) else {
            let known: Vec<&str> = systems.keys().map(String::as_str).collect();
            let near = quietus_core::document::nearest(system, known);
            let fix = near.map_or("register it first: `quietus system add FILE`".to_owned(), |n| {
                format!("did you mean `{n}`?")
            });
            return Err(unfit(format!("there is no system `{system}`"), &fix));
        };
        let Some((_, collection)) = manifest.collection(name) else {
            let names = manifest
                .datasets
                .iter()
                .flat_map(|d| d.collections.iter().map(|c| format!("{}.{}", d.fides_key, c.name)));
            let names: Vec<String> = names.collect();
            let near = quietus_core::document::nearest(name, names.iter().map(String::as_str));
            let fix = near
                .map_or_else(|| format!("it has {}", names.join(", ")), |n| format!("did you mean `{n}`?"));
            return Err(unfit(format!("`{system}` has no collection `{name}`"), &fix));
        };
        let Some(subject) = &collection.subject else {
            let fix = "add `quietus: {subject: {column: COLUMN, type: IDENTITY_TYPE}}` to the collection";
            return Err(unfit(format!("nothing says whom the rows of `{name}` are about"), fix));
        };
        if collection.key.is_empty() {
            let fix = "add `quietus: {key: [COLUMN]}` to the collection";
            return Err(unfit(format!("the collection `{name}` has no key"), fix));
        }
        if collection.where_.is_some() {
            let fix = "map the table with `rules:` instead, whose `when:` picks the rows";
            return Err(unfit(format!("`{name}` has a `where`, which only the database can judge"), fix));
        }
        let mut categories: Vec<String> = collection
            .leaves()
            .into_iter()
            .filter(|(_, field)| field.waived.is_none())
            .flat_map(|(_, field)| field.categories.iter().cloned())
            .collect();
        categories.sort();
        categories.dedup();
        if categories.is_empty() {
            let fix = "add `data_categories:` to its fields";
            return Err(unfit(format!("no field of `{name}` has a category"), fix));
        }
        let own = &collection.purposes;
        Ok(Self {
            system: system.clone(),
            dataset: name.clone(),
            unit: dataset.unit,
            subject: (subject.column.clone(), subject.kind.clone()),
            categories,
            purposes: if own.is_empty() { manifest.purposes.clone() } else { own.clone() },
            collection: collection.clone(),
        })
    }

    pub fn system(&self) -> &str {
        &self.system
    }

    pub fn dataset(&self) -> &str {
        &self.dataset
    }

    /// The row is there: recorded, and touched where it says when it was last used. A row of nobody is nothing.
    pub fn recorded(
        &self,
        row: &Row<'_>,
        origin: Origin,
        at: Millis,
    ) -> Result<Vec<RawEvent<'static>>, Refused> {
        let Some(subject) = self.subject_of(row)? else { return Ok(Vec::new()) };
        let c = &self.collection;
        let owned = |list: &[String]| Given::Is(Words(list.iter().cloned().map(Cow::Owned).collect()));
        let copy = self.copy(row)?;
        let data = Data {
            item: self.column(row, c.item.as_deref())?,
            subject: Given::Is(subject.clone().into()),
            category: owned(&self.categories),
            purposes: owned(&self.purposes),
            jurisdiction: match &c.jurisdiction {
                None => Given::Absent,
                Some(ColumnOr::Literal(text)) => Given::Is(text.clone().into()),
                Some(ColumnOr::Column(column)) => self.column(row, Some(column))?,
            },
            process: self.column(row, c.process.as_deref())?,
            controller: literal(c.controller.as_ref()),
            service: literal(c.service.as_ref()),
            recorded_at: self.time(row, c.recorded_at.as_deref())?,
            copies: Given::Is(vec![copy]),
            ..Data::default()
        };
        let mut events = vec![raw(Emit::ItemRecorded, origin, at, data)];
        if let Given::Is(active) = self.time(row, c.last_activity.as_deref())? {
            let data = Data {
                item: self.column(row, c.item.as_deref())?,
                subject: Given::Is(subject.into()),
                copies: Given::Is(vec![self.copy(row)?]),
                at: Given::Is(active),
                ..Data::default()
            };
            events.push(raw(Emit::ItemTouched, origin, at, data));
        }
        Ok(events)
    }

    /// The row went; whose it was, only a full row says.
    pub fn gone(&self, row: &Row<'_>, at: Millis) -> Result<Option<RawEvent<'static>>, Refused> {
        let item = self.column(row, self.collection.item.as_deref())?;
        let subject = self.subject_of(row)?;
        if self.collection.item.is_some() && item == Given::Absent {
            return Err(Refused::new(
                "item-missing",
                "the deleted row does not say the item's id: set REPLICA IDENTITY FULL on the table",
            ));
        }
        let data = Data {
            item,
            subject: subject.map_or(Given::Absent, |s| Given::Is(s.into())),
            copies: Given::Is(vec![self.copy(row)?]),
            system: Given::Is(self.system.clone().into()),
            dataset: Given::Is(self.dataset.clone().into()),
            at: Given::Is(At::Known(at)),
            ..Data::default()
        };
        Ok(Some(raw(Emit::ItemGone, Origin::Delete, at, data)))
    }

    /// An update that made it another record, or another person's.
    pub fn is_another(&self, before: &Row<'_>, after: &Row<'_>) -> Result<bool, Refused> {
        let key = |row: &Row<'_>| self.collection.key.iter().map(|c| row.get(c)).collect::<Vec<_>>();
        // With the default replica identity the row before holds its key and nothing else.
        let (old, new) = (self.subject_of(before)?, self.subject_of(after)?);
        let known = key(before).iter().all(|v| v.as_ref().is_some_and(|v| !v.is_null()));
        Ok(known && (key(before) != key(after) || old.is_some_and(|old| new.as_ref() != Some(&old))))
    }

    fn subject_of(&self, row: &Row<'_>) -> Result<Option<String>, Refused> {
        let (column, kind) = &self.subject;
        match self.column(row, Some(column))? {
            Given::Is(value) => Ok(Some(format!("{kind}:{value}"))),
            Given::Absent => Ok(None),
            Given::Wrong => Err(Refused::wrong(column, "a text or a number")),
        }
    }

    fn copy(&self, row: &Row<'_>) -> Result<CopyData<'static>, Refused> {
        let mut locator = Locator::new();
        for column in &self.collection.key {
            let value = row.get(column).filter(|v| !v.is_null());
            let value = value.ok_or_else(|| Refused::missing(&format!("the key column {column}")))?;
            let value = scalar(&value)
                .ok_or_else(|| Refused::wrong(&format!("the key column {column}"), "a text or a number"))?;
            locator.insert(column.clone(), value);
        }
        Ok(CopyData {
            system: Given::Is(self.system.clone().into()),
            dataset: Given::Is(self.dataset.clone().into()),
            locator: Given::Is(Place(locator)),
            purposes: Given::Absent,
        })
    }

    fn column(&self, row: &Row<'_>, column: Option<&str>) -> Result<Text<'static>, Refused> {
        let Some(column) = column else { return Ok(Given::Absent) };
        Ok(text(row.available(column)?.as_ref()))
    }

    fn time(&self, row: &Row<'_>, column: Option<&str>) -> Result<Time<'static>, Refused> {
        let Some(column) = column else { return Ok(Given::Absent) };
        let Some(value) = row.available(column)? else { return Ok(Given::Absent) };
        let at = logical::time(&value, self.unit, column)?;
        Ok(at.map_or(Given::Absent, |at| Given::Is(At::Known(at))))
    }
}

impl Row<'_> {
    /// Nested columns are joined with dots; a name that holds one is found as well.
    fn get(&self, column: &str) -> Option<Tree> {
        let find = |tree: &Tree| {
            let path: Vec<String> = column.split('.').map(str::to_owned).collect();
            tree.get(column).or_else(|| tree.at(&path)).cloned()
        };
        let there = find(self.tree)?;
        let there = if is_unavailable(&there) { self.older.and_then(find).unwrap_or(there) } else { there };
        Some(self.types.get(column).and_then(|means| means.read(&there)).unwrap_or(there))
    }

    fn available(&self, column: &str) -> Result<Option<Tree>, Refused> {
        match self.get(column) {
            Some(value) if is_unavailable(&value) => Err(Refused::new(
                "unavailable",
                format!("the column {column} was not sent again: set REPLICA IDENTITY FULL on the table"),
            )),
            value => Ok(value),
        }
    }
}

fn is_unavailable(value: &Tree) -> bool {
    matches!(value, Tree::Text(text) if text == UNAVAILABLE)
}

fn literal(value: Option<&String>) -> Text<'static> {
    value.map_or(Given::Absent, |text| Given::Is(text.clone().into()))
}

fn raw(emit: Emit, origin: Origin, at: Millis, data: Data<'static>) -> RawEvent<'static> {
    RawEvent {
        origin,
        time: Some(at),
        payload: Payload::Read(Box::new(data)),
        ..RawEvent::of(emit.kind().into())
    }
}
