//! What must be looked up before a record can be decided.

use std::collections::BTreeSet;

use crate::hold::Scope;
use crate::identity::{ItemId, ItemKey, SubjectKey};
use crate::obligation::ObligationId;
use crate::record::{Change, ChangeKind, Facts, Record};

use super::reapply::undone;
use super::{Input, State};

/// Values for the shell to fetch; with an item comes its subject.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Needs {
    pub items: BTreeSet<ItemId>,
    /// Most likely new: only with one that is known comes its subject.
    pub news: BTreeSet<ItemId>,
    /// With all their items.
    pub subjects: BTreeSet<SubjectKey>,
    /// Items known by their own key only.
    pub orphans: BTreeSet<ItemKey>,
    /// All there is: see [`super::begin`].
    pub everything: bool,
    /// Of a subject also what their other items say of activity: some date depends on it.
    pub activity: bool,
}

pub fn needs(state: &State, input: &Input<'_>) -> Needs {
    let mut needs = Needs { activity: state.control.asks_of_persons(), ..Needs::default() };
    match input.record {
        Record::Facts(r) => {
            // Twice in one record: the second row is judged with its subject.
            needs.items = repeated(r);
            needs.news = r.ids().collect();
        }
        Record::Changes(r) => r.rows.iter().for_each(|c| change(&mut needs, c)),
        Record::Ordered(r) => {
            duties(state, &mut needs, r.orders.iter().map(|o| o.obligation.as_slice()));
            if state.control.knows_people_only(&r.system) {
                needs.subjects = needs.items.iter().map(|id| id.subject).collect();
            }
        }
        Record::Confirmed(r) => duties(state, &mut needs, r.answers.iter().map(|a| a.obligation.as_slice())),
        Record::ReadBack(r) => {
            duties(state, &mut needs, r.seen.iter().map(|s| s.obligation.as_slice()));
            // Other rows of the subject are explained by its other items.
            let others = r.seen.iter().filter(|s| s.identity_rows.is_some_and(|n| n > 0));
            let known = others.filter_map(|s| state.duties.get(ObligationId::from_slice(&s.obligation)?));
            needs.subjects.extend(known.filter(|d| d.absent).map(|d| d.item.subject));
        }
        Record::RequestReceived(r) => needs.subjects.extend(SubjectKey::from_slice(&r.subject)),
        Record::RequestMoved(r) => {
            needs.subjects.extend(SubjectKey::from_slice(&r.subject));
            needs
                .subjects
                .extend(state.requests.get(&r.id).into_iter().flat_map(|r| r.members.iter().copied()));
        }
        Record::Forwarded(_) => {
            if let Some(record) = &input.control {
                return needs_of(state, input, record);
            }
        }
        Record::ControlCopy(_) => match &input.control {
            Some(Record::SweepOrdered(_) | Record::EvidenceEnded(_)) => needs.everything = true,
            Some(Record::HoldPlaced(r)) => {
                let scope = serde_json::from_str(&r.scope).ok().map(|scope| with_linked(state, scope));
                match scope.as_ref().map(Scope::only_subjects) {
                    Some(Some(subjects)) => needs.subjects.extend(subjects),
                    Some(None) => needs.everything = true,
                    None => {}
                }
            }
            Some(Record::ReapplyOrdered(r)) => needs.items.extend(undone(state, r).map(|d| d.item)),
            Some(Record::SystemMode(_)) => {
                needs.items.extend(state.duties.standing(crate::obligation::Stand::Observed).map(|d| d.item));
            }
            _ => {}
        },
        Record::OwnerStarted(_) | Record::Tick(_) | Record::SourceAt(_) | Record::Delivered(_) => {}
        Record::NewsTold(_) => {}
        Record::DeadLettered(_) | Record::DeadLetterClosed(_) => {}
        Record::PolicyStored(_)
        | Record::PolicyPublished(_)
        | Record::SystemPut(_)
        | Record::SystemMode(_)
        | Record::SystemRetired(_)
        | Record::SourcePut(_)
        | Record::HoldPlaced(_)
        | Record::HoldReleased(_)
        | Record::HoldEffective(_)
        | Record::SweepOrdered(_)
        | Record::SweepAwaiting(_)
        | Record::SweepClosed(_)
        | Record::SweepSwitch(_)
        | Record::ClockAccepted(_)
        | Record::Acknowledged(_)
        | Record::LinkLimit(_)
        | Record::NewsSwitch(_)
        | Record::ReapplyOrdered(_)
        | Record::EvidenceEnded(_) => {}
    }
    needs
}

/// What was passed on needs what it would need where it came from.
fn needs_of(state: &State, input: &Input<'_>, record: &Record) -> Needs {
    match record {
        Record::Forwarded(_) | Record::ControlCopy(_) => Needs::default(),
        record => needs(state, &Input { offset: input.offset, trace: None, record, control: None }),
    }
}

/// A hold on a person is one on every identity of theirs; here may be known only whose this one is, or only its others.
fn with_linked(state: &State, scope: Scope) -> Scope {
    let named = |key: &SubjectKey| scope.subjects.contains(&key.0);
    let linked = state.control.links.iter().flat_map(|(key, also)| {
        let also_named = also.iter().any(&named);
        let here = also_named.then_some(*key);
        let others = also.iter().copied().filter(move |_| also_named || named(key));
        here.into_iter().chain(others)
    });
    let more: Vec<[u8; 16]> = linked.map(|SubjectKey(key)| key).collect();
    let mut scope = scope;
    scope.subjects.extend(more);
    scope
}

/// Items that more than one row is about.
pub(super) fn repeated(record: &Facts) -> BTreeSet<ItemId> {
    // Rarely any: told by parts of the keys, which are hashes.
    let head = |id: ItemId| id.item.0.first_chunk().map_or(0, |head| u64::from_le_bytes(*head));
    let mut heads: Vec<u64> = record.ids().map(head).collect();
    heads.sort_unstable();
    if heads.is_sorted_by(|a, b| a < b) {
        return BTreeSet::new();
    }
    let mut ids: Vec<ItemId> = record.ids().collect();
    ids.sort_unstable();
    let same = ids.chunk_by(|a, b| a == b).filter(|same| same.len() > 1);
    same.filter_map(|same| same.first()).copied().collect()
}

fn change(needs: &mut Needs, change: &Change) {
    let item = change.item.as_deref().and_then(ItemKey::from_slice);
    let subject = change.subject.as_deref().and_then(SubjectKey::from_slice);
    match (subject, item, change.kind) {
        (None, Some(item), _) => {
            needs.orphans.insert(item);
        }
        // Only what may end, breach or revive something must be seen first; the rest is written blindly.
        (Some(subject), Some(item), ChangeKind::Gone | ChangeKind::Copied | ChangeKind::Corrected) => {
            needs.items.insert(ItemId { subject, item });
        }
        (Some(subject), _, ChangeKind::Linked) => {
            needs.subjects.insert(subject);
        }
        _ => {}
    }
}

fn duties<'a>(state: &State, needs: &mut Needs, ids: impl Iterator<Item = &'a [u8]>) {
    let known = ids.filter_map(ObligationId::from_slice).filter_map(|id| state.duties.get(id));
    needs.items.extend(known.map(|d| d.item));
}
