//! What intake makes of events, from bytes to frames.

mod refusals;
mod speed;
mod types;
mod wire;

use quietus_core::record::{Change, Fact, Facts, Frame, Record};
use quietus_core::time::Millis;

use super::context::{Context, Naming};
use super::route::Feed;
use super::{Accepted, Intake, Options, read};
use crate::sealing::Keys;

const NOW: &str = "2026-11-20T12:00:00Z";

fn keys() -> Keys {
    Keys::from_tenant(&[7; 32]).unwrap()
}

fn intake() -> Intake {
    Intake::new(keys(), 4, Options::default())
}

fn context() -> Context {
    let mut context = Context::new("customer_id", Millis::parse(NOW).unwrap());
    let naming = |key: &[&str], item: Option<&str>| Naming {
        key: key.iter().map(|k| (*k).to_owned()).collect(),
        item: item.map(str::to_owned),
    };
    context.systems.insert(
        "shop-db".into(),
        [
            ("shop.users".to_owned(), naming(&["id"], None)),
            ("shop.lines".to_owned(), naming(&["order_id", "line"], None)),
            ("shop.orders".to_owned(), naming(&["id"], Some("number"))),
        ]
        .into(),
    );
    use quietus_core::policy::Level;
    context.events = [
        ("account_closed", Level::Subject),
        ("ticket_closed", Level::Process),
        ("item_removed", Level::Item),
    ]
    .map(|(name, level)| (name.to_owned(), level))
    .into();
    context
}

/// A structured event of this type and data.
fn event(id: &str, kind: &str, data: &str) -> String {
    format!(
        r#"{{"specversion": "1.0", "id": "{id}", "source": "/shop", "type": "quietus.{kind}.v1", "time": "2026-11-20T11:00:00Z", "data": {data}}}"#
    )
}

fn recorded(id: &str, subject: &str, row: u32) -> String {
    event(
        id,
        "item.recorded",
        &format!(
            r#"{{"subject": "{subject}", "category": "user.name", "purposes": ["registration"], "recorded_at": "2026-11-01T00:00:00Z",
                "copies": [{{"system": "shop-db", "dataset": "shop.users", "locator": {{"id": {row}}}}}]}}"#
        ),
    )
}

fn batch(events: &[String]) -> String {
    format!("[{}]", events.join(","))
}

fn take(intake: &Intake, body: &str) -> Accepted {
    let media = if body.starts_with('[') {
        "application/cloudevents-batch+json"
    } else {
        "application/cloudevents+json"
    };
    let batch = read(media, |_| None, body.as_bytes()).unwrap();
    intake.accept(&batch, &Feed::default(), &context())
}

fn accept(events: &[String]) -> Accepted {
    take(&intake(), &batch(events))
}

fn facts(frames: &[(u32, Frame)]) -> Vec<(Facts, Fact)> {
    let records = frames.iter().flat_map(|(_, f)| &f.records);
    records
        .filter_map(|r| if let Record::Facts(facts) = r { Some(facts) } else { None })
        .flat_map(|facts| facts.rows().unwrap().into_iter().map(|row| (facts.clone(), row)))
        .collect()
}

fn changes(frames: &[(u32, Frame)]) -> Vec<Change> {
    let records = frames.iter().flat_map(|(_, f)| &f.records);
    records
        .filter_map(|r| if let Record::Changes(changes) = r { Some(changes.rows.clone()) } else { None })
        .flatten()
        .collect()
}

/// The one change that comes of one event of this type and data.
fn change(kind: &str, data: &str) -> Change {
    let accepted = accept(&[event("1", kind, data)]);
    assert_eq!(accepted.rejected, []);
    let [change] = <[Change; 1]>::try_from(changes(&accepted.frames)).unwrap();
    change
}
