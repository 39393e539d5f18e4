//! Identities of one person: joined into sets, and what concerns one member passed on to the others.
//!
//! Items never move. Each member's partition knows the whole set, because a set that grew is passed on to its members
//! until nobody learns anything. What is to be passed on stands in the state's outbox until it was delivered, so a crash
//! loses none of it; a receiver keeps the last number per sender, so a repeat changes nothing. An identity that two
//! persons claim, or a set beyond its limit, joins nobody to anything: requests about it wait for a person.

use std::collections::BTreeSet;

use crate::identity::SubjectKey;
use crate::item::Subject;
use crate::life::{ChangeRow, What};
use crate::record::{Change, ChangeKind, Changes, Forwarded, Record, RequestMoved};
use crate::request::Request;
use crate::time::Millis;

use super::Turn;
use super::decision::{Decision, Row};
use super::state::Letter;

/// `cause` of a passed-on `Linked` change: its first key claims this identity, the others are the claimant's.
const CLAIM: &str = "claim";
/// Its identities are claimed by others too: what joins by them is in doubt.
const DOUBT: &str = "doubt";
/// They are claimed by one person after all.
const CLEAR: &str = "clear";

/// Something was passed on to a member that lives here.
pub(super) fn forwarded(turn: &mut Turn<'_>, record: &Forwarded, body: Option<&Record>) {
    let known = turn.state.received.get(&record.from_partition).copied().unwrap_or(-1);
    if record.from_offset <= known {
        return turn.ignore("passed on before");
    }
    turn.rule(Decision::Received { from: record.from_partition, number: record.from_offset });
    turn.passed_on = true;
    match body {
        Some(Record::Changes(r)) => super::changes::changes(turn, r),
        Some(Record::RequestReceived(r)) => super::requests::received(turn, r),
        Some(Record::RequestMoved(r)) => super::requests::moved(turn, r),
        _ => turn.ignore("passed on, and not understood"),
    }
}

/// Somebody says that these identities are one person's.
pub(super) fn linked(turn: &mut Turn<'_>, change: &Change, subject: SubjectKey) {
    let named = change.linked.as_deref().unwrap_or_default().chunks_exact(16);
    let named: Vec<SubjectKey> = named.filter_map(SubjectKey::from_slice).filter(|k| *k != subject).collect();
    let said: BTreeSet<SubjectKey> = named.iter().copied().collect();
    match change.cause.as_deref().filter(|_| turn.passed_on) {
        Some(DOUBT) => doubt(turn, subject, &said, true),
        Some(CLEAR) => doubt(turn, subject, &said, false),
        Some(CLAIM) => {
            if let Some(claimant) = named.first().copied() {
                claimed(turn, subject, claimant, &said);
            }
        }
        _ => {
            // What a source says is a claim on each of those it names; what was passed on is news of the set.
            let claims: &[SubjectKey] = if turn.passed_on { &[] } else { &named };
            join(turn, subject, &said, claims);
        }
    }
}

/// A claim on an identity of this partition; one that others hold who are not known to be the claimant joins nobody.
fn claimed(turn: &mut Turn<'_>, subject: SubjectKey, claimant: SubjectKey, said: &BTreeSet<SubjectKey>) {
    let before = turn.state.claims.get(&subject).cloned().unwrap_or_default();
    turn.rule(Decision::Claimed { subject, by: claimant });
    let known = turn.members(subject);
    let same = known.contains(&claimant) || before.iter().any(|c| said.contains(c) || *c == claimant);
    if before.is_empty() || same {
        return join(turn, subject, said, &[]);
    }
    turn.rule(Decision::Contested { subject, contested: true });
    let everybody: BTreeSet<SubjectKey> = known.into_iter().chain(said.iter().copied()).collect();
    everybody.into_iter().for_each(|to| pass_on_link(turn, to, &[subject], Some(DOUBT)));
}

/// The set grows by what was said; everybody in it learns the whole.
fn join(turn: &mut Turn<'_>, subject: SubjectKey, said: &BTreeSet<SubjectKey>, claims: &[SubjectKey]) {
    let known: BTreeSet<SubjectKey> = turn.members(subject).into_iter().collect();
    let new: Vec<SubjectKey> = said.difference(&known).copied().collect();
    for also in &new {
        turn.write(Row::Change(ChangeRow { subject, what: What::Linked { also: *also } }));
        turn.rule(Decision::Linked { subject, also: *also });
    }
    let members = turn.members(subject);
    let one = turn.state.claims.get(&subject).is_some_and(|by| by.iter().all(|c| members.contains(c)));
    if one && turn.state.contested.contains(&subject) {
        turn.rule(Decision::Contested { subject, contested: false });
        members.iter().for_each(|to| pass_on_link(turn, *to, &[subject], Some(CLEAR)));
    }
    for to in &members {
        let claims = claims.contains(to);
        if new.is_empty() && !claims {
            continue;
        }
        let rest = members.iter().filter(|m| *m != to).copied();
        let others: Vec<SubjectKey> = std::iter::once(subject).chain(rest).collect();
        pass_on_link(turn, *to, &others, claims.then_some(CLAIM));
    }
    catch_up(turn, subject, &new);
}

fn doubt(turn: &mut Turn<'_>, subject: SubjectKey, about: &BTreeSet<SubjectKey>, doubted: bool) {
    let mut all = turn.state.doubts.get(&subject).cloned().unwrap_or_default();
    match doubted {
        true => all.extend(about),
        false => all.retain(|key| !about.contains(key)),
    }
    turn.rule(Decision::Doubted { subject, about: all });
}

fn pass_on_link(turn: &mut Turn<'_>, to: SubjectKey, others: &[SubjectKey], cause: Option<&str>) {
    let linked = Some(others.iter().flat_map(|key| key.0).collect());
    let cause = cause.map(str::to_owned);
    let change = Change { linked, cause, ..Change::new(ChangeKind::Linked, turn.state.now.0) };
    pass_on(turn, to, to, changes(to, vec![change]));
}

/// What is open, and what had ended or happened, holds for those who are known only now.
fn catch_up(turn: &mut Turn<'_>, subject: SubjectKey, new: &[SubjectKey]) {
    let about = turn.subject(subject);
    let past = past(&about);
    let open = turn.state.requests.values().filter(|r| r.members.contains(&subject));
    let open = open.filter(|r| !r.cancelled && r.waits.is_none() && turn.state.now < r.due);
    let open: Vec<Request> = open.cloned().collect();
    for to in new {
        if !past.is_empty() {
            pass_on(turn, subject, *to, changes(*to, past.clone()));
        }
        for request in &open {
            pass_on(turn, request.subject, *to, Record::RequestReceived(request.asked_of(*to)));
        }
    }
}

/// What is known of a person beyond items, as changes.
fn past(subject: &Subject) -> Vec<Change> {
    let named = |kind: ChangeKind, name: &String, at: &Millis| Change {
        name: Some(name.clone()),
        ..Change::new(kind, at.0)
    };
    let consent = &subject.consent;
    let kinds = [
        (ChangeKind::Granted, &consent.granted),
        (ChangeKind::Withdrawn, &consent.withdrawn),
        (ChangeKind::Ended, &consent.ended),
        (ChangeKind::Event, &subject.events),
    ];
    let all = kinds.iter().flat_map(|(kind, map)| map.iter().map(|(name, at)| named(*kind, name, at)));
    all.collect()
}

fn changes(to: SubjectKey, rows: Vec<Change>) -> Record {
    let rows = rows.into_iter().map(|row| Change { subject: Some(to.0.to_vec()), ..row }).collect();
    Record::Changes(Changes { source: "links".into(), rows, ..Changes::default() })
}

/// A change of the person, not of one item or process, holds for every member.
fn concerns_all(change: &Change) -> bool {
    let kind = match change.kind {
        ChangeKind::Granted | ChangeKind::Withdrawn | ChangeKind::Ended => true,
        ChangeKind::Event | ChangeKind::Active => true,
        ChangeKind::Touched | ChangeKind::Corrected | ChangeKind::Copied | ChangeKind::Gone => false,
        ChangeKind::Linked | ChangeKind::Activity => false,
    };
    kind && change.item.is_none() && change.process.is_none()
}

pub(super) fn change_for_all(turn: &mut Turn<'_>, change: &Change, subject: SubjectKey) {
    if turn.passed_on || !concerns_all(change) {
        return;
    }
    let doubted = turn.state.doubts.get(&subject).cloned().unwrap_or_default();
    for to in turn.members(subject).into_iter().filter(|to| !doubted.contains(to)) {
        pass_on(turn, subject, to, changes(to, vec![change.clone()]));
    }
}

pub(super) fn request_for_all(turn: &mut Turn<'_>, request: &Request) {
    if turn.passed_on {
        return;
    }
    for to in turn.members(request.subject) {
        pass_on(turn, request.subject, to, Record::RequestReceived(request.asked_of(to)));
    }
}

pub(super) fn move_for_all(turn: &mut Turn<'_>, moved: &RequestMoved, subject: SubjectKey) {
    if turn.passed_on {
        return;
    }
    for to in turn.members(subject) {
        let moved = RequestMoved { subject: to.0.to_vec(), ..moved.clone() };
        pass_on(turn, subject, to, Record::RequestMoved(moved));
    }
}

/// `from` is whose key seals what is sealed in it.
fn pass_on(turn: &mut Turn<'_>, from: SubjectKey, to: SubjectKey, record: Record) {
    let number = turn.state.passed_on + 1;
    turn.rule(Decision::PassedOn { number, letter: Box::new(Letter { from, to, record }) });
}

/// Why requests about this identity wait for a person; None = they do not.
pub(super) fn unclear(turn: &Turn<'_>, subject: SubjectKey) -> Option<&'static str> {
    let state = &turn.state;
    if state.contested.contains(&subject) || state.doubts.contains_key(&subject) {
        return Some("claimed_by_two");
    }
    let limit = usize::try_from(state.control.max_linked()).unwrap_or(usize::MAX);
    (turn.members(subject).len() + 1 > limit).then_some("too_many_linked")
}
