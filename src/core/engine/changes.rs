//! Changes: written blindly, but for those that may end, breach or revive something.

use crate::identity::{ItemId, ItemKey, ProcessKey, SubjectKey};
use crate::life::{AddedCopy, ChangeRow, What};
use crate::obligation::{Cause, Place};
use crate::record::{Change, ChangeKind, Changes};
use crate::time::Millis;

use super::decision::{Decision, Noticed, Row};
use super::facts::{above_marks, gone, owe};
use super::{Turn, corrections, links};

pub(super) fn changes(turn: &mut Turn<'_>, record: &Changes) {
    if !above_marks(turn, &record.source, record.source_generation, &record.marks) {
        return turn.ignore("source offsets taken in before");
    }
    record.rows.iter().for_each(|row| change(turn, row));
}

fn change(turn: &mut Turn<'_>, change: &Change) {
    let item = change.item.as_deref().and_then(ItemKey::from_slice);
    let Some(subject) = change.subject.as_deref().and_then(SubjectKey::from_slice) else {
        return orphan(turn, change, item);
    };
    let id = item.map(|item| ItemId { subject, item });
    let at = Millis(change.at);
    let name = || change.name.clone().unwrap_or_default();
    let what = match (change.kind, id) {
        (ChangeKind::Touched, Some(id)) => What::Touched { id, at },
        (ChangeKind::Active, _) | (ChangeKind::Activity, _) => What::Active { at },
        (ChangeKind::Granted, Some(id)) => What::ItemGranted { id, purpose: name(), at },
        (ChangeKind::Granted, None) => What::Granted { purpose: name(), at },
        (ChangeKind::Withdrawn, Some(id)) => What::ItemWithdrawn { id, purpose: name(), at },
        (ChangeKind::Withdrawn, None) => What::Withdrawn { purpose: name(), at },
        (ChangeKind::Ended, _) => What::Ended { purpose: name(), at },
        (ChangeKind::Event, _) => event(turn, change, id, at),
        (ChangeKind::Copied, Some(id)) => return copied(turn, change, id),
        (ChangeKind::Gone, Some(id)) => {
            return match turn.found.lives.get(&id).and_then(|l| l.newest()).cloned() {
                Some(life) => gone(turn, &life, change.system.as_deref(), change.dataset.as_deref(), at),
                None => turn.ignore("gone, and never known"),
            };
        }
        (ChangeKind::Linked, _) => return links::linked(turn, change, subject),
        (ChangeKind::Corrected, Some(id)) => return corrections::told(turn, change, id),
        (ChangeKind::Touched | ChangeKind::Corrected | ChangeKind::Copied | ChangeKind::Gone, None) => {
            return turn.ignore("a change of no item");
        }
    };
    turn.write(Row::Change(ChangeRow { subject, what }));
    links::change_for_all(turn, change, subject);
}

fn event(turn: &mut Turn<'_>, change: &Change, item: Option<ItemId>, at: Millis) -> What {
    let event = change.name.clone().unwrap_or_default();
    let declared = turn.state.control.policy.as_ref().is_some_and(|p| {
        let undoes = |e: &crate::policy::EventDecl| e.undone_by.as_deref() == Some(event.as_str());
        p.policy.events.contains_key(&event) || p.policy.events.values().any(undoes)
    });
    if !declared {
        turn.rule(Decision::Noticed(Noticed::Undeclared { event: event.clone() }));
    }
    let process = change.process.as_deref().and_then(ProcessKey::from_slice);
    match (item, process) {
        (Some(id), _) => What::ItemEvent { id, event, at },
        (None, Some(process)) => What::ProcessEvent { process, event, at },
        (None, None) => What::SubjectEvent { event, at },
    }
}

/// A source that knows the item only (a delete with a bare key): offered to every partition.
fn orphan(turn: &mut Turn<'_>, change: &Change, item: Option<ItemKey>) {
    let (Some(item), ChangeKind::Gone) = (item, change.kind) else {
        return turn.ignore("a change of nobody");
    };
    let lives = turn.found.lives.values().filter_map(|l| l.newest()).filter(|l| l.item.id.item == item);
    for life in lives.cloned().collect::<Vec<_>>() {
        gone(turn, &life, change.system.as_deref(), change.dataset.as_deref(), Millis(change.at));
    }
}

fn copied(turn: &mut Turn<'_>, change: &Change, id: ItemId) {
    let ended = turn.found.lives.get(&id).and_then(|l| l.newest()).filter(|l| l.is_ended()).cloned();
    for named in &change.copies {
        let place = Place {
            system: named.system.as_str().into(),
            dataset: named.dataset.as_str().into(),
            cell: named.cell.clone(),
        };
        let copy = AddedCopy {
            place: place.clone(),
            purposes: named.purposes.clone(),
            disclosure: named.disclosure.clone(),
        };
        turn.write(Row::Change(ChangeRow { subject: id.subject, what: What::Copied { id, copy } }));
        if let Some(life) = ended.as_ref().filter(|l| l.copy_at(&place).is_none()) {
            let what = What::Late { id, generation: life.item.generation, place: place.clone() };
            turn.write(Row::Change(ChangeRow { subject: id.subject, what }));
            turn.rule(Decision::Noticed(Noticed::Late { item: id, place }));
        }
    }
    if ended.is_some() {
        owe(turn, id, &Cause::LateCopy);
    }
}
