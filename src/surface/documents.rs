//! Policies, systems and sources from files and folders, in the order in which they can be applied.
//!
//! What kind of file it is, its first keys say. Datasets are read with the systems that name them. Everything is
//! read before anything is applied: one broken file applies nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use quietus_core::document::{self, Diagnostic, Diagnostics, Node};

/// One byte more than any reader takes.
const MAX: u64 = (16 << 20) + 1;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Policy,
    System,
    Source,
}

#[derive(Clone, Debug)]
pub struct Document {
    pub kind: Kind,
    /// As its author calls it.
    pub name: String,
    pub path: PathBuf,
    pub bytes: Vec<u8>,
    /// Systems that must be there before this one.
    after: BTreeSet<String>,
}

#[derive(Debug)]
pub enum Unreadable {
    Io {
        path: PathBuf,
        cause: io::Error,
    },
    /// What is wrong with the files.
    Wrong(Vec<Diagnostic>),
}

impl Document {
    /// For messages.
    pub fn file(&self) -> String {
        self.path.display().to_string()
    }
}

/// Policies first, then systems, each after those it names, then sources.
pub fn gather(paths: &[PathBuf]) -> Result<Vec<Document>, Unreadable> {
    let (mut documents, mut wrong) = (Vec::new(), Vec::new());
    for path in paths {
        for path in below(path)? {
            let bytes = read(&path).map_err(|cause| Unreadable::Io { path: path.clone(), cause })?;
            match one(&path, bytes) {
                Ok(read) => documents.extend(read),
                Err(found) => wrong.extend(found),
            }
        }
    }
    wrong.extend(twice(&documents));
    if wrong.is_empty() { Ok(in_order(documents)) } else { Err(Unreadable::Wrong(wrong)) }
}

/// A regular file or a pipe, at most as much of it as a reader would refuse.
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    let file = File::open(path)?;
    if file.metadata()?.is_dir() {
        return Err(io::Error::other("it is a folder, name a file in it"));
    }
    let mut bytes = Vec::new();
    file.take(MAX).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Reads what a manifest names, relative to the manifest.
pub fn beside(manifest: &Path) -> impl Fn(&str) -> Result<Vec<u8>, String> + use<> {
    let folder = manifest.parent().map(Path::to_path_buf).unwrap_or_default();
    move |path| read(&folder.join(path)).map_err(|cause| cause.to_string())
}

/// Every YAML and JSON file below `path`, by name; `path` itself when it is a file. Hidden ones are left alone.
pub fn below(path: &Path) -> Result<Vec<PathBuf>, Unreadable> {
    let io = |path: &Path| {
        let path = path.to_owned();
        move |cause| Unreadable::Io { path, cause }
    };
    if !fs::metadata(path).map_err(io(path))?.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut out = Vec::new();
    let mut folders = vec![path.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).map_err(io(&folder))? {
            let entry = entry.map_err(io(&folder))?;
            let path = entry.path();
            let is_document =
                ["yaml", "yml", "json"].iter().any(|e| path.extension().is_some_and(|x| x == *e));
            if entry.file_name().to_string_lossy().starts_with('.') {
                continue;
            }
            // A link to a folder may lead back up: only folders themselves are entered.
            if entry.file_type().map_err(io(&path))?.is_dir() {
                folders.push(path);
            } else if is_document {
                out.push(path);
            }
        }
    }
    out.sort();
    Ok(out)
}

/// None for a dataset: its system brings it. A file of sources holds as many as it has documents.
fn one(path: &Path, bytes: Vec<u8>) -> Result<Vec<Document>, Vec<Diagnostic>> {
    let file = path.display().to_string();
    let nodes = document::read(&file, &bytes)?;
    let mut found = Diagnostics::new(&file);
    let Some(node) = nodes.first() else { return Ok(Vec::new()) };
    let name = |key: &str| node.get(key).and_then(Node::text).unwrap_or_default().to_owned();
    if nodes.iter().all(|n| n.get("source").is_some()) {
        let named = nodes.iter().filter_map(|n| n.get("source")?.text());
        let source = |name: &str| Document {
            kind: Kind::Source,
            name: name.to_owned(),
            path: path.to_owned(),
            bytes: bytes.clone(),
            after: BTreeSet::new(),
        };
        return Ok(named.map(source).collect());
    }
    let document = |kind, name, after| Ok(vec![Document { kind, name, path: path.to_owned(), bytes, after }]);
    if node.get("policy").is_some() {
        return document(Kind::Policy, name("policy"), BTreeSet::new());
    }
    if node.get("system").is_some() {
        return document(Kind::System, name("system"), needs(node));
    }
    if node.get("dataset").is_some() {
        return Ok(Vec::new());
    }
    let fix = "begin with `policy:`, `system:`, `dataset:` or `source:`";
    found.error(node, "nothing says what kind of file this is", fix);
    Err(found.into_vec())
}

fn needs(node: &Node) -> BTreeSet<String> {
    let list = |key: &str| node.get(key).and_then(Node::as_list).unwrap_or_default();
    let after = list("erase_after").iter().filter_map(Node::text);
    let copies = list("copies_of").iter().filter_map(|c| c.get("system")).filter_map(Node::text);
    let other = node.get("verify_with").and_then(Node::text);
    after.chain(copies).chain(other).map(str::to_owned).collect()
}

fn twice(documents: &[Document]) -> Vec<Diagnostic> {
    let mut seen: BTreeMap<(Kind, &str), &Document> = BTreeMap::new();
    let mut out = Vec::new();
    for document in documents {
        if let Some(first) = seen.insert((document.kind, &document.name), document) {
            let mut found = Diagnostics::new(&document.file());
            let detail = format!("`{}` stands in {} as well", document.name, first.file());
            found.error((1, 1), detail, "apply one of the two");
            out.extend(found.into_vec());
        }
    }
    out
}

/// Systems that wait for each other keep the order of their files; the check of the manifests names the circle.
fn in_order(documents: Vec<Document>) -> Vec<Document> {
    let (sources, rest): (Vec<_>, Vec<_>) = documents.into_iter().partition(|d| d.kind == Kind::Source);
    let (mut out, mut left): (Vec<_>, Vec<_>) = rest.into_iter().partition(|d| d.kind == Kind::Policy);
    while !left.is_empty() {
        let names: BTreeSet<String> = left.iter().map(|d| d.name.clone()).collect();
        let ready = left.iter().position(|d| d.after.is_disjoint(&names));
        out.push(left.remove(ready.unwrap_or(0)));
    }
    out.extend(sources);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::create_dir_all(dir.path().join(name).parent().unwrap()).unwrap();
            fs::write(dir.path().join(name), text).unwrap();
        }
        dir
    }

    #[test]
    fn policies_come_first_and_systems_after_those_they_name() {
        let dir = folder(&[
            ("0.yaml", "source: one\n---\nsource: two"),
            ("a-cache.yaml", "{system: cache, kind: redis, copies_of: [{system: shop}]}"),
            ("b-shop.yaml", "{system: shop, kind: sqlite, erase_after: [search]}"),
            ("c/search.yml", "{system: search, kind: search}"),
            ("c/shop.dataset.yaml", "dataset: []"),
            ("z.json", "{\"policy\": \"p\"}"),
            (".hidden.yaml", "{{{"),
            ("readme.md", "{{{"),
        ]);
        let names: Vec<_> = gather(&[dir.path().to_owned()]).unwrap().into_iter().map(|d| d.name).collect();
        assert_eq!(names, ["p", "search", "shop", "cache", "one", "two"]);
    }

    #[test]
    fn one_broken_file_applies_nothing_and_is_named() {
        let dir =
            folder(&[("a.yaml", "system: a\nkind: sqlite"), ("b.yaml", "purpose: x"), ("c.yaml", "a: [")]);
        let Err(Unreadable::Wrong(found)) = gather(&[dir.path().to_owned()]) else { panic!("not refused") };
        let files: Vec<_> = found.iter().map(|d| d.file.rsplit('/').next().unwrap().to_owned()).collect();
        assert_eq!(files, ["b.yaml", "c.yaml"]);
    }

    #[test]
    fn a_name_in_two_files_is_refused() {
        let dir = folder(&[("a.yaml", "system: a\nkind: sqlite"), ("b.yaml", "system: a\nkind: sqlite")]);
        let Err(Unreadable::Wrong(found)) = gather(&[dir.path().to_owned()]) else { panic!("not refused") };
        assert!(found.iter().all(|d| d.detail.contains("a.yaml as well")) && found.len() == 1);
    }

    #[test]
    fn a_circle_of_systems_still_ends() {
        let dir = folder(&[
            ("a.yaml", "{system: a, kind: sqlite, erase_after: [b]}"),
            ("b.yaml", "{system: b, kind: sqlite, erase_after: [a]}"),
        ]);
        assert_eq!(gather(&[dir.path().to_owned()]).unwrap().len(), 2);
    }
}
