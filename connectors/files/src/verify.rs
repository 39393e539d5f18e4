//! The independent read-back: every file read anew, by other means than the erasure's.
//!
//! Folders are listed by path, lines are split by the standard library and read as maps, CSV by the reader for whole
//! files, numbers compared as numbers. Nothing of the pass, its record splitter or its memory of clean files is used;
//! only what the manifest means (patterns, fields, the one spelling of an identity) is the same.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use flate2::read::MultiGzDecoder;
use quietus_contract::{Failure, Finding, ReadBack, Target};
use quietus_core::normalise::normalise;
use quietus_core::system::FileFormat;
use serde_json::value::RawValue;

use crate::config::{Config, Set, is_gzip};
use crate::erase::{is_reachable, nobody};
use crate::fault;
use crate::leftover;
use crate::record::LONGEST;
use crate::walk::open_root;

/// How long a rewrite that is at work is waited for.
const PATIENCE: Duration = Duration::from_secs(10);

/// (type, value) as identities are written in targets.
type Name = (String, String);

#[derive(Default)]
struct Seen {
    files: u64,
    rows: HashMap<Name, u64>,
    /// The first file that could not be read, by set.
    unread: BTreeMap<usize, Failure>,
}

pub(crate) fn read_back(config: &Config, targets: &[Target]) -> Vec<ReadBack> {
    let looked = open_root(&config.root).and_then(|root| {
        crate::lock::shared(&root, PATIENCE)?;
        let names = targets.iter().flat_map(|t| &t.identities);
        let names: HashSet<Name> =
            names.map(|i| (i.kind.clone(), spelling(&i.kind, i.value.reveal()))).collect();
        let mut seen = Seen::default();
        for (number, set) in config.sets.iter().enumerate() {
            if let Err(failure) = folder(&config.root, &config.root, set, 0, &names, &mut seen) {
                seen.unread.insert(number, failure);
            }
        }
        // The folder is locked until here.
        drop(root);
        Ok((seen, crate::clock::now(&config.root).ok()))
    });
    match looked {
        Ok((seen, at)) => targets.iter().map(|t| ReadBack { at, ..target(config, &seen, t) }).collect(),
        Err(failure) => targets.iter().map(|t| unreadable(t, failure.clone())).collect(),
    }
}

pub(crate) fn unreadable(target: &Target, failure: Failure) -> ReadBack {
    ReadBack {
        command: target.command,
        finding: Finding::Unreadable(failure),
        identity_rows: None,
        scope: Arc::default(),
        not_checked: Vec::new(),
        at: None,
    }
}

fn target(config: &Config, seen: &Seen, target: &Target) -> ReadBack {
    if !is_reachable(config, target) {
        return unreadable(target, nobody(config));
    }
    let kinds: Vec<&str> = target.identities.iter().map(|i| i.kind.as_str()).collect();
    let concerns = |set: &&Set| set.fields.iter().any(|(_, kind)| kinds.contains(&kind.as_str()));
    let mut rows = 0;
    let mut scope: Vec<String> = Vec::new();
    for identity in &target.identities {
        let name = (identity.kind.clone(), spelling(&identity.kind, identity.value.reveal()));
        rows += seen.rows.get(&name).copied().unwrap_or(0);
        let word = format!("identity {}", identity.kind);
        if config.sets.iter().any(|s| s.fields.iter().any(|(_, k)| *k == identity.kind))
            && !scope.contains(&word)
        {
            scope.push(word);
        }
    }
    scope.push(format!("{} files", seen.files));
    let not_checked = config.sets.iter().filter(|s| !concerns(s));
    let not_checked =
        not_checked.map(|s| format!("{}: no identity of a type that it holds is known", s.path));
    let unread =
        config.sets.iter().enumerate().filter(|(_, s)| concerns(s)).find_map(|(n, _)| seen.unread.get(&n));
    let finding = match (rows, unread) {
        (0, Some(failure)) => Finding::Unreadable(failure.clone()),
        (0, None) => Finding::Gone,
        (count, _) => Finding::Found { count, by: "identity".into() },
    };
    let identity_rows = unread.is_none().then_some(rows);
    let (scope, not_checked) = (scope.into(), not_checked.collect());
    ReadBack { command: target.command, finding, identity_rows, scope, not_checked, at: None }
}

fn spelling(kind: &str, value: &str) -> String {
    normalise(kind, value).unwrap_or_else(|_| value.to_owned())
}

/// The first failure is given back; all else is read all the same, because one line found is an answer.
fn folder(
    root: &Path,
    dir: &Path,
    set: &Set,
    depth: usize,
    names: &HashSet<Name>,
    seen: &mut Seen,
) -> Result<(), Failure> {
    let shown = |path: &Path| path.strip_prefix(root).unwrap_or(path).to_string_lossy().into_owned();
    let entries = fs::read_dir(dir).map_err(|e| fault::of(&e, &shown(dir)))?;
    let mut entries: Vec<PathBuf> = entries
        .map(|e| e.map(|e| e.path()))
        .collect::<Result<_, _>>()
        .map_err(|e| fault::of(&e, &shown(dir)))?;
    entries.sort();
    let last = depth + 1 == set.pattern.depth();
    let mut first = Ok(());
    for path in entries {
        let name = path.file_name().map(|n| n.as_bytes().to_vec()).unwrap_or_default();
        let outcome = if last && leftover::is_one(&name) {
            let detail = format!("{}: a rewrite broke off here; the next erasure takes it up", shown(&path));
            Err(Failure::retry("conflict", detail))
        } else if !set.pattern.matches(depth, &name) {
            Ok(())
        } else {
            match fs::symlink_metadata(&path) {
                Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
                Err(e) => Err(fault::of(&e, &shown(&path))),
                Ok(meta) if meta.is_dir() && last => Ok(()),
                Ok(meta) if meta.is_dir() => folder(root, &path, set, depth + 1, names, seen),
                Ok(meta) if meta.is_file() && last => {
                    seen.files += 1;
                    file(&path, set, is_gzip(&name), names, seen)
                        .map_err(|why| Failure::fatal("unreadable", format!("{}: {why}", shown(&path))))
                }
                Ok(meta) if meta.is_file() => Ok(()),
                Ok(_) => {
                    Err(Failure::fatal("unreadable", format!("{}: it is no regular file", shown(&path))))
                }
            }
        };
        if first.is_ok() {
            first = outcome;
        }
    }
    first
}

fn file(path: &Path, set: &Set, gzip: bool, names: &HashSet<Name>, seen: &mut Seen) -> Result<(), String> {
    let opened = File::open(path).map_err(|e| e.kind().to_string())?;
    let empty = opened.metadata().map_err(|e| e.kind().to_string())?.len() == 0;
    let text: Box<dyn Read> =
        if gzip && !empty { Box::new(MultiGzDecoder::new(opened)) } else { Box::new(opened) };
    match set.format {
        FileFormat::Jsonl => lines(BufReader::new(text), set, names, seen),
        FileFormat::Csv => rows(text, set, names, seen),
    }
}

fn lines(mut text: impl BufRead, set: &Set, names: &HashSet<Name>, seen: &mut Seen) -> Result<(), String> {
    let longest = u64::try_from(LONGEST).unwrap_or(u64::MAX) + 1;
    for number in 1_u64.. {
        let mut line = Vec::new();
        let read = text.by_ref().take(longest).read_until(b'\n', &mut line);
        read.map_err(|e| format!("line {number}: {}", e.kind()))?;
        if line.is_empty() {
            break;
        }
        if line.len() > LONGEST {
            return Err(format!("line {number} is longer than 16 MiB"));
        }
        let line = line.strip_prefix("\u{feff}".as_bytes()).filter(|_| number == 1).unwrap_or(&line);
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        let object = line.iter().find(|b| !b.is_ascii_whitespace()) == Some(&b'{');
        if !object {
            continue;
        }
        let values: HashMap<String, Box<RawValue>> =
            serde_json::from_slice(line).map_err(|_| format!("line {number} is no JSON"))?;
        let mut found = HashSet::new();
        for (field, kind) in &set.fields {
            if let Some(value) = values.get(field) {
                found.extend(value_names(kind, value.get(), names));
            }
        }
        count(found, seen);
    }
    Ok(())
}

/// The wanted names that a JSON value spells.
fn value_names(kind: &str, value: &str, names: &HashSet<Name>) -> Vec<Name> {
    let texts: Vec<String> = match serde_json::from_str::<serde_json::Value>(value) {
        Ok(serde_json::Value::String(text)) => vec![text],
        Ok(serde_json::Value::Number(number)) => {
            let float = number.as_f64().filter(|f| f.fract() == 0.0 && f.abs() < 1e15);
            let whole = float.map(|f| format!("{f:.0}"));
            [value.to_owned()].into_iter().chain(whole).collect()
        }
        _ => Vec::new(),
    };
    let spelled = texts.into_iter().map(|text| (kind.to_owned(), spelling(kind, &text)));
    spelled.filter(|name| names.contains(name)).collect()
}

fn rows(text: impl Read, set: &Set, names: &HashSet<Name>, seen: &mut Seen) -> Result<(), String> {
    let mut reader = csv::ReaderBuilder::new().has_headers(true).from_reader(text);
    let header = reader.byte_headers().map_err(|_| "the header cannot be read".to_owned())?.clone();
    if header.is_empty() {
        return Ok(());
    }
    let mut columns = Vec::new();
    for (field, kind) in &set.fields {
        let column = header.iter().position(|name| name == field.as_bytes());
        columns.push((column.ok_or_else(|| format!("the header has no column {field}"))?, kind));
    }
    let mut row = csv::ByteRecord::new();
    loop {
        match reader.read_byte_record(&mut row) {
            Ok(true) => {}
            Ok(false) => return Ok(()),
            Err(error) => {
                let line = error.position().map(csv::Position::line);
                return Err(line
                    .map_or_else(|| "it cannot be read".to_owned(), |l| format!("line {l} cannot be read")));
            }
        }
        let mut found = HashSet::new();
        for (column, kind) in &columns {
            let text = row.get(*column).and_then(|field| std::str::from_utf8(field).ok());
            let name = text.map(|text| ((*kind).clone(), spelling(kind, text)));
            found.extend(name.filter(|name| names.contains(name)));
        }
        count(found, seen);
    }
}

fn count(found: HashSet<Name>, seen: &mut Seen) {
    for name in found {
        *seen.rows.entry(name).or_default() += 1;
    }
}
