//! A page of the records of one collection, in the order of their keys.

use std::ops::Bound;

use quietus_contract::{
    Failure, Page, Reading, Scalar, ScannedRow, Secret, key_columns, time_of_number, time_of_text,
};
use quietus_core::system::{ColumnOr, Manifest};

use crate::rows::{Fields, Key, Rows, value};

pub(crate) fn page(
    rows: &Rows,
    manifest: &Manifest,
    reading: &Reading,
    now: Option<i64>,
) -> Result<Page, Failure> {
    let Some((_, collection)) = manifest.collection(&reading.dataset) else {
        let what = format!("{}: the manifest has no such collection", reading.dataset);
        return Err(Failure::fatal("missing_table", what));
    };
    let named = key_columns(collection);
    let from = match &reading.after {
        None => Bound::Unbounded,
        Some(after) => Bound::Excluded(cursor(after)?),
    };
    let is_new = |key: &Key, fields: &Fields| {
        reading
            .since
            .as_ref()
            .is_none_or(|s| time(key, fields, Some(&s.column)).is_some_and(|at| at >= s.from))
    };
    let mut page = Page { at: now, ..Page::default() };
    for (key, fields) in rows.after(&reading.dataset, from) {
        if page.rows.len() >= reading.limit.max(1) {
            page.next = page.rows.last().map(|row| text(&row.locator));
            return Ok(page);
        }
        if !is_new(key, fields) {
            continue;
        }
        if named.iter().any(|column| value(key, fields, column).is_none()) {
            page.nameless += 1;
            continue;
        }
        let secret = |column: Option<&String>| column.and_then(|c| value(key, fields, c)).map(Secret::new);
        page.rows.push(ScannedRow {
            locator: key.iter().map(|(c, v)| (c.clone(), Scalar::Text(Secret::new(v.as_str())))).collect(),
            subject: secret(collection.subject.as_ref().map(|s| &s.column)),
            item: secret(collection.item.as_ref()),
            process: secret(collection.process.as_ref()),
            jurisdiction: match &collection.jurisdiction {
                Some(ColumnOr::Column(column)) => value(key, fields, column).map(str::to_owned),
                Some(ColumnOr::Literal(_)) | None => None,
            },
            recorded_at: time(key, fields, collection.recorded_at.as_ref()),
            last_activity: time(key, fields, collection.last_activity.as_ref()),
        });
    }
    Ok(page)
}

fn time(key: &Key, fields: &Fields, column: Option<&String>) -> Option<i64> {
    let text = value(key, fields, column?)?;
    time_of_text(text).or_else(|| time_of_number(text.parse().ok()?))
}

fn text(locator: &quietus_contract::Locator) -> Secret {
    Secret::new(serde_json::to_string(&crate::rows::key(locator)).unwrap_or_default())
}

fn cursor(after: &Secret) -> Result<Key, Failure> {
    serde_json::from_str(after.reveal())
        .map_err(|_| Failure::fatal("internal", "this is no place where a page of this connector ended"))
}
