//! Steps as statements, inside a transaction that somebody else began and will end.
//!
//! One statement per group, its answer counted per key from RETURNING. Where the group meets a constraint, or a
//! trigger undoes a row, it is rolled back to its savepoint and done row by row, so that one row never decides for
//! another. Rejected: `changes()` as the answer, because it says how many and not which.

use std::collections::BTreeMap;

use quietus_contract::{CommandId, Failure, Outcome};
use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};

use crate::fault;
use crate::schema::Schema;
use crate::step::{Op, Step, groups};
use crate::value::{Part, stored};

/// How often the rows that a constraint stopped are tried again after others of their group went.
const PASSES: usize = 8;

/// What every step came to; an error means that the transaction is lost.
pub(crate) fn apply(
    conn: &Connection,
    schema: &Schema,
    steps: &[&Step<'_>],
) -> rusqlite::Result<BTreeMap<CommandId, Outcome>> {
    let mut outcomes = BTreeMap::new();
    for group in groups(steps) {
        match guarded(conn, schema, &group)? {
            Ok(done) => outcomes.extend(done),
            Err(_) => one_by_one(conn, schema, group, &mut outcomes)?,
        }
    }
    Ok(outcomes)
}

/// Why a group could not be done as a whole.
enum Trouble {
    Sql(rusqlite::Error),
    /// Mapped rows would be deleted along by the database's own cascade.
    Children,
    /// The row is still there, or still holds what it held.
    Undone,
}

impl From<rusqlite::Error> for Trouble {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sql(error)
    }
}

type Done = Vec<(CommandId, Outcome)>;

/// A group within a savepoint: done, or as if it had never been tried.
fn guarded(
    conn: &Connection,
    schema: &Schema,
    group: &[&Step<'_>],
) -> rusqlite::Result<Result<Done, Outcome>> {
    conn.execute_batch("SAVEPOINT step")?;
    let outcome = match set_wise(conn, schema, group) {
        Ok(done) => {
            conn.execute_batch("RELEASE step")?;
            return Ok(Ok(done));
        }
        Err(Trouble::Children) => Outcome::Failed(fault::children()),
        Err(Trouble::Undone) => Outcome::Unchanged {
            reason: "the row is still as it was: a trigger or view of the database undid the statement"
                .into(),
        },
        // A trigger may roll the whole transaction back; then there is no savepoint to go back to.
        Err(Trouble::Sql(e)) if fault::is_constraint(&e) && !conn.is_autocommit() => {
            Outcome::Failed(fault::of(&e))
        }
        Err(Trouble::Sql(e)) => return Err(e),
    };
    conn.execute_batch("ROLLBACK TO step; RELEASE step")?;
    Ok(Err(outcome))
}

/// Until no pass gets any further: a row may refer to another of the same group.
fn one_by_one(
    conn: &Connection,
    schema: &Schema,
    mut pending: Vec<&Step<'_>>,
    outcomes: &mut BTreeMap<CommandId, Outcome>,
) -> rusqlite::Result<()> {
    for _ in 0..PASSES {
        let mut stopped = Vec::new();
        let tried = pending.len();
        for step in pending {
            match guarded(conn, schema, &[step])? {
                Ok(done) => outcomes.extend(done),
                Err(outcome) => {
                    if matches!(&outcome, Outcome::Failed(Failure { may_retry: true, .. })) {
                        stopped.push(step);
                    }
                    outcomes.insert(step.command, outcome);
                }
            }
        }
        if stopped.is_empty() || stopped.len() == tried {
            break;
        }
        pending = stopped;
    }
    Ok(())
}

fn set_wise(conn: &Connection, schema: &Schema, group: &[&Step<'_>]) -> Result<Done, Trouble> {
    let Some(first) = group.first() else { return Ok(Vec::new()) };
    match &first.op {
        Op::Delete => delete(conn, schema, group, first),
        Op::Set(assignments) => set(conn, group, first, assignments),
    }
}

fn delete(
    conn: &Connection,
    schema: &Schema,
    group: &[&Step<'_>],
    first: &Step<'_>,
) -> Result<Done, Trouble> {
    let keys = Keys::of(group, first, 1);
    if cascades(conn, schema, first, &keys)? {
        return Err(Trouble::Children);
    }
    let table = quoted(&first.table.name);
    let names = list(&first.columns, "");
    let sql = format!("DELETE FROM {table} WHERE {} RETURNING {names}", keys.condition);
    let removed = count(conn, &sql, &keys.values, first.columns.len())?;
    if first.table.guarded {
        let sql = format!("SELECT {names} FROM {table} WHERE {}", keys.condition);
        if !count(conn, &sql, &keys.values, first.columns.len())?.is_empty() {
            return Err(Trouble::Undone);
        }
    }
    Ok(answers(group, |key| removed.get(key).map_or(Outcome::Absent, |n| Outcome::Removed(*n))))
}

fn set(
    conn: &Connection,
    group: &[&Step<'_>],
    first: &Step<'_>,
    assignments: &[(String, Value)],
) -> Result<Done, Trouble> {
    let keys = Keys::of(group, first, assignments.len() + 1);
    let values: Vec<&Value> = assignments.iter().map(|(_, v)| v).chain(keys.values.iter().copied()).collect();
    let numbered = || assignments.iter().zip(1usize..);
    let each: Vec<String> = numbered().map(|((c, _), n)| format!("{} = ?{n}", quoted(c))).collect();
    let holds: Vec<String> =
        numbered().map(|((c, _), n)| format!("{} COLLATE BINARY IS ?{n}", quoted(c))).collect();
    let (table, names, holds) = (quoted(&first.table.name), list(&first.columns, ""), holds.join(" AND "));
    let sql = format!(
        "UPDATE {table} SET {} WHERE {} AND NOT ({holds}) RETURNING {names}",
        each.join(", "),
        keys.condition
    );
    let changed = count(conn, &sql, &values, first.columns.len())?;
    let within = format!("SELECT {names} FROM {table} WHERE {}", keys.condition);
    let there = count(conn, &format!("{within} AND ({holds})"), &values, first.columns.len())?;
    let short = count(conn, &format!("{within} AND NOT ({holds})"), &values, first.columns.len())?;
    if !short.is_empty() {
        return Err(Trouble::Undone);
    }
    Ok(answers(group, |key| match (changed.get(key), there.get(key)) {
        (Some(n), Some(_)) => Outcome::Changed(*n),
        (None, Some(_)) => Outcome::Unchanged { reason: "already holds the replacement".into() },
        (_, None) => Outcome::Absent,
    }))
}

fn answers(group: &[&Step<'_>], outcome: impl Fn(&Vec<Part>) -> Outcome) -> Done {
    group.iter().map(|step| (step.command, outcome(&step.parts()))).collect()
}

/// Whether rows of mapped tables would go along: they are items of their own, with dates and holds of their own.
fn cascades(conn: &Connection, schema: &Schema, first: &Step<'_>, keys: &Keys<'_>) -> rusqlite::Result<bool> {
    for (child, key) in schema.children(&first.table.name) {
        if !key.cascades || child.view {
            continue;
        }
        let on: Vec<String> = key
            .columns
            .iter()
            .zip(&key.to)
            .map(|(from, to)| format!("c.{} = p.{}", quoted(from), quoted(to)))
            .collect();
        // A row that refers to itself is no other row.
        let other = if child.name == first.table.name {
            let same: Vec<String> =
                first.columns.iter().map(|c| format!("c.{0} IS p.{0}", quoted(c))).collect();
            format!("AND NOT ({})", same.join(" AND "))
        } else {
            String::new()
        };
        let (parent, child) = (quoted(&first.table.name), quoted(&child.name));
        let sql = format!(
            "SELECT 1 FROM (SELECT * FROM {parent} WHERE {}) p JOIN {child} c ON {} {other} LIMIT 1",
            keys.condition,
            on.join(" AND ")
        );
        if conn.prepare_cached(&sql)?.exists(params_from_iter(keys.values.iter().copied()))? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The condition that names the rows of a group, and what to bind.
struct Keys<'s> {
    condition: String,
    values: Vec<&'s Value>,
}

impl<'s> Keys<'s> {
    fn of(group: &[&'s Step<'_>], first: &Step<'_>, from: usize) -> Self {
        let width = first.columns.len();
        let number = |row: usize, column: usize| format!("?{}", from + row * width + column);
        let rows: Vec<String> = (0..group.len())
            .map(|row| (0..width).map(|c| number(row, c)).collect::<Vec<_>>().join(", "))
            .collect();
        let named = |suffix: &str| {
            let names = list(&first.columns, suffix);
            match width {
                1 => format!("{names} IN ({})", rows.join(", ")),
                _ => format!("({names}) IN (VALUES ({}))", rows.join("), (")),
            }
        };
        // A column that takes Ann for ann would name two rows. The plain condition stays for the index.
        let loose = |name: &String| first.table.column(name).is_some_and(|c| !c.binary);
        let condition = if first.columns.iter().any(loose) {
            format!("{} AND {}", named(""), named(" COLLATE BINARY"))
        } else {
            named("")
        };
        Self { condition, values: group.iter().flat_map(|s| s.key.iter()).collect() }
    }
}

/// How many rows the statement gave per key.
fn count(
    conn: &Connection,
    sql: &str,
    values: &[&Value],
    width: usize,
) -> rusqlite::Result<BTreeMap<Vec<Part>, u64>> {
    let mut statement = conn.prepare_cached(sql)?;
    let mut rows = statement.query(params_from_iter(values.iter().copied()))?;
    let mut counts = BTreeMap::new();
    while let Some(row) = rows.next()? {
        let key: Vec<Part> = (0..width)
            .map(|i| row.get_ref(i).map(|v| Part::from(stored(v))))
            .collect::<rusqlite::Result<_>>()?;
        let n: &mut u64 = counts.entry(key).or_default();
        *n = n.saturating_add(1);
    }
    Ok(counts)
}

fn list(columns: &[String], suffix: &str) -> String {
    columns.iter().map(|c| format!("{}{suffix}", quoted(c))).collect::<Vec<_>>().join(", ")
}

pub(crate) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;
    use quietus_core::system::{Collection, Dataset, Manifest};

    /// A batch that reads the whole table would hold the application up for as long as that takes.
    #[test]
    fn a_composite_key_is_searched_by_its_index_whatever_its_collation() {
        let conn = Connection::open_in_memory().expect("open");
        conn.execute_batch(
            "CREATE TABLE loose (a TEXT COLLATE NOCASE, b INTEGER, PRIMARY KEY (a, b)) WITHOUT ROWID;
             CREATE TABLE plain (a TEXT, b INTEGER, PRIMARY KEY (a, b));",
        )
        .expect("made");
        let collection = |name: &str| Collection { name: name.into(), ..Collection::default() };
        let dataset =
            Dataset { collections: vec![collection("loose"), collection("plain")], ..Dataset::default() };
        let manifest = Manifest { datasets: vec![dataset], ..Manifest::default() };
        let schema = Schema::read(&conn, &manifest).expect("read");
        for name in ["loose", "plain"] {
            let table = schema.table(name).expect("there");
            let step = |n: u8| Step {
                command: CommandId([n; 16]),
                table,
                columns: vec!["a".into(), "b".into()],
                key: vec![Value::Text("k".into()), Value::Integer(n.into())],
                op: Op::Delete,
            };
            let steps = [step(1), step(2), step(3)];
            let group: Vec<&Step<'_>> = steps.iter().collect();
            let keys = Keys::of(&group, &steps[0], 1);
            let sql = format!("EXPLAIN QUERY PLAN DELETE FROM {name} WHERE {}", keys.condition);
            let mut statement = conn.prepare(&sql).expect("prepared");
            let plan: Vec<String> = statement
                .query_map(params_from_iter(keys.values), |r| r.get(3))
                .expect("planned")
                .collect::<rusqlite::Result<_>>()
                .expect("read");
            assert!(plan.iter().any(|line| line.contains("(a=? AND b=?)")), "{name}: {plan:?}");
        }
    }
}
