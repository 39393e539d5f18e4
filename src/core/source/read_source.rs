//! A source file → its [`Source`]s: one a document.

use std::collections::BTreeMap;

use super::model::{Dataset, Format, From, Kafka, Source, Start, Unit};
use super::read_rule;
use crate::document::{Diagnostic, Diagnostics, Fields, Node, read, shown};

const FORMATS: [(&str, Format); 5] = [
    ("json", Format::Json),
    ("avro", Format::Avro),
    ("cloudevents", Format::Cloudevents),
    ("debezium", Format::Debezium),
    ("outbox", Format::Outbox),
];

/// The sources of a file, as far as they could be read, and what is wrong with it. With an error among the findings
/// none of them is fit for use.
pub fn parse_sources(file: &str, bytes: &[u8]) -> (Vec<Source>, Vec<Diagnostic>) {
    let nodes = match read(file, bytes) {
        Ok(nodes) => nodes,
        Err(found) => return (Vec::new(), found),
    };
    let mut found = Diagnostics::new(file);
    let mut seen = BTreeMap::new();
    let mut sources = Vec::new();
    for node in &nodes {
        let Some(source) = source(node, &mut found) else { continue };
        if let Some(first) = seen.insert(source.source.clone(), node.line) {
            let detail = format!("the source `{}` stands here twice (first in line {first})", source.source);
            found.error(node.get("source").unwrap_or(node), detail, "give each its own name");
        }
        sources.push(source);
    }
    (sources, found.into_vec())
}

fn source(node: &Node, found: &mut Diagnostics) -> Option<Source> {
    let mut fields = Fields::of(node, "a source", found)?;
    let name = fields.need("source", found);
    let text = name.and_then(Node::text).unwrap_or_default().to_owned();
    if let Some(node) = name.filter(|_| !crate::system::is_name(&text)) {
        let fix = "use letters, digits, `_`, `-` and `.` only, at most 64";
        found.error(node, format!("{} cannot be a source's name", shown(node)), fix);
    }
    let from = fields.need("from", found).and_then(|n| from(n, found));
    fields.need("format", found);
    let format = fields.word("format", &FORMATS, found);
    let dataset = fields.take("dataset").and_then(|n| dataset(n, found));
    let settle = fields.duration("settle", found).unwrap_or(Source::SETTLE);
    let list = fields.list("rules", found);
    let rules: Vec<_> = list.iter().filter_map(|n| read_rule::rule(n, found)).collect();
    let mut open =
        list.iter().filter(|n| n.get("when").is_none_or(|w| w.as_map().is_some_and(<[_]>::is_empty)));
    if let Some(first) = open.next().filter(|first| list.last() != Some(first)) {
        found.error(
            first,
            "a rule without `when` takes every record: those after it are never reached",
            "move it to the end, or add `when:`",
        );
    }
    fields.finish(found);
    let format = format?;
    fits(node, format, dataset.is_some(), !list.is_empty(), found);
    Some(Source { source: text, from: from?, format, dataset, settle, rules })
}

/// What a format asks for beside it.
fn fits(node: &Node, format: Format, dataset: bool, rules: bool, found: &mut Diagnostics) {
    let at = |key: &str| node.get(key).unwrap_or(node);
    match format {
        Format::Json if !rules => {
            found.error(
                at("format"),
                "JSON of a company's own needs `rules`",
                "add `rules: [{when: {…}, emit: …, with: {…}}]`",
            );
        }
        Format::Debezium if !rules && !dataset => {
            let fix = "add `dataset: {system: NAME, name: dataset.collection}`, or `rules:`";
            found.error(at("format"), "nothing says what the rows of this table mean", fix);
        }
        Format::Debezium if rules && dataset => {
            found.error(at("dataset"), "`dataset` and `rules` exclude each other", "leave one of them out");
        }
        Format::Json | Format::Avro | Format::Cloudevents | Format::Outbox if dataset => {
            found.error(
                at("dataset"),
                "only `format: debezium` takes a dataset",
                "leave `dataset` out, or write `format: debezium`",
            );
        }
        Format::Json | Format::Avro | Format::Cloudevents | Format::Debezium | Format::Outbox => {}
    }
}

fn from(node: &Node, found: &mut Diagnostics) -> Option<From> {
    let mut fields = Fields::of(node, "`from`", found)?;
    let kafka = fields.take("kafka").map(|n| kafka(n, found));
    let http = fields.take("http");
    let file = fields.text("file", found).map(From::File);
    fields.finish(found);
    if let Some(http) = http {
        Fields::of(http, "`http`", found)?.finish(found);
    }
    let given: Vec<Option<From>> =
        [kafka.map(|k| k.map(From::Kafka)), http.map(|_| Some(From::Http)), file.map(Some)]
            .into_iter()
            .flatten()
            .collect();
    match given.as_slice() {
        [one] => one.clone(),
        [] => {
            found.error(node, "`from` names no place", "write {kafka: {topic: …}}, {http: {}} or {file: …}");
            None
        }
        _ => {
            found.error(node, "`from` names more than one place", "give each its own source");
            None
        }
    }
}

fn kafka(node: &Node, found: &mut Diagnostics) -> Option<Kafka> {
    let mut fields = Fields::of(node, "`kafka`", found)?;
    let topic = fields.need("topic", found);
    let starts = [("earliest", Start::Earliest), ("latest", Start::Latest)];
    let start = fields.word("start", &starts, found).unwrap_or_default();
    let consumers = fields.int_in("consumers", 1, 64, found).and_then(|n| u32::try_from(n).ok());
    let heartbeat = fields.take("heartbeat").and_then(|n| topic_name(n, found));
    fields.finish(found);
    let topic = topic.and_then(|n| topic_name(n, found))?;
    Some(Kafka { topic, start, consumers: consumers.unwrap_or(1), heartbeat })
}

fn topic_name(node: &Node, found: &mut Diagnostics) -> Option<String> {
    let text = node.text().unwrap_or_default();
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if !text.is_empty() && text.len() <= 249 && text.chars().all(legal) && !matches!(text, "." | "..") {
        return Some(text.to_owned());
    }
    found.error(
        node,
        format!("{} is no topic's name", shown(node)),
        "use letters, digits, `.`, `_` and `-`, at most 249",
    );
    None
}

fn dataset(node: &Node, found: &mut Diagnostics) -> Option<Dataset> {
    let mut fields = Fields::of(node, "`dataset`", found)?;
    let system = fields.need_text("system", found);
    let name = fields.need_text("name", found);
    let unit = fields.word("unit", &Unit::ALL, found);
    fields.finish(found);
    if let Some(at) = node.get("name").filter(|_| name.as_ref().is_some_and(|n| !n.contains('.'))) {
        found.error(
            at,
            format!("{} names no collection", shown(at)),
            "write dataset.collection, such as shop.users",
        );
    }
    Some(Dataset { system: system?, name: name?, unit })
}
