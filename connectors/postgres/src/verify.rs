//! The independent read-back: its own sessions, read-only transactions and statements, by primary key and by the
//! subject's identity fields. Nothing that `erase` noted is believed.
//!
//! Invariant: what could not be looked at stands in `not_checked`; an error is `Unreadable`, never `Gone`.
//! Rows found by identity whose key equals the target's but for case, blanks and leading zeros are the target under
//! another spelling: `Found`.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use quietus_contract::{Failure, Finding, ReadBack, Target};
use tokio_postgres::types::ToSql;

use crate::PostgresConnector;
use crate::failure::{Concerns, Fault};
use crate::key::Key;
use crate::person::{Asked, Seen, by_identity};
use crate::pool::Lease;
use crate::scope::Scopes;
use crate::session::Rows;
use crate::step::{self, Act};
use crate::types::{Table, get, quote};

pub(crate) async fn verify(connector: &PostgresConnector, targets: &[Target]) -> Vec<ReadBack> {
    let mut wanted: Vec<(usize, &Target)> = targets.iter().enumerate().collect();
    wanted.sort_by(|(_, one), (_, other)| one.dataset.cmp(&other.dataset));
    let mut backs = Backs { targets, told: targets.iter().map(|_| None).collect() };
    for same in wanted.chunk_by(|(_, one), (_, other)| one.dataset == other.dataset) {
        match group(connector, same, &mut backs).await {
            Ok(()) => {}
            // One value that the table cannot take must not hide what is known of the others.
            Err(fault) if fault.concerns == Concerns::Row && same.len() > 1 => {
                for one in same {
                    let one = std::slice::from_ref(one);
                    if let Err(fault) = group(connector, one, &mut backs).await {
                        backs.unreadable(one, &fault.failure);
                    }
                }
            }
            Err(fault) => backs.unreadable(same, &fault.failure),
        }
    }
    backs.told()
}

/// What was seen of the targets of a call, each at its place.
struct Backs<'t> {
    targets: &'t [Target],
    told: Vec<Option<ReadBack>>,
}

impl Backs<'_> {
    fn put(&mut self, index: usize, back: ReadBack) {
        if let Some(place) = self.told.get_mut(index) {
            *place = Some(back);
        }
    }

    fn unreadable(&mut self, wanted: &[(usize, &Target)], failure: &Failure) {
        wanted.iter().for_each(|(index, target)| self.put(*index, unreadable(target, failure.clone())));
    }

    fn told(self) -> Vec<ReadBack> {
        let missing = || Failure::retry("internal", "not read");
        let told = self.told.into_iter().zip(self.targets);
        told.map(|(told, target)| told.unwrap_or_else(|| unreadable(target, missing()))).collect()
    }
}

fn unreadable(target: &Target, failure: Failure) -> ReadBack {
    ReadBack {
        command: target.command,
        finding: Finding::Unreadable(failure),
        identity_rows: None,
        scope: Arc::default(),
        not_checked: vec!["primary key".to_owned(), "identity fields".to_owned()],
        at: None,
    }
}

/// Targets of one collection in one read-only transaction.
async fn group(
    connector: &PostgresConnector,
    wanted: &[(usize, &Target)],
    backs: &mut Backs<'_>,
) -> Result<(), Fault> {
    let name = wanted.first().map_or("", |(_, target)| &*target.dataset);
    let mut last = Fault::lost(name);
    for _ in 0..2 {
        let mut lease = connector.read.lease().await.map_err(connecting)?;
        let read = in_transaction(connector, &mut lease, name, wanted, backs).await;
        match &read {
            Err(fault) if fault.concerns == Concerns::Connection => last = fault.clone(),
            _ => {
                lease.leave();
                return read;
            }
        }
    }
    Err(last)
}

fn connecting(failure: Failure) -> Fault {
    Fault { failure, concerns: Concerns::Connection }
}

async fn in_transaction(
    connector: &PostgresConnector,
    lease: &mut Lease,
    name: &str,
    wanted: &[(usize, &Target)],
    backs: &mut Backs<'_>,
) -> Result<(), Fault> {
    // On its way with the first query.
    lease.send_begin_read();
    let looked = in_snapshot(connector, lease, name, wanted, backs).await;
    let at = lease.reading_at(name).await?;
    looked?.told(at, backs);
    Ok(())
}

/// One look at the targets of a collection.
struct Look<'a> {
    wanted: Vec<Wanted<'a>>,
    /// How many rows each key meets that ought not to be as they are.
    by_key: Vec<u64>,
    by_identity: Vec<Seen>,
    scopes: Scopes,
}

impl Look<'_> {
    fn told(self, at: Option<i64>, backs: &mut Backs<'_>) {
        let scopes = self.scopes.told();
        for ((one, count), seen) in self.wanted.iter().zip(self.by_key).zip(self.by_identity) {
            let finding = match (count, seen.lookalikes) {
                (0, 0) => Finding::Gone,
                (0, count) => Finding::Found { count, by: "identity".to_owned() },
                (count, _) => Finding::Found { count, by: "primary key".to_owned() },
            };
            let (command, identity_rows) = (one.target.command, seen.rows);
            let (scope, not_checked) = (scopes.of(seen.scope), seen.not_checked);
            backs.put(one.index, ReadBack { command, finding, identity_rows, scope, not_checked, at });
        }
    }
}

async fn in_snapshot<'a>(
    connector: &PostgresConnector,
    lease: &mut Lease,
    name: &str,
    wanted: &[(usize, &'a Target)],
    backs: &mut Backs<'_>,
) -> Result<Look<'a>, Fault> {
    let table = connector.seen.table(lease, &connector.manifest, name).await?;
    let mut readable: Vec<Wanted<'_>> = Vec::with_capacity(wanted.len());
    for (index, target) in wanted {
        match Wanted::new(connector, &table, *index, target) {
            Ok(one) => readable.push(one),
            Err(failure) => backs.put(*index, unreadable(target, failure)),
        }
    }
    // On its way with the look by identity, which an error of its own would keep from being read.
    let still_there = still_there(lease, &table, &readable).await?;
    let mut scopes = Scopes::new();
    let by_identity = match connector.manifest.collection(name) {
        Some((_, collection)) => {
            let asked: Vec<Asked<'_>> = readable.iter().map(Wanted::asked).collect();
            by_identity(lease, &table, collection, &asked, &mut scopes).await
        }
        None => Ok(Vec::new()),
    };
    let all_gone = match still_there {
        Some(rows) => {
            let rows = rows.await.map_err(|e| Fault::read(&e, &table.shown))?;
            rows.first().map_or(Ok(false), |row| Ok(get::<i64>(row, 0, &table.shown)? == 0))?
        }
        None => false,
    };
    let mut by_identity = by_identity?;
    by_identity.resize_with(readable.len(), Seen::default);
    let by_key = by_key(lease, &table, &readable, all_gone).await?;
    Ok(Look { wanted: readable, by_key, by_identity, scopes })
}

/// A target in the terms of the read-back.
struct Wanted<'a> {
    index: usize,
    target: &'a Target,
    key: Key,
    /// What each column must hold; empty where the row must be gone.
    held: Vec<(String, Option<String>)>,
}

impl<'a> Wanted<'a> {
    fn new(
        connector: &PostgresConnector,
        table: &Table,
        index: usize,
        target: &'a Target,
    ) -> Result<Self, Failure> {
        let key = Key::of(table, target)?;
        let held = match step::act(&connector.manifest, table, target) {
            Ok(Act::Delete) => Vec::new(),
            Ok(Act::Set(fields)) => fields.into_iter().map(|a| (a.column, a.value)).collect(),
            Err(_) => {
                return Err(Failure::fatal("conflict", "what this target asks for cannot be executed here"));
            }
        };
        Ok(Self { index, target, key, held })
    }

    fn asked(&self) -> Asked<'_> {
        Asked { identities: &self.target.identities, key: &self.key, is_delete: self.held.is_empty() }
    }
}

/// How many rows each target's key meets that ought not to be as they are. `all_gone`: none of those to be deleted is
/// there.
async fn by_key(
    lease: &mut Lease,
    table: &Table,
    wanted: &[Wanted<'_>],
    all_gone: bool,
) -> Result<Vec<u64>, Fault> {
    let mut counts = vec![0; wanted.len()];
    let mut alike: BTreeMap<Vec<&str>, Vec<usize>> = BTreeMap::new();
    for (at, one) in wanted.iter().enumerate() {
        alike.entry(one.held.iter().map(|(c, _)| c.as_str()).collect()).or_default().push(at);
    }
    for (columns, members) in alike {
        if columns.is_empty() && all_gone {
            continue;
        }
        let sql = count_by_key(table, &columns);
        let members: Vec<(usize, &Wanted<'_>)> =
            members.into_iter().filter_map(|at| Some((at, wanted.get(at)?))).collect();
        let mut arrays: Vec<Vec<Option<Cow<'_, str>>>> = Vec::new();
        for i in 0..table.key.len() {
            arrays.push(members.iter().map(|(_, w)| w.key.text_at(i)).collect());
        }
        for i in 0..columns.len() {
            let held = members.iter().map(|(_, w)| w.held.get(i).and_then(|(_, v)| v.as_deref()));
            arrays.push(held.map(|v| v.map(Cow::Borrowed)).collect());
        }
        let parameters: Vec<&(dyn ToSql + Sync)> = arrays.iter().map(|a| a as &(dyn ToSql + Sync)).collect();
        let rows = lease.query(&sql, &parameters).await.map_err(|e| Fault::read(&e, &table.shown))?;
        for (row, (at, _)) in rows.iter().zip(&members) {
            let count: i64 = get(row, 0, &table.shown)?;
            if let Some(place) = counts.get_mut(*at) {
                *place = count.unsigned_abs();
            }
        }
    }
    Ok(counts)
}

/// Asks in one look how many rows the keys of all deleted targets meet, where the key is one column. None is the usual
/// answer.
async fn still_there(lease: &mut Lease, table: &Table, wanted: &[Wanted<'_>]) -> Result<Option<Rows>, Fault> {
    let [name] = table.key.as_slice() else { return Ok(None) };
    let Some(column) = table.columns.get(name) else { return Ok(None) };
    let keys = || wanted.iter().filter(|one| one.held.is_empty()).map(|one| &one.key);
    if keys().next().is_none() {
        return Ok(None);
    }
    let whole: Option<Vec<i64>> = keys().map(Key::whole).collect();
    let sent = if whole.is_some() { "int8" } else { "text" };
    let sql = format!(
        "SELECT count(*) FROM {} AS t WHERE t.{} = ANY ($1::{sent}[]::{}[])",
        table.name,
        quote(name),
        column.base
    );
    let rows = match whole {
        Some(numbers) => lease.ask(&sql, numbers).await,
        None => {
            let keys: Vec<String> = keys().map(|key| key.text().into_owned()).collect();
            lease.ask(&sql, keys).await
        }
    };
    rows.map(Some).map_err(|e| Fault::read(&e, &table.shown))
}

/// One count per element, in order. A row counts when it is there and not all of `columns` hold what they must.
fn count_by_key(table: &Table, columns: &[&str]) -> String {
    let width = table.key.len();
    let names: Vec<String> = (0..width + columns.len()).map(|i| format!("a{i}")).collect();
    let arrays: Vec<String> = (1..=names.len()).map(|i| format!("${i}::text[]")).collect();
    let kind = |c: &str| table.columns.get(c);
    let same: Vec<String> = (0..width)
        .zip(&table.key)
        .map(|(i, k)| format!("t.{} = w.a{i}::{}", quote(k), kind(k).map_or("text", |c| &c.base)))
        .collect();
    let differs: Vec<String> = columns
        .iter()
        .enumerate()
        .map(|(i, c)| {
            let full = kind(c).map_or("text", |c| &c.full);
            format!("t.{}::text IS DISTINCT FROM w.a{}::{full}::text", quote(c), width + i)
        })
        .collect();
    let differs = if differs.is_empty() { String::new() } else { format!(" AND ({})", differs.join(" OR ")) };
    format!(
        "SELECT (SELECT count(*) FROM {} AS t WHERE {}{differs}) FROM unnest({}) WITH ORDINALITY AS w({}, n) ORDER BY w.n",
        table.name,
        same.join(" AND "),
        arrays.join(", "),
        names.join(", ")
    )
}
