//! What a correction asks of a row: that the fields of a category hold another value. It never makes a row.

use quietus_contract::{Change, Outcome, Target, Work, fields_to_correct};
use quietus_core::system::{Collection, Manifest};
use rusqlite::types::Value;

use crate::erase::{cleared, fits, settable};
use crate::schema::{Schema, Table};
use crate::step::{Op, Place, Step};
use crate::value::typed_text;

pub(crate) fn plan<'a>(
    schema: &'a Schema,
    manifest: &'a Manifest,
    target: &Target,
) -> Result<Step<'a>, Outcome> {
    let Work::Correct(changes) = &target.work else {
        return Err(Outcome::Refused { reason: "an erasure was sent as a correction".into() });
    };
    let place = Place::of(schema, manifest, target)?;
    let set = values(place.collection, place.table, changes).map_err(|reason| Outcome::Refused { reason })?;
    Ok(place.step(target.command, Op::Set(set)))
}

/// Every field of these categories with its corrected value; a value that is taken back is cleared.
pub(crate) fn values(
    collection: &Collection,
    table: &Table,
    changes: &[Change],
) -> Result<Vec<(String, Value)>, String> {
    let mut set: Vec<(String, Value)> = Vec::new();
    for change in changes {
        for field in fields_to_correct(collection, &change.category)? {
            let column = settable(collection, table, &field.name)?;
            let value = match &change.value {
                None => cleared(table, column)?,
                Some(text) => {
                    typed_text(text.reveal(), column.affinity).filter(|v| fits(v, table, column)).ok_or_else(
                        || format!("the corrected value does not fit {}.{}", table.name, column.name),
                    )?
                }
            };
            match set.iter().find(|(name, _)| *name == field.name) {
                Some((_, other)) if *other != value => {
                    return Err(format!("two changes give {}.{} different values", table.name, field.name));
                }
                Some(_) => {}
                None => set.push((field.name.clone(), value)),
            }
        }
    }
    if set.is_empty() {
        return Err("no category was named".into());
    }
    set.sort_by(|(a, _), (b, _)| a.cmp(b));
    Ok(set)
}
