//! The statements of one group of like steps: all together, or halved until what fails stands alone.
//!
//! Invariant: a success is a row that `RETURNING` gave, or one of as many as there were keys of a unique key; where a
//! trigger, a rule or a view might make that untrue, the rows are looked at again in the same transaction.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use quietus_contract::{Failure, Outcome};
use tokio_postgres::types::ToSql;

use crate::erase::Tables;
use crate::failure::{Concerns, Fault};
use crate::pool::Lease;
use crate::statement;
use crate::step::{Act, Step};
use crate::transaction::{Draft, Drafted};
use crate::types::{Table, get};

/// What a delete that only counts came to.
pub(crate) enum Count {
    /// As many rows as keys.
    All(Draft),
    /// Some key met no row: to be rolled back, and asked for by name.
    TooFew,
    /// The count would prove nothing.
    NotHere,
}

/// Deletes by a unique key and counts: a fifth cheaper than being told which rows went.
pub(crate) async fn counted_out(lease: &mut Lease, steps: &[&Step]) -> Result<Count, Fault> {
    let Some(first) = steps.first() else { return Ok(Count::NotHere) };
    let table = &first.table;
    let cascades = table.children.iter().any(|k| k.cascades);
    let (Act::Delete, [column]) = (&first.act, table.key.as_slice()) else { return Ok(Count::NotHere) };
    if !table.key_is_unique || table.delete_is_watched || cascades || !is_exact(table, column) {
        return Ok(Count::NotHere);
    }
    let count = match numbers(steps) {
        Some(mut numbers) => {
            numbers.sort_unstable();
            if numbers.windows(2).any(|pair| matches!(pair, [a, b] if a == b)) {
                return Ok(Count::NotHere);
            }
            lease.execute(&statement::delete_by(table, column, "int8"), &[&numbers]).await
        }
        None => {
            let keys: Vec<Cow<'_, str>> = steps.iter().map(|s| s.key.text()).collect();
            // Two spellings of one key make the count too small.
            if keys.iter().collect::<BTreeSet<_>>().len() < keys.len() {
                return Ok(Count::NotHere);
            }
            lease.execute(&statement::delete_by(table, column, "text"), &[&keys]).await
        }
    };
    let all = count.map_err(fault(table))? == steps.len() as u64;
    Ok(match all {
        true => Count::All(steps.iter().map(|s| s.came_to(Outcome::Removed(1))).collect()),
        false => Count::TooFew,
    })
}

/// One statement for all; an error is everybody's.
pub(crate) async fn together(lease: &mut Lease, tables: &Tables, steps: &[&Step]) -> Result<Draft, Fault> {
    let Some(first) = steps.first() else { return Ok(Draft::new()) };
    match first.act {
        Act::Delete => delete(lease, tables, &first.table, steps).await,
        Act::Set(_) => set(lease, &first.table, &first.columns().collect::<Vec<_>>(), steps).await,
    }
}

/// The same under savepoints, halving what fails. Only what ends the transaction is an error.
pub(crate) async fn isolated(lease: &mut Lease, tables: &Tables, steps: &[&Step]) -> Result<Draft, Fault> {
    let mut draft = Draft::new();
    let mut waiting = vec![steps];
    while let Some(group) = waiting.pop() {
        savepoint(lease, "SAVEPOINT quietus").await?;
        let fault = match together(lease, tables, group).await {
            Ok(done) => {
                savepoint(lease, "RELEASE SAVEPOINT quietus").await?;
                draft.extend(done);
                continue;
            }
            Err(fault) => fault,
        };
        match fault.concerns {
            Concerns::Transaction | Concerns::Time | Concerns::Connection => return Err(fault),
            Concerns::Row | Concerns::LockedRow | Concerns::Table => {}
        }
        savepoint(lease, "ROLLBACK TO SAVEPOINT quietus; RELEASE SAVEPOINT quietus").await?;
        match fault.concerns {
            Concerns::LockedRow => draft.extend(around_locks(lease, tables, group, fault).await?),
            Concerns::Row if group.len() > 1 => {
                let (front, back) = group.split_at(group.len() / 2);
                waiting.extend([back, front]);
            }
            _ => draft.extend(all(group, &fault.failure)),
        }
    }
    Ok(draft)
}

/// What nobody else holds is done, the rest is left for a retry.
async fn around_locks(
    lease: &mut Lease,
    tables: &Tables,
    steps: &[&Step],
    fault: Fault,
) -> Result<Draft, Fault> {
    let Some(table) = steps.first().map(|s| Arc::clone(&s.table)) else { return Ok(Draft::new()) };
    savepoint(lease, "SAVEPOINT quietus").await?;
    let attempt = async {
        let free = ordinals(lease, &statement::lock_free(&table), &table, steps, 0).await?;
        let is_free = |at: usize| free.contains_key(&at);
        let chosen = |wanted: bool| -> Vec<&Step> {
            steps.iter().enumerate().filter(|(at, _)| is_free(*at) == wanted).map(|(_, s)| *s).collect()
        };
        let (free, others) = (chosen(true), chosen(false));
        let mut draft = if free.is_empty() { Draft::new() } else { together(lease, tables, &free).await? };
        let there = seen(lease, &table, &[], &others).await?;
        draft.extend(others.iter().enumerate().map(|(at, step)| {
            let outcome = if there.contains_key(&at) {
                Outcome::Failed(fault.failure.clone())
            } else {
                Outcome::Absent
            };
            step.came_to(outcome)
        }));
        Ok(draft)
    };
    let failed: Fault = match attempt.await {
        Ok(draft) => {
            savepoint(lease, "RELEASE SAVEPOINT quietus").await?;
            return Ok(draft);
        }
        Err(fault) => fault,
    };
    match failed.concerns {
        Concerns::Transaction | Concerns::Time | Concerns::Connection => Err(failed),
        Concerns::Row | Concerns::LockedRow | Concerns::Table => {
            savepoint(lease, "ROLLBACK TO SAVEPOINT quietus; RELEASE SAVEPOINT quietus").await?;
            Ok(all(steps, &fault.failure))
        }
    }
}

async fn delete(lease: &mut Lease, tables: &Tables, table: &Table, steps: &[&Step]) -> Result<Draft, Fault> {
    let kept = taking_children(lease, tables, table, steps).await?;
    let steps: Vec<&Step> = steps.iter().filter(|s| !kept.contains_key(&s.index)).copied().collect();
    let mut draft: Draft = kept.into_values().collect();
    if steps.is_empty() {
        return Ok(draft);
    }
    let exact = match table.key.as_slice() {
        [column] if is_exact(table, column) => Some(column),
        _ => None,
    };
    let removed = match exact {
        Some(column) => exactly(lease, table, column, &steps).await?,
        None => ordinals(lease, &statement::delete(table), table, &steps, 0).await?,
    };
    let is_doubtful = |at: usize| table.delete_is_watched || !removed.contains_key(&at);
    let looked_at: Vec<(usize, &Step)> =
        steps.iter().copied().enumerate().filter(|(at, _)| is_doubtful(*at)).collect();
    let doubtful: Vec<&Step> = looked_at.iter().map(|(_, step)| *step).collect();
    let there = seen(lease, table, &[], &doubtful).await?;
    let still: BTreeMap<usize, u64> =
        looked_at.iter().enumerate().filter_map(|(i, (at, _))| Some((*at, there.get(&i)?.0))).collect();
    draft.extend(steps.iter().enumerate().map(|(at, step)| {
        let outcome = match (removed.get(&at), still.get(&at)) {
            (Some(count), None) => Outcome::Removed(*count),
            (None, None) => Outcome::Absent,
            (_, Some(_)) => Outcome::Unchanged { reason: left(table, "delete") },
        };
        step.came_to(outcome)
    }));
    Ok(draft)
}

/// Deletes by a key whose text is its value: which steps' rows went, and how many.
async fn exactly(
    lease: &mut Lease,
    table: &Table,
    column: &str,
    steps: &[&Step],
) -> Result<BTreeMap<usize, u64>, Fault> {
    if let Some(numbers) = numbers(steps) {
        let sql = statement::delete_numbered(table, column);
        let rows = lease.query(&sql, &[&numbers]).await.map_err(fault(table))?;
        let went = rows.first().map_or(Ok(Vec::new()), |row| get::<Vec<i64>>(row, 0, &table.shown))?;
        let mut gone = counted(went);
        return Ok(numbers
            .iter()
            .enumerate()
            .filter_map(|(at, key)| Some((at, gone.remove(key)?)))
            .collect());
    }
    let keys: Vec<Cow<'_, str>> = steps.iter().map(|s| s.key.text()).collect();
    let rows = lease.query(&statement::delete_exact(table, column), &[&keys]).await.map_err(fault(table))?;
    let went = rows.first().map_or(Ok(Vec::new()), |row| get::<Vec<&str>>(row, 0, &table.shown))?;
    let mut gone = counted(went);
    let claim = |at: usize, key: &str, gone: &mut BTreeMap<&str, u64>| Some((at, gone.remove(key)?));
    let mut removed: BTreeMap<usize, u64> =
        keys.iter().enumerate().filter_map(|(at, key)| claim(at, key, &mut gone)).collect();
    if !gone.is_empty() {
        // A locator that spells its key otherwise: `007`, a UUID in capitals.
        let rows = lease.query(&statement::spell(table, column), &[&keys]).await.map_err(fault(table))?;
        let spelt = rows.first().map_or(Ok(Vec::new()), |row| get::<Vec<&str>>(row, 0, &table.shown))?;
        for (at, key) in
            spelt.into_iter().enumerate().filter(|(at, _)| !removed.contains_key(at)).collect::<Vec<_>>()
        {
            removed.extend(claim(at, key, &mut gone));
        }
    }
    Ok(removed)
}

fn is_exact(table: &Table, column: &str) -> bool {
    table.columns.get(column).is_some_and(|c| c.is_exact)
}

/// The keys of a column of whole numbers.
fn numbers(steps: &[&Step]) -> Option<Vec<i64>> {
    steps.iter().map(|step| step.key.whole()).collect()
}

/// How often each key went: more than once where it is not unique.
fn counted<K: Ord>(keys: Vec<K>) -> BTreeMap<K, u64> {
    let mut counts = BTreeMap::new();
    for key in keys {
        *counts.entry(key).or_insert(0) += 1;
    }
    counts
}

/// Steps whose row would take rows of another collection of ours with it: those are to be erased by their own
/// commands, or are held.
async fn taking_children(
    lease: &mut Lease,
    tables: &Tables,
    table: &Table,
    steps: &[&Step],
) -> Result<BTreeMap<usize, Drafted>, Fault> {
    let mut kept = BTreeMap::new();
    for key in table.children.iter().filter(|k| k.cascades) {
        let Some(child) = tables.values().flatten().find(|t| t.oid == key.child) else { continue };
        let sql = statement::cascades(table, key, child);
        for at in ordinals(lease, &sql, table, steps, 0).await?.into_keys() {
            let Some(step) = steps.get(at) else { continue };
            let detail = format!(
                "{}: rows of {} refer to it and would be deleted with it (constraint {}, ON DELETE CASCADE): they go first",
                table.shown, child.shown, key.name
            );
            kept.insert(step.index, step.came_to(Outcome::Failed(Failure::retry("constraint", detail))));
        }
    }
    Ok(kept)
}

async fn set(lease: &mut Lease, table: &Table, columns: &[&str], steps: &[&Step]) -> Result<Draft, Fault> {
    let arrays = statement::arrays(steps, columns.len());
    let mut changed: BTreeMap<usize, (u64, bool)> = BTreeMap::new();
    for row in
        lease.query(&statement::set(table, columns), &parameters(&arrays)).await.map_err(fault(table))?
    {
        let entry = changed.entry(ordinal(get(&row, 0, &table.shown)?)).or_insert((0, true));
        entry.0 += 1;
        entry.1 &= get::<bool>(&row, 1, &table.shown)?;
    }
    let looked_at: Vec<(usize, &Step)> = steps
        .iter()
        .copied()
        .enumerate()
        .filter(|(at, _)| table.update_is_watched || !changed.contains_key(at))
        .collect();
    let doubtful: Vec<&Step> = looked_at.iter().map(|(_, step)| *step).collect();
    let there = seen(lease, table, columns, &doubtful).await?;
    let now: BTreeMap<usize, bool> =
        looked_at.iter().enumerate().filter_map(|(i, (at, _))| Some((*at, there.get(&i)?.1))).collect();
    let outcome = |at: usize| match (changed.get(&at), now.get(&at)) {
        (Some((count, true)), None | Some(true)) => Outcome::Changed(*count),
        (Some(_), _) => {
            let detail =
                format!("{}: a trigger or a rule keeps fields from taking their values", table.shown);
            Outcome::Failed(Failure { might_have_happened: true, ..Failure::fatal("conflict", detail) })
        }
        (None, Some(true)) => {
            Outcome::Unchanged { reason: format!("{}: every field holds its value already", table.shown) }
        }
        (None, Some(false)) => Outcome::Unchanged { reason: left(table, "update") },
        (None, None) => Outcome::Absent,
    };
    Ok(steps.iter().enumerate().map(|(at, step)| step.came_to(outcome(at))).collect())
}

/// Which of `steps` meet a row: how many, and whether all hold their values.
async fn seen(
    lease: &mut Lease,
    table: &Table,
    columns: &[&str],
    steps: &[&Step],
) -> Result<BTreeMap<usize, (u64, bool)>, Fault> {
    let mut found = BTreeMap::new();
    if steps.is_empty() {
        return Ok(found);
    }
    let arrays = statement::arrays(steps, columns.len());
    for row in
        lease.query(&statement::look(table, columns), &parameters(&arrays)).await.map_err(fault(table))?
    {
        let count: i64 = get(&row, 1, &table.shown)?;
        let at = ordinal(get(&row, 0, &table.shown)?);
        found.insert(at, (count.unsigned_abs(), get(&row, 2, &table.shown)?));
    }
    Ok(found)
}

/// How often each step's ordinal came back.
async fn ordinals(
    lease: &mut Lease,
    sql: &str,
    table: &Table,
    steps: &[&Step],
    columns: usize,
) -> Result<BTreeMap<usize, u64>, Fault> {
    let arrays = statement::arrays(steps, columns);
    let mut found = BTreeMap::new();
    for row in lease.query(sql, &parameters(&arrays)).await.map_err(fault(table))? {
        *found.entry(ordinal(get(&row, 0, &table.shown)?)).or_insert(0) += 1;
    }
    Ok(found)
}

fn parameters<'a>(arrays: &'a [Vec<Option<Cow<'a, str>>>]) -> Vec<&'a (dyn ToSql + Sync)> {
    arrays.iter().map(|array| array as &(dyn ToSql + Sync)).collect()
}

/// `WITH ORDINALITY` counts from one.
fn ordinal(number: i64) -> usize {
    usize::try_from(number - 1).unwrap_or(usize::MAX)
}

fn all(steps: &[&Step], failure: &Failure) -> Draft {
    steps.iter().map(|s| s.came_to(Outcome::Failed(failure.clone()))).collect()
}

fn left(table: &Table, what: &str) -> String {
    let condition =
        if table.where_.is_some() { ", or the row is outside the collection's `where`" } else { "" };
    format!("{}: the row is there after the {what}: a trigger or a rule kept it{condition}", table.shown)
}

fn fault(table: &Table) -> impl FnOnce(tokio_postgres::Error) -> Fault + '_ {
    |e| Fault::read(&e, &table.shown)
}

async fn savepoint(lease: &mut Lease, sql: &str) -> Result<(), Fault> {
    lease.script(sql).await.map(drop).map_err(|e| Fault::read(&e, "savepoint"))
}
