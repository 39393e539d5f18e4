//! The keys that only some kinds of system have: `files:`, `http:`, `copies_of:`.

use std::collections::BTreeMap;

use super::manifest::{
    Call, CopiesOf, CorrectCall, FileFormat, FileSet, HoldsCall, HttpCalls, Poll, ReadBackCall,
};
use crate::document::{Diagnostics, Fields, Key, Node, to_json};

pub(super) fn copies_of(node: &Node, own: &str, found: &mut Diagnostics) -> Option<CopiesOf> {
    let mut fields = Fields::of(node, "an entry of `copies_of`", found)?;
    let system = fields.need("system", found);
    let dataset = fields.text("dataset", found);
    let mut rest = BTreeMap::new();
    for key in ["key", "set", "member"] {
        if let Some(text) = fields.text(key, found) {
            if let Err(fix) = braces(&text) {
                found.error(
                    node.get(key).unwrap_or(node),
                    format!("the template `{key}` cannot be read"),
                    fix,
                );
            }
            rest.insert(key.to_owned(), text);
        }
    }
    let only = fields.one_or_many("fields", found);
    fields.finish(found);
    if let Some(at) = system.filter(|s| s.text() == Some(own)) {
        found.error(
            at,
            "a system cannot hold copies of itself",
            "name the system that the copies are made of",
        );
    }
    if rest.contains_key("key") && rest.contains_key("set") {
        found.error(node, "`key` and `set` exclude each other", "write two entries");
    }
    if rest.contains_key("set") != rest.contains_key("member") {
        found.error(
            node,
            "`set` and `member` belong together",
            "write both, such as set: \"users:all\", member: \"{id}\"",
        );
    }
    if !only.is_empty() && !rest.contains_key("key") {
        found.error(
            node.get("fields").unwrap_or(node),
            "`fields` needs the `key` of the hash they lie in",
            "add `key:`",
        );
    }
    Some(CopiesOf { system: system?.text()?.to_owned(), dataset, rest, fields: only })
}

/// Braces come in pairs and hold a name.
fn braces(template: &str) -> Result<(), &'static str> {
    let mut rest = template;
    while let Some(i) = rest.find(['{', '}']) {
        let tail = rest.get(i..).and_then(|t| t.strip_prefix('{')).ok_or("open it with `{`")?;
        let (name, after) = tail.split_once('}').ok_or("close it with `}`")?;
        if name.is_empty() || name.contains('{') {
            return Err("name a column between the braces");
        }
        rest = after;
    }
    Ok(())
}

pub(super) fn file_set(node: &Node, found: &mut Diagnostics) -> Option<FileSet> {
    let mut fields = Fields::of(node, "an entry of `files`", found)?;
    let path = fields.need("path", found);
    let format = fields.word("format", &[("jsonl", FileFormat::Jsonl), ("csv", FileFormat::Csv)], found);
    fields.need("match", found);
    let mut match_ = BTreeMap::new();
    for (key, node) in fields.map("match", found) {
        match_.extend(super::identity_type(node, found).map(|kind| (key.text.clone(), kind)));
    }
    fields.finish(found);
    let path = path?;
    let text = path.text()?.to_owned();
    if text.starts_with('/') || text.split('/').any(|segment| segment == "..") {
        found.error(
            path,
            "a path must stay below the connection's folder",
            "write it relative, without `..`",
        );
    }
    let rest = text.replace("{date}", "");
    if rest.contains(['{', '}']) || rest.split('/').any(|segment| segment == ".") || text.contains("//") {
        found.error(
            path,
            "a path has segments, in which only `{date}` and `*` stand for something else",
            "write it as in dt={date}/*.jsonl.gz",
        );
    }
    Some(FileSet { path: text, format: format.unwrap_or_default(), match_ })
}

pub(super) fn http(node: &Node, found: &mut Diagnostics) -> Option<HttpCalls> {
    let mut fields = Fields::of(node, "`http`", found)?;
    let identity = fields.need("identity", found).and_then(|n| super::identity_type(n, found));
    let submit = fields.need("submit", found).and_then(|n| submit_call(n, found));
    let poll = fields.take("poll").and_then(|n| poll_call(n, found));
    let read_back = fields.take("read_back").and_then(|n| read_back_call(n, found));
    let correct = fields.take("correct").and_then(|n| correct_call(n, read_back.is_some(), found));
    let deadline = positive(&mut fields, "deadline", found);
    fields.finish(found);
    let submit = submit?;
    names_people(submit.body.as_ref(), "submit", node, found);
    if let Some(call) = &read_back {
        names_people(call.body.as_ref(), "read_back", node, found);
    }
    let by_reference = poll.as_ref().is_some_and(|p| p.path.contains("{ref}"));
    if by_reference && submit.reference.is_none() {
        let at = node.get("submit").unwrap_or(node);
        found.error(
            at,
            "`poll` asks by a reference that `submit` does not read",
            "add `ref: /POINTER` to `submit`",
        );
    }
    let asks = correct.as_ref().filter(|_| by_reference).is_some_and(|c| c.call.reference.is_none());
    if let Some(at) = node.get("correct").filter(|_| asks) {
        let detail = "`poll` asks by a reference that `correct` does not read";
        found.error(at, detail, "add `ref: /POINTER` to `correct`");
    }
    Some(HttpCalls { identity: identity?, submit, poll, read_back, correct, deadline })
}

/// A call whose body names nobody would mean nobody, or everybody.
fn names_people(body: Option<&serde_json::Value>, call: &str, node: &Node, found: &mut Diagnostics) {
    if !has(body, "{values}") {
        let at = node.get(call).unwrap_or(node);
        let detail = format!("the body of `{call}` does not say whom it means");
        found.error(at, detail, "write the people into it, such as body: {people: \"{values}\"}");
    }
}

fn has(body: Option<&serde_json::Value>, place: &str) -> bool {
    body.is_some_and(|b| b.to_string().contains(&format!("\"{place}\"")))
}

fn submit_call(node: &Node, found: &mut Diagnostics) -> Option<Call> {
    let mut fields = Fields::of(node, "`submit`", found)?;
    let call = call(&mut fields, found);
    fields.finish(found);
    call
}

/// Where the partner says who is gone, it must say what it holds: a correction is not believed more than an erasure.
fn correct_call(node: &Node, reads: bool, found: &mut Diagnostics) -> Option<CorrectCall> {
    let mut fields = Fields::of(node, "`correct`", found)?;
    let call = call(&mut fields, found);
    let read_back = fields.take("read_back").and_then(|n| holds_call(n, found));
    fields.finish(found);
    let call = call?;
    names_people(call.body.as_ref(), "correct", node, found);
    if !has(call.body.as_ref(), "{corrections}") {
        let detail = "the body of `correct` does not say what is to be set";
        found.error(node, detail, "write the values into it, such as body: {…, set: \"{corrections}\"}");
    }
    match (reads, &read_back) {
        (true, None) => found.error(
            node,
            "`read_back` says who is gone, and nothing says what was corrected",
            "add `read_back: {path, body, absent, holds: {/POINTER: CATEGORY}}` to `correct`",
        ),
        (false, Some(_)) => found.error(
            node,
            "corrections are read back, and erasures are not",
            "add `read_back` to `http` too, or leave it out of `correct`",
        ),
        (true, Some(_)) | (false, None) => {}
    }
    Some(CorrectCall { call, read_back })
}

fn call(fields: &mut Fields, found: &mut Diagnostics) -> Option<Call> {
    let methods = ["POST", "PUT", "PATCH", "DELETE"].map(|m| (m, m));
    let method = fields.word("method", &methods, found).unwrap_or("POST").to_owned();
    let path = fields.need("path", found).and_then(|n| path(n, found));
    let body = fields.take("body").map(to_json);
    let reference = fields.take("ref").and_then(|n| pointer(n.text().unwrap_or_default(), n, found));
    Some(Call { method, path: path?, body, reference })
}

fn poll_call(node: &Node, found: &mut Diagnostics) -> Option<Poll> {
    let mut fields = Fields::of(node, "`poll`", found)?;
    let path = fields.need("path", found).and_then(|n| path(n, found));
    let every = positive(&mut fields, "every", found).unwrap_or(60_000);
    fields.need("done", found);
    let done = states(fields.map("done", found), "done", found);
    let failed = states(fields.map("failed", found), "failed", found);
    fields.finish(found);
    Some(Poll { path: path?, every, done, failed })
}

/// JSON pointer → the values that mean it.
fn states(entries: &[(Key, Node)], means: &str, found: &mut Diagnostics) -> BTreeMap<String, Vec<String>> {
    let mut states = BTreeMap::new();
    for (key, node) in entries {
        pointer(&key.text, node, found);
        let one = std::slice::from_ref(node);
        let values: Vec<String> =
            node.as_list().unwrap_or(one).iter().filter_map(Node::text).map(str::to_owned).collect();
        if values.is_empty() {
            found.error(node, format!("no value of `{}` means {means}", key.text), "write [VALUE]");
        }
        states.insert(key.text.clone(), values);
    }
    states
}

fn read_back_call(node: &Node, found: &mut Diagnostics) -> Option<ReadBackCall> {
    let mut fields = Fields::of(node, "`read_back`", found)?;
    let call = question(&mut fields, found);
    fields.finish(found);
    call
}

fn question(fields: &mut Fields, found: &mut Diagnostics) -> Option<ReadBackCall> {
    let path = fields.need("path", found).and_then(|n| path(n, found));
    let body = fields.take("body").map(to_json);
    fields.need("absent", found);
    let mut absent = BTreeMap::new();
    for (key, node) in fields.map("absent", found) {
        pointer(&key.text, node, found);
        absent.insert(key.text.clone(), to_json(node));
    }
    Some(ReadBackCall { path: path?, body, absent })
}

fn holds_call(node: &Node, found: &mut Diagnostics) -> Option<HoldsCall> {
    let mut fields = Fields::of(node, "`read_back`", found)?;
    let call = question(&mut fields, found);
    fields.need("holds", found);
    let mut holds = BTreeMap::new();
    for (key, node) in fields.map("holds", found) {
        pointer(&key.text, node, found);
        match node.text() {
            Some(category) => drop(holds.insert(key.text.clone(), category.to_owned())),
            None => found.error(node, "`holds` names a category for each place", "write /POINTER: CATEGORY"),
        }
    }
    fields.finish(found);
    let call = call?;
    names_people(call.body.as_ref(), "read_back", node, found);
    Some(HoldsCall { call, holds })
}

fn path(node: &Node, found: &mut Diagnostics) -> Option<String> {
    let text = node.text().unwrap_or_default();
    if !text.starts_with('/') {
        found.error(node, "a path begins with `/`", "write it below the connection's url");
        return None;
    }
    Some(text.to_owned())
}

fn pointer(text: &str, node: &Node, found: &mut Diagnostics) -> Option<String> {
    if !text.is_empty() && !text.starts_with('/') {
        found.error(node, "a JSON pointer begins with `/`", format!("write /{text}"));
        return None;
    }
    Some(text.to_owned())
}

/// A duration that is not nothing.
pub(super) fn positive(fields: &mut Fields, key: &'static str, found: &mut Diagnostics) -> Option<i64> {
    let millis = fields.duration(key, found);
    if millis == Some(0) {
        let at = fields.node().get(key).unwrap_or(fields.node());
        found.error(at, format!("`{key}` cannot be nothing"), "write a longer one, or leave it out");
        return None;
    }
    millis
}
