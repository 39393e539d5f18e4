//! A system manifest's file → [`Manifest`].

use super::manifest::{Limits, Manifest, Mode, Scan};
use super::partner::{self, positive};
use super::read_dataset::{self, IsCategory};
use super::{connection, window};
use crate::document::{Diagnostic, Diagnostics, Fields, Node, choose, read, shown};

/// Every kind of system there is a connector for.
pub const KINDS: [&str; 15] = [
    "sqlite", "postgres", "mysql", "redis", "files", "backup", "objects", "http", "opendsr", "search",
    "kafka", "webhook", "manual", "exec", "memory",
];
const NEEDS_URL: [&str; 10] =
    ["sqlite", "postgres", "mysql", "redis", "files", "backup", "http", "webhook", "opendsr", "search"];

/// What tells a connector's answers from anybody else's, and where it listens.
const OUTSIDE: [(&str, &[&str]); 2] = [("kafka", &["brokers", "secret"]), ("webhook", &["secret"])];

/// Reads the dataset file that a manifest names; the error says why it could not.
pub type Load<'a> = &'a dyn Fn(&str) -> Result<Vec<u8>, String>;

/// What the file says, as far as it could be read, and what is wrong with it. With an error among the findings the
/// manifest is not fit for use.
pub fn parse_manifest(
    file: &str,
    bytes: &[u8],
    load: Load,
    is_category: IsCategory,
) -> (Option<Manifest>, Vec<Diagnostic>) {
    let nodes = match read(file, bytes) {
        Ok(nodes) => nodes,
        Err(found) => return (None, found),
    };
    let mut found = Diagnostics::new(file);
    if let [_, second, ..] = nodes.as_slice() {
        found.error(second, "a second manifest in one file", "give each system its own file");
    }
    let manifest = nodes.first().and_then(|node| manifest(node, load, is_category, &mut found));
    (manifest, found.into_vec())
}

/// The `{column}` names of a template.
pub fn placeholders(template: &str) -> Vec<&str> {
    template.split('{').skip(1).filter_map(|part| part.split_once('}')).map(|(name, _)| name).collect()
}

fn manifest(node: &Node, load: Load, is_category: IsCategory, found: &mut Diagnostics) -> Option<Manifest> {
    let mut fields = Fields::of(node, "a system manifest", found)?;
    fields.format(found);
    let system = fields.need("system", found);
    let kind = fields.need("kind", found);
    let mut out = Manifest {
        system: system.and_then(Node::text).unwrap_or_default().to_owned(),
        kind: kind.and_then(Node::text).unwrap_or_default().to_owned(),
        ..Manifest::default()
    };
    out.places.file = found.file().to_owned();
    if let Some(node) = system.filter(|_| !super::is_name(&out.system)) {
        let fix = "use letters, digits, `_`, `-` and `.` only, at most 64";
        found.error(node, format!("{} cannot be a system's name", shown(node)), fix);
    }
    if let Some(node) = kind.filter(|_| !KINDS.contains(&out.kind.as_str())) {
        found.error(
            node,
            format!("{} is no kind of system", shown(node)),
            choose(&out.kind, KINDS.into_iter()),
        );
    }
    if let Some(node) = fields.take("mode") {
        out.places.at.insert("mode".to_owned(), node.into());
    }
    let modes = [("observe", Mode::Observe), ("enforce", Mode::Enforce)];
    out.mode = fields.word("mode", &modes, found).unwrap_or_default();
    out.connection = connection::read(fields.map("connection", found), &out.kind, found);
    if NEEDS_URL.contains(&out.kind.as_str()) && !out.connection.contains_key("url") {
        let fix = "add `connection: {url: \"${env:NAME}\"}`";
        found.error(
            node.get("connection").unwrap_or(node),
            format!("a `{}` system needs a url", out.kind),
            fix,
        );
    }
    for key in OUTSIDE.iter().filter(|(kind, _)| *kind == out.kind).flat_map(|(_, keys)| keys.iter()) {
        if !out.connection.contains_key(*key) {
            let detail = format!("a `{}` system needs `{key}`", out.kind);
            let at = node.get("connection").unwrap_or(node);
            found.error(at, detail, format!("add `connection: {{{key}: \"${{env:NAME}}\"}}`"));
        }
    }
    out.owner = fields.text("owner", found);
    out.region = fields.text("region", found);
    out.purposes = fields.one_or_many("purposes", found);
    out.retains = fields.bool("retains", found).unwrap_or_default();
    out.expires = positive(&mut fields, "expires", found);
    let limited = fields.take("limits");
    out.limits = limited.and_then(|n| limits(n, found)).unwrap_or_default();
    if let Some(node) = limited.and_then(|n| n.get("replica_lag_max")).filter(|_| !replicates(&out.kind)) {
        without_replicas(node, "replica_lag_max", &out.kind, found);
    }
    out.windows = fields.list("windows", found).iter().filter_map(|n| window::read(n, found)).collect();
    out.scan = fields.take("scan").and_then(|n| scan(n, found));
    links(&mut fields, &mut out, found);
    own_keys(&mut fields, &mut out, node, found);
    out.datasets = datasets(fields.list("datasets", found), load, is_category, found);
    fields.finish(found);
    (system.is_some() && kind.is_some()).then_some(out)
}

/// The other systems that this one names.
fn links(fields: &mut Fields, out: &mut Manifest, found: &mut Diagnostics) {
    if let Some(node) = fields.take("erase_after") {
        for node in node.as_list().unwrap_or(std::slice::from_ref(node)) {
            let Some(name) = other(node, &out.system, "erase_after", found) else { continue };
            out.places.at.insert(format!("erase_after.{name}"), node.into());
            out.erase_after.push(name);
        }
    }
    if let Some(node) = fields.take("verify_with") {
        out.verify_with = other(node, &out.system, "verify_with", found);
        if out.verify_with.is_some() && !replicates(&out.kind) {
            without_replicas(node, "verify_with", &out.kind, found);
        }
        out.places.at.insert("verify_with".to_owned(), node.into());
    }
    for node in fields.list("copies_of", found) {
        let Some(copy) = partner::copies_of(node, &out.system, found) else { continue };
        out.places.at.insert(format!("copies_of.{}", out.copies_of.len()), node.into());
        out.copies_of.push(copy);
    }
}

/// Who cannot say what a replica has replayed would take one that lags for one that shows everything.
pub(super) fn replicates(kind: &str) -> bool {
    kind == "postgres" || !KINDS.contains(&kind)
}

fn without_replicas(node: &Node, key: &str, kind: &str, found: &mut Diagnostics) {
    let detail = format!("a `{kind}` system cannot say how far a replica is, which `{key}` needs");
    found.error(node, detail, format!("leave `{key}` out; `kind: postgres` can"));
}

fn other(node: &Node, own: &str, key: &str, found: &mut Diagnostics) -> Option<String> {
    match node.text() {
        None => found.error(
            node,
            format!("`{key}` names systems, this is {}", node.kind()),
            "write a system's name",
        ),
        Some(name) if name == own => {
            found.error(
                node,
                format!("`{key}` names this system itself"),
                "name another system, or leave it out",
            );
        }
        Some(name) => return Some(name.to_owned()),
    }
    None
}

fn own_keys(fields: &mut Fields, out: &mut Manifest, node: &Node, found: &mut Diagnostics) {
    out.files = fields.list("files", found).iter().filter_map(|n| partner::file_set(n, found)).collect();
    out.http = fields.take("http").and_then(|n| partner::http(n, found));
    for (key, kinds) in [("files", &["files"][..]), ("http", &["http"][..])] {
        let at = node.get(key).filter(|n| !n.is_null());
        let known = KINDS.contains(&out.kind.as_str());
        if let Some(at) = at.filter(|_| known && !kinds.contains(&out.kind.as_str())) {
            let fix = format!("remove it, or write `kind: {key}`");
            found.warning(at, format!("`{key}` means nothing to a `{}` system", out.kind), fix);
        }
        if kinds.contains(&out.kind.as_str()) && at.is_none() {
            found.error(node, format!("a `{}` system needs `{key}`", out.kind), format!("add `{key}:`"));
        }
    }
}

fn limits(node: &Node, found: &mut Diagnostics) -> Option<Limits> {
    let mut fields = Fields::of(node, "`limits`", found)?;
    let standard = Limits::default();
    let mut number = |key, high, found: &mut Diagnostics| {
        fields.int_in(key, 1, high, found).and_then(|n| u32::try_from(n).ok())
    };
    let batch = number("batch", 10_000, found).unwrap_or(standard.batch);
    let concurrency = number("concurrency", 64, found).unwrap_or(standard.concurrency);
    let per_second = number("per_second", i64::from(u32::MAX), found);
    let replica_lag_max = positive(&mut fields, "replica_lag_max", found);
    fields.finish(found);
    Some(Limits { batch, concurrency, per_second, replica_lag_max })
}

fn scan(node: &Node, found: &mut Diagnostics) -> Option<Scan> {
    let mut fields = Fields::of(node, "`scan`", found)?;
    fields.need("every", found);
    let every = positive(&mut fields, "every", found);
    let by = fields.text("by", found);
    fields.finish(found);
    Some(Scan { every: every?, by })
}

/// Each entry is a file, or (over HTTP) a dataset in place.
fn datasets(
    list: &[Node],
    load: Load,
    is_category: IsCategory,
    found: &mut Diagnostics,
) -> Vec<super::Dataset> {
    let mut out: Vec<super::Dataset> = Vec::new();
    for node in list {
        let read = match node.text() {
            None => read_dataset::from_node(node, is_category, found).into_iter().map(|(d, _)| d).collect(),
            Some(path) => match load(path) {
                Ok(bytes) => {
                    let (datasets, others) =
                        read_dataset::parse_dataset(&beside(found.file(), path), &bytes, is_category);
                    found.extend(others);
                    datasets
                }
                Err(cause) => {
                    let fix = "check the path: it is relative to the manifest";
                    found.error(
                        node,
                        format!("the dataset file {} cannot be read: {cause}", shown(node)),
                        fix,
                    );
                    Vec::new()
                }
            },
        };
        for dataset in read {
            if out.iter().any(|d| d.fides_key == dataset.fides_key) {
                let detail = format!("the dataset `{}` comes twice", dataset.fides_key);
                found.error(node, detail, "give each its own fides_key");
            } else {
                out.push(dataset);
            }
        }
    }
    out
}

/// The path as a person at the manifest's caller would write it.
fn beside(file: &str, path: &str) -> String {
    match file.rsplit_once('/') {
        Some((folder, _)) if !path.starts_with('/') => format!("{folder}/{path}"),
        _ => path.to_owned(),
    }
}
