//! An event's data as JSON: for people who check what a mapping makes of a sample.

use quietus_contract::Scalar;
use serde_json::{Map, Value, json};

use crate::intake::data::{At, CopyData, Data, Given, Text, Time, Words};

impl Data<'_> {
    /// What is there; a field of a wrong type shows as such.
    pub fn to_json(&self) -> Value {
        let mut out = Map::new();
        let mut put = |name: &str, value: Option<Value>| {
            if let Some(value) = value {
                out.insert(name.to_owned(), value);
            }
        };
        put("item", text(&self.item));
        put("subject", text(&self.subject));
        put("category", words(&self.category));
        put("purposes", words(&self.purposes));
        put("jurisdiction", text(&self.jurisdiction));
        put("process", text(&self.process));
        put("controller", text(&self.controller));
        put("service", text(&self.service));
        put("recorded_at", time(&self.recorded_at));
        put("copies", given(&self.copies, |copies| copies.iter().map(copy).collect()));
        put(
            "disclosure",
            given(
                &self.disclosure,
                |d| json!({"to": text(&d.to), "authority": text(&d.authority), "reference": text(&d.reference)}),
            ),
        );
        put("at", time(&self.at));
        put("system", text(&self.system));
        put("dataset", text(&self.dataset));
        put(
            "values",
            given(&self.values, |values| values.0.iter().map(|(k, v)| (k.clone(), json!(v))).collect()),
        );
        put("purpose", text(&self.purpose));
        put("policy_version", text(&self.policy_version));
        put("event", text(&self.event));
        put("also", words(&self.also));
        Value::Object(out)
    }
}

fn given<T>(value: &Given<T>, show: impl FnOnce(&T) -> Value) -> Option<Value> {
    match value {
        Given::Absent => None,
        Given::Wrong => Some(json!("(wrong type)")),
        Given::Is(value) => Some(show(value)),
    }
}

fn text(value: &Text<'_>) -> Option<Value> {
    given(value, |text| json!(text))
}

fn time(value: &Time<'_>) -> Option<Value> {
    given(value, |at| match at {
        At::Written(text) => json!(text),
        At::Known(at) => json!(at.to_string()),
    })
}

fn words(value: &Given<Words<'_>>) -> Option<Value> {
    given(value, |words| json!(words.0))
}

fn copy(copy: &CopyData<'_>) -> Value {
    let mut out = Map::new();
    out.extend(text(&copy.system).map(|v| ("system".to_owned(), v)));
    out.extend(text(&copy.dataset).map(|v| ("dataset".to_owned(), v)));
    let locator = given(&copy.locator, |place| {
        place
            .0
            .iter()
            .map(|(column, value)| {
                let value = match value {
                    Scalar::Integer(n) => json!(n),
                    Scalar::Text(text) | Scalar::Number(text) => json!(text.reveal()),
                };
                (column.clone(), value)
            })
            .collect()
    });
    out.extend(locator.map(|v| ("locator".to_owned(), v)));
    out.extend(words(&copy.purposes).map(|v| ("purposes".to_owned(), v)));
    Value::Object(out)
}
