//! The read-back by the subject's identity fields: what else the collection still holds about this person, and
//! whether the target is there under another spelling of its key.
//!
//! Set-wise: a person with ten thousand rows and five hundred targets among them is read once.

use std::borrow::Cow;
use std::collections::BTreeMap;

use quietus_contract::Identity;
use quietus_core::system::Collection;
use tokio_postgres::types::ToSql;

use crate::failure::{Concerns, Fault};
use crate::key::Key;
use crate::pool::Lease;
use crate::scope::{Scope, Scopes};
use crate::types::{Column, Table, get, quote};

/// What is asked about one target.
pub(crate) struct Asked<'a> {
    pub(crate) identities: &'a [Identity],
    pub(crate) key: &'a Key,
    pub(crate) is_delete: bool,
}

/// What the subject's identity fields showed of one target.
#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) scope: Scope,
    pub(crate) not_checked: Vec<String>,
    /// The subject's rows; None = no identity field could be read.
    pub(crate) rows: Option<u64>,
    /// Rows to be deleted that are still there with their key spelt otherwise.
    pub(crate) lookalikes: u64,
}

/// One question: this target (by its place), this identity's value.
struct Question<'a> {
    at: usize,
    value: &'a str,
    key: &'a Key,
}

/// One answer per target, in order. A value that the column's type cannot hold is `not_checked`.
pub(crate) async fn by_identity(
    lease: &mut Lease,
    table: &Table,
    collection: &Collection,
    asked: &[Asked<'_>],
    scopes: &mut Scopes,
) -> Result<Vec<Seen>, Fault> {
    let mut seen: Vec<Seen> = asked.iter().map(|_| Seen::default()).collect();
    for (name, kind) in identity_columns(collection) {
        let Some(column) = table.columns.get(name) else { continue };
        let is_lax = column.is_text && table.is_small;
        let word = format!("identity {kind}");
        let questions = questions(asked, kind);
        if let Some(counted) = numbered(lease, table, name, column, &questions).await? {
            for (question, rows) in questions.iter().zip(counted) {
                if let Some(seen) = seen.get_mut(question.at) {
                    seen.scope = scopes.and(seen.scope, &word);
                    seen.rows = seen.rows.max(Some(rows));
                }
            }
            continue;
        }
        let mut waiting: Vec<Vec<Question<'_>>> = vec![questions];
        while let Some(mut group) = waiting.pop() {
            if group.is_empty() {
                continue;
            }
            match counts(lease, &count(table, name, column, is_lax), table, &group).await {
                Ok(counted) => {
                    for (question, (all, same)) in group.iter().zip(counted) {
                        let (Some(seen), Some(asked)) = (seen.get_mut(question.at), asked.get(question.at))
                        else {
                            continue;
                        };
                        seen.scope = scopes.and(seen.scope, &word);
                        seen.rows = seen.rows.max(Some(all));
                        if asked.is_delete {
                            seen.lookalikes = seen.lookalikes.max(same);
                        }
                        if column.is_text && !is_lax {
                            seen.not_checked
                                .push(format!("{word} in {name}: other letter case (large table)"));
                        }
                    }
                }
                Err(fault) if fault.concerns == Concerns::Connection => return Err(fault),
                Err(fault) if fault.concerns == Concerns::Row && group.len() > 1 => {
                    let back = group.split_off(group.len() / 2);
                    waiting.extend([back, group]);
                }
                Err(fault) => {
                    for question in &group {
                        if let Some(seen) = seen.get_mut(question.at) {
                            seen.not_checked.push(format!("{word} in {name}: {}", fault.failure.code));
                        }
                    }
                }
            }
        }
    }
    for seen in &mut seen {
        if seen.scope == Scope::default() && seen.not_checked.is_empty() {
            seen.not_checked
                .push("identity fields: none of this subject's identities has a column here".to_owned());
        }
    }
    Ok(seen)
}

fn questions<'a>(asked: &[Asked<'a>], kind: &str) -> Vec<Question<'a>> {
    let mut questions = Vec::with_capacity(asked.len());
    for (at, one) in asked.iter().enumerate() {
        let known = one.identities.iter().filter(|i| i.kind == kind);
        questions.extend(known.map(|i| Question { at, value: i.value.reveal(), key: one.key }));
    }
    questions
}

/// Rows with this identity per question, where identities are whole numbers and a key has one spelling only, so that
/// the look by key saw every row there is of the target. None: to be asked the long way.
async fn numbered(
    lease: &mut Lease,
    table: &Table,
    name: &str,
    column: &Column,
    questions: &[Question<'_>],
) -> Result<Option<Vec<u64>>, Fault> {
    let spelt_once = |key: &String| table.columns.get(key).is_some_and(|c| c.is_exact && !c.is_text);
    if questions.is_empty() || !table.key.iter().all(spelt_once) {
        return Ok(None);
    }
    let values: Option<Vec<i64>> = questions.iter().map(|q| column.whole(q.value)).collect();
    let Some(values) = values else { return Ok(None) };
    let mut asked = values.clone();
    asked.sort_unstable();
    asked.dedup();
    let quoted = quote(name);
    let condition = table.where_.as_ref().map_or_else(String::new, |w| format!(" AND {w}"));
    let sql = format!(
        "SELECT {alias}.{quoted}::int8, count(*) FROM {} WHERE {alias}.{quoted} = ANY ($1::int8[]::{}[]){condition} GROUP BY 1",
        table.name,
        column.base,
        alias = table.alias,
    );
    let rows = lease.query(&sql, &[&asked]).await.map_err(|e| Fault::read(&e, &table.shown))?;
    let mut counts = BTreeMap::new();
    for row in &rows {
        let count: i64 = get(row, 1, &table.shown)?;
        counts.insert(get::<i64>(row, 0, &table.shown)?, count.unsigned_abs());
    }
    Ok(Some(values.iter().map(|value| counts.get(value).copied().unwrap_or(0)).collect()))
}

/// (rows with this identity, those among them whose key is the target's, laxly) per question, under a savepoint.
async fn counts(
    lease: &mut Lease,
    sql: &str,
    table: &Table,
    group: &[Question<'_>],
) -> Result<Vec<(u64, u64)>, Fault> {
    let faulty = |e| Fault::read(&e, &table.shown);
    let mut arrays: Vec<Vec<Cow<'_, str>>> = vec![group.iter().map(|q| Cow::Borrowed(q.value)).collect()];
    for i in 0..table.key.len() {
        arrays.push(group.iter().map(|q| q.key.text_at(i).unwrap_or_default()).collect());
    }
    let parameters: Vec<&(dyn ToSql + Sync)> = arrays.iter().map(|a| a as &(dyn ToSql + Sync)).collect();
    lease.script("SAVEPOINT quietus_identity").await.map_err(faulty)?;
    match lease.query(sql, &parameters).await {
        Ok(rows) => {
            lease.script("RELEASE SAVEPOINT quietus_identity").await.map_err(faulty)?;
            let count = |row, at| get::<i64>(row, at, &table.shown).map(i64::unsigned_abs);
            rows.iter().map(|row| Ok((count(row, 0)?, count(row, 1)?))).collect()
        }
        Err(error) => {
            let fault = faulty(error);
            if fault.concerns != Concerns::Connection {
                lease.script("ROLLBACK TO SAVEPOINT quietus_identity").await.map_err(faulty)?;
            }
            Err(fault)
        }
    }
}

/// Columns that hold an identity, and of which type.
fn identity_columns(collection: &Collection) -> Vec<(&str, &str)> {
    let subject = collection.subject.iter().map(|s| (s.column.as_str(), s.kind.as_str()));
    let fields = collection.fields.iter().filter_map(|f| Some((f.name.as_str(), f.identity.as_deref()?)));
    let mut columns: Vec<(&str, &str)> = fields.chain(subject).collect();
    columns.sort_unstable();
    columns.dedup();
    columns
}

/// `$1` the identities' values, `$2…` the keys' columns; one row per element, in order.
fn count(table: &Table, name: &str, column: &Column, is_lax: bool) -> String {
    let lax = |text: String| format!("regexp_replace(lower(btrim({text})), '^0+(?=[0-9])', '')");
    let quoted = quote(name);
    let person = if is_lax {
        format!("lower(btrim(t.{quoted}::text)) = lower(p.v)")
    } else {
        format!("t.{quoted} = p.v::{}", column.base)
    };
    let from = match &table.where_ {
        Some(condition) => format!("(SELECT * FROM {} WHERE {condition})", table.name),
        None => table.name.clone(),
    };
    let each = |of: &dyn Fn(usize, &String) -> String| -> Vec<String> {
        table.key.iter().enumerate().map(|(i, k)| of(i, k)).collect()
    };
    let spelt = each(&|i, k| format!("{} AS l{i}", lax(format!("t.{}::text", quote(k)))));
    let names = each(&|i, _| format!("l{i}"));
    let arrays = each(&|i, _| format!("${}::text[]", i + 2));
    let raw = each(&|i, _| format!("a{i}"));
    let same = each(&|i, _| format!("s.l{i} = {}", lax(format!("w.a{i}"))));
    format!(
        "WITH seen AS MATERIALIZED (SELECT p.v, {}, count(*) AS c FROM (SELECT DISTINCT v FROM unnest($1::text[]) AS v) AS p \
         JOIN {from} AS t ON {person} GROUP BY p.v, {}), \
         per AS MATERIALIZED (SELECT v, sum(c)::int8 AS c FROM seen GROUP BY v) \
         SELECT coalesce(per.c, 0), coalesce(s.c, 0) \
         FROM unnest($1::text[], {}) WITH ORDINALITY AS w(v, {}, n) \
         LEFT JOIN per ON per.v = w.v LEFT JOIN seen AS s ON s.v = w.v AND {} ORDER BY w.n",
        spelt.join(", "),
        names.join(", "),
        arrays.join(", "),
        raw.join(", "),
        same.join(" AND ")
    )
}
