//! The rules of a source: the first that matches says what the record becomes.

use std::borrow::Cow;
use std::collections::BTreeMap;

use quietus_contract::Locator;
use quietus_core::source::{Address, CopyOf, Meta, Rule, SubjectOf, Value, What, When, With};
use quietus_core::time::Millis;

use super::native::{scalar, text, words};
use super::tree::Tree;
use super::{Record, logical};
use crate::intake::cloudevent::{Payload, RawEvent};
use crate::intake::data::{At, CopyData, Data, Disclosure, Given, Place, Text, Time, Values, Words};
use crate::intake::refuse::Refused;

/// The event; None = a rule skips it. `time` is the default of `at`.
pub fn apply<'m>(
    rules: &[Rule],
    record: &Record<'_, 'm>,
    value: &Tree,
    time: Option<Millis>,
) -> Result<Option<RawEvent<'m>>, Refused> {
    // A record whose rules look at no key needs none that can be read.
    let mut at = Addresses { record, value, key: None };
    for rule in rules {
        if at.matches(rule)? {
            let What::Emit(emit, with) = &rule.what else { return Ok(None) };
            let payload = Payload::Read(Box::new(at.data(with)?));
            let trace = record.message.headers.text("traceparent");
            let trace = trace.filter(|t| crate::intake::cloudevent::is_traceparent(t)).map(Cow::Borrowed);
            return Ok(Some(RawEvent { time, trace, payload, ..RawEvent::of(emit.kind().into()) }));
        }
    }
    Err(Refused::new(
        "no-rule",
        "no rule of the source matches the record: add one, or one with `skip: true` at the end",
    ))
}

struct Addresses<'r, 'm, 'v> {
    record: &'r Record<'r, 'm>,
    value: &'v Tree,
    key: Option<Tree>,
}

impl Addresses<'_, '_, '_> {
    fn matches(&mut self, rule: &Rule) -> Result<bool, Refused> {
        for (address, wanted) in &rule.when {
            let found = self.find(address)?;
            let is_there =
                found.as_ref().and_then(Tree::text).is_some_and(|text| wanted.iter().any(|w| *w == text));
            if !is_there {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// What stands there; None = nothing, or null.
    fn find(&mut self, address: &Address) -> Result<Option<Tree>, Refused> {
        let message = self.record.message;
        let found = match address {
            Address::Value(path) => self.value.at(path).cloned(),
            Address::Key(path) => {
                if self.key.is_none() {
                    self.key = Some(key(self.record)?);
                }
                self.key.as_ref().and_then(|key| key.at(path)).cloned()
            }
            Address::Header(name) => self.record.header(name).map(|text| Tree::Text(text.into_owned())),
            Address::Meta(Meta::Topic) => Some(Tree::Text(message.topic.to_owned())),
            Address::Meta(Meta::Partition) => Some(Tree::Int(message.partition.into())),
            Address::Meta(Meta::Timestamp) => message.timestamp.map(Tree::Time),
        };
        Ok(found.filter(|v| !v.is_null()))
    }

    fn value(&mut self, value: &Value) -> Result<Option<Tree>, Refused> {
        match value {
            Value::Literal(text) => Ok(Some(Tree::Text(text.clone()))),
            Value::At(address) => self.find(address),
        }
    }

    fn text(&mut self, value: Option<&Value>) -> Result<Text<'static>, Refused> {
        let Some(value) = value else { return Ok(Given::Absent) };
        Ok(text(self.value(value)?.as_ref()))
    }

    /// Lists in the record are taken apart.
    fn words(&mut self, values: &[Value]) -> Result<Given<Words<'static>>, Refused> {
        let mut all = Vec::new();
        for value in values {
            match words(self.value(value)?.as_ref()) {
                Given::Is(Words(words)) => all.extend(words),
                Given::Wrong => return Ok(Given::Wrong),
                Given::Absent => {}
            }
        }
        Ok(if all.is_empty() { Given::Absent } else { Given::Is(Words(all)) })
    }

    fn subject(&mut self, subject: &SubjectOf) -> Result<Text<'static>, Refused> {
        let value = self.text(Some(&subject.value))?;
        Ok(match (&subject.kind, value) {
            (Some(kind), Given::Is(value)) => Given::Is(format!("{kind}:{value}").into()),
            (_, value) => value,
        })
    }

    fn time(&mut self, when: Option<&When>, field: &str) -> Result<Time<'static>, Refused> {
        let Some(when) = when else { return Ok(Given::Absent) };
        let Some(found) = self.value(&when.from)? else { return Ok(Given::Absent) };
        let at = logical::time(&found, when.unit, field)?;
        Ok(at.map_or(Given::Absent, |at| Given::Is(At::Known(at))))
    }

    fn data(&mut self, with: &With) -> Result<Data<'static>, Refused> {
        let mut also = Vec::new();
        for subject in &with.also {
            match self.subject(subject)? {
                Given::Is(text) => also.push(text),
                Given::Absent => {}
                Given::Wrong => return Err(Refused::wrong("data.also", "a list of identities")),
            }
        }
        let copies = with
            .copies
            .iter()
            .enumerate()
            .map(|(n, copy)| self.copy(n, copy))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Data {
            item: self.text(with.item.as_ref())?,
            subject: with.subject.as_ref().map_or(Ok(Given::Absent), |s| self.subject(s))?,
            category: self.words(&with.category)?,
            purposes: self.words(&with.purposes)?,
            jurisdiction: self.text(with.jurisdiction.as_ref())?,
            process: self.text(with.process.as_ref())?,
            controller: self.text(with.controller.as_ref())?,
            service: self.text(with.service.as_ref())?,
            recorded_at: self.time(with.recorded_at.as_ref(), "data.recorded_at")?,
            copies: if copies.is_empty() { Given::Absent } else { Given::Is(copies) },
            disclosure: self.disclosure(&with.disclosure)?,
            at: self.time(with.at.as_ref(), "data.at")?,
            system: self.text(with.system.as_ref())?,
            dataset: self.text(with.dataset.as_ref())?,
            values: self.values(&with.values)?,
            purpose: self.text(with.purpose.as_ref())?,
            policy_version: self.text(with.policy_version.as_ref())?,
            event: self.text(with.event.as_ref())?,
            also: if also.is_empty() { Given::Absent } else { Given::Is(Words(also)) },
        })
    }

    fn copy(&mut self, n: usize, copy: &CopyOf) -> Result<CopyData<'static>, Refused> {
        let mut locator = Locator::new();
        for (column, value) in &copy.locator {
            let found = self.value(value)?;
            let Some(found) = found else {
                let field = format!("data.copies[{n}].locator.{column}");
                return Err(Refused::new(
                    "missing",
                    format!("{field} is missing: {value} is not in the record"),
                ));
            };
            let scalar = scalar(&found).ok_or_else(|| {
                Refused::wrong(
                    &format!("data.copies[{n}].locator.{column}"),
                    "a text or a number of at most 15 digits",
                )
            })?;
            locator.insert(column.clone(), scalar);
        }
        Ok(CopyData {
            system: self.text(Some(&copy.system))?,
            dataset: self.text(Some(&copy.dataset))?,
            locator: Given::Is(Place(locator)),
            purposes: self.words(&copy.purposes)?,
        })
    }

    fn values(&mut self, values: &BTreeMap<String, Value>) -> Result<Given<Values>, Refused> {
        if values.is_empty() {
            return Ok(Given::Absent);
        }
        let mut read = Vec::new();
        for (category, value) in values {
            match self.text(Some(value))? {
                Given::Is(text) => read.push((category.clone(), Some(text.into_owned()))),
                Given::Absent => read.push((category.clone(), None)),
                Given::Wrong => return Ok(Given::Wrong),
            }
        }
        Ok(Given::Is(Values(read)))
    }

    fn disclosure(&mut self, said: &BTreeMap<String, Value>) -> Result<Given<Disclosure<'static>>, Refused> {
        if said.is_empty() {
            return Ok(Given::Absent);
        }
        Ok(Given::Is(Disclosure {
            to: self.text(said.get("to"))?,
            authority: self.text(said.get("authority"))?,
            reference: self.text(said.get("reference"))?,
        }))
    }
}

/// A key that is no JSON and no Avro is a text.
fn key(record: &Record<'_, '_>) -> Result<Tree, Refused> {
    match record.key() {
        Ok(key) => Ok(super::debezium::without_schema(key.unwrap_or(Tree::Null))),
        Err(refused) if refused.code == "malformed" => {
            let text = record.message.key.and_then(|bytes| String::from_utf8(bytes.to_vec()).ok());
            text.map(Tree::Text).ok_or(refused)
        }
        Err(refused) => Err(refused),
    }
}
