//! New values by category. Never inserts: a correction of a record that is gone is `Absent`.

use std::sync::Arc;

use quietus_contract::{Change, Gate, Permit, Target, TargetOutcome, Work};
use quietus_core::system::Collection;

use crate::PostgresConnector;
use crate::step::{Assignment, clearing, settable};
use crate::types::Table;

pub(crate) async fn correct(
    connector: &PostgresConnector,
    targets: &[Target],
    permit: &Permit,
    gate: Arc<dyn Gate>,
) -> Vec<TargetOutcome> {
    let is_ours = |target: &Target| matches!(target.work, Work::Correct(_));
    crate::erase::carry_out(connector, targets, permit, gate, is_ours).await
}

/// The columns that carry exactly the category of each change, and the values they get.
pub(crate) fn values(
    table: &Table,
    collection: &Collection,
    changes: &[Change],
) -> Result<Vec<Assignment>, String> {
    let mut wanted: Vec<Assignment> = Vec::new();
    for change in changes {
        let mut carriers = collection
            .fields
            .iter()
            .filter(|f| f.waived.is_none() && f.categories.contains(&change.category))
            .peekable();
        if carriers.peek().is_none() {
            return Err(format!("{}: no field carries exactly {}", table.shown, change.category));
        }
        for field in carriers {
            if !field.fields.is_empty() {
                return Err(format!(
                    "{}.{}: fields inside a column cannot be corrected",
                    table.shown, field.name
                ));
            }
            let assignment = match &change.value {
                Some(value) => {
                    settable(table, &field.name)?;
                    Assignment { column: field.name.clone(), value: Some(value.reveal().to_owned()) }
                }
                None => clearing(table, collection, &field.name)?,
            };
            match wanted.iter().find(|a| a.column == assignment.column) {
                Some(other) if other.value != assignment.value => {
                    return Err(format!(
                        "{}.{}: two changes give it different values",
                        table.shown, field.name
                    ));
                }
                Some(_) => {}
                None => wanted.push(assignment),
            }
        }
    }
    if wanted.is_empty() {
        return Err(format!("{}: a correction without changes", table.shown));
    }
    wanted.sort_by(|a, b| a.column.cmp(&b.column));
    Ok(wanted)
}
