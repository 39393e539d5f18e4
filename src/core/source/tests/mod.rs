//! Source files as people write them, right and wrong.

use super::feeds::Feeds;
use super::*;

const BOTH: &str = r#"# CDC of a table, and a company's own events
source: shop-users
from: {kafka: {topic: shop.public.users, start: earliest}}
format: debezium
dataset: {system: shop-db, name: shop.users}
settle: 5m
---
source: orders
from: {kafka: {topic: orders.v2}}
format: json
rules:
  - when: {value:/type: [order_placed]}
    emit: item.recorded
    with:
      item: value:/order/id
      subject: {type: customer_id, value: value:/customer/id}
      category: [user.behavior.purchase_history, user.contact.address]
      purposes: [service]
      recorded_at: {from: value:/at, unit: ms}
      copies: [{system: shop-db, dataset: shop.orders, locator: {order_id: value:/order/id}}]
  - {when: {value:/type: [heartbeat]}, skip: true}
"#;

fn wrong(text: &str) -> Vec<String> {
    let (_, found) = parse_sources("s.yaml", text.as_bytes());
    found.iter().map(ToString::to_string).collect()
}

#[test]
fn a_file_with_two_sources_is_read_and_travels_as_it_is() {
    let (sources, found) = parse_sources("s.yaml", BOTH.as_bytes());
    assert!(found.is_empty(), "{found:?}");
    let [users, orders] = sources.as_slice() else { panic!("{sources:?}") };
    assert_eq!(users.settle, 300_000);
    assert_eq!(users.feeds(), Feeds::Systems(vec!["shop-db".into()]));
    assert_eq!(orders.settle, Source::SETTLE);
    assert_eq!(orders.feeds(), Feeds::Systems(vec!["shop-db".into()]));
    for source in &sources {
        assert_eq!(Source::from_canonical(&source.canonical_json()).as_ref(), Some(source));
    }
    let slower = Source { settle: 1, ..orders.clone() };
    assert!(!slower.reads_anew(orders) && users.reads_anew(orders));
}

#[test]
fn what_says_something_of_people_feeds_every_shape() {
    let feeds = |rules: &str| {
        let text = format!("source: s\nfrom: {{http: {{}}}}\nformat: json\nrules: [{rules}]");
        let (sources, found) = parse_sources("s.yaml", text.as_bytes());
        assert!(found.is_empty(), "{found:?}");
        sources[0].feeds()
    };
    assert_eq!(
        feeds("{emit: subject.event, with: {subject: value:/s, event: closed, at: value:/at}}"),
        Feeds::All
    );
    assert_eq!(feeds("{emit: item.gone, with: {item: value:/i}}"), Feeds::All);
    assert_eq!(
        feeds("{emit: item.gone, with: {item: value:/i, system: crm}}"),
        Feeds::Systems(vec!["crm".into()])
    );
    let cloud = "source: s\nfrom: {http: {}}\nformat: cloudevents";
    assert_eq!(parse_sources("s", cloud.as_bytes()).0[0].feeds(), Feeds::All);
}

#[test]
fn what_is_wrong_is_named_with_place_and_remedy() {
    let head = "source: s\nfrom: {http: {}}\nformat: json\n";
    for (text, at, says) in [
        ("", "s.yaml:1:1", "is empty"),
        (
            "source: s\nfrom: {kafak: {topic: t}}\nformat: json\nrules: [{skip: true}]",
            "s.yaml:2:8",
            "did you mean `kafka`?",
        ),
        ("source: s\nfrom: {kafka: {topic: 'a b'}}\nformat: avro", "s.yaml:2:23", "no topic's name"),
        ("source: s\nfrom: {http: {}, file: x}\nformat: avro", "s.yaml:2:7", "give each its own source"),
        ("source: s\nfrom: {http: {}}\nformat: debezum\n", "s.yaml:3:9", "did you mean `debezium`?"),
        ("source: s\nfrom: {http: {}}\nformat: debezium\n", "s.yaml:3:9", "dataset:"),
        ("source: s\nfrom: {http: {}}\nformat: json\n", "s.yaml:3:9", "needs `rules`"),
        (
            "source: s\nfrom: {http: {}}\nformat: debezium\ndataset: {system: a, name: users}",
            "s.yaml:4:28",
            "dataset.collection",
        ),
        (
            &format!("{head}rules: [{{emit: item.recorded, with: {{subject: value:/s, category: c}}}}]"),
            "s.yaml:4:",
            "needs `copies`",
        ),
        (
            &format!("{head}rules: [{{emit: item.touched, with: {{subject: vlaue:/s, item: x}}}}]"),
            "s.yaml:4:",
            "did you mean `value:/…`",
        ),
        (
            &format!("{head}rules: [{{emit: item.touchd, with: {{subject: a, item: x}}}}]"),
            "s.yaml:4:",
            "did you mean `item.touched`?",
        ),
        (
            &format!("{head}rules: [{{emit: item.touched, with: {{subject: a, item: x, evnt: y}}}}]"),
            "s.yaml:4:",
            "did you mean `event`?",
        ),
        (
            &format!("{head}rules: [{{emit: item.touched, with: {{subject: a, item: x, event: y}}}}]"),
            "s.yaml:4:",
            "it takes subject, item",
        ),
        (&format!("{head}rules: [{{when: {{value: [a]}}, skip: true}}]"), "s.yaml:4:", "is no address"),
        (
            &format!("{head}rules: [{{skip: true}}, {{when: {{value:/a: x}}, skip: true}}]"),
            "s.yaml:4:",
            "never reached",
        ),
        (
            &format!("{head}rules: [{{skip: true, emit: item.gone, with: {{item: x}}}}]"),
            "s.yaml:4:",
            "makes no fact",
        ),
        (
            &format!(
                "{head}rules: [{{emit: item.touched, with: {{subject: a, item: x, at: {{from: value:/a, unit: m}}}}}}]"
            ),
            "s.yaml:4:",
            "unit",
        ),
        ("source: s\nsource: t", "s.yaml:2:1", "source"),
        (
            "source: s\nfrom: {http: {}}\nformat: avro\n---\nsource: s\nfrom: {http: {}}\nformat: avro",
            "s.yaml:5:9",
            "twice",
        ),
    ] {
        let found = wrong(text);
        assert!(found.iter().any(|f| f.starts_with(at) && f.contains(says)), "{text}\n{found:#?}");
    }
}
