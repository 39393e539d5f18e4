//! What is accepted, what is left over: answers that come late, and what ends by itself.

use super::world::{SHOP, World, copier};
use crate::engine::Noticed;
use crate::obligation::Stand;
use crate::record::{AnswerKind, FindingKind, Record, RequestReceived};
use crate::request::RequestState;
use crate::time::Millis;

fn partner(read_back: &str) -> String {
    format!(
        "system: crm\nkind: http\nmode: enforce\nconnection: {{url: \"http://127.0.0.1:1\"}}
copies_of: [{{system: shop-db}}]
http:
  identity: customer_id
  submit: {{method: POST, path: /x, body: {{people: \"{{values}}\"}}, ref: /job}}
  poll: {{path: \"/x/{{ref}}\", every: 1s, done: {{/state: [done]}}}}
  {read_back}
  deadline: 30d
"
    )
}

const READ_BACK: &str = "read_back: {path: /y, body: {people: \"{values}\"}, absent: {/found: []}}";

/// The shop's row is gone, the partner has accepted.
fn accepted(partner: String) -> World {
    let mut w = World::new(&[SHOP.to_owned(), partner]);
    w.recorded(1, 40);
    w.sweep();
    w.order();
    w.erases("shop-db");
    assert_eq!(w.order(), ["crm"]);
    w.says_more("crm", |a| (a.kind, a.reference) = (AnswerKind::Accepted, Some("job-1".into())));
    assert_eq!(w.stand("crm"), Some(Stand::Accepted));
    w
}

#[test]
fn a_partners_word_alone_executes_nothing_where_it_can_be_asked() {
    let mut w = accepted(partner(READ_BACK));
    w.later(3 * Millis::DAY);
    w.says("crm", AnswerKind::Removed);
    assert_eq!(w.stand("crm"), Some(Stand::Accepted));
    w.reads("crm", FindingKind::Found);
    assert_eq!(w.stand("crm"), Some(Stand::Failed));
    w.later(Millis::DAY);
    assert_eq!(w.order(), ["crm"]);
    w.says("crm", AnswerKind::Removed);
    assert_eq!(w.stand("crm"), Some(Stand::Ordered));
    w.reads("crm", FindingKind::Gone);
    assert_eq!(w.stand("crm"), Some(Stand::Verified));
}

#[test]
fn without_a_read_back_its_word_is_the_last_and_never_verified() {
    let mut w = World::new(&[SHOP.to_owned(), partner("")]);
    w.recorded(1, 1);
    let asked = w.asked("erase", 1);
    let request = asked.id.clone();
    w.step(Record::RequestReceived(RequestReceived { grounds: Some("unlawful".into()), ..asked }));
    w.order();
    w.erases("shop-db");
    w.order();
    let state = |w: &World| w.state.requests[&request].state(|id| w.state.duties.get(id));
    w.says_more("crm", |a| (a.kind, a.reference) = (AnswerKind::Accepted, Some("job-1".into())));
    assert_eq!(state(&w), RequestState::InProgress);
    w.says("crm", AnswerKind::Removed);
    w.reads("crm", FindingKind::Gone);
    assert_eq!((w.stand("crm"), state(&w)), (Some(Stand::Executed), RequestState::Fulfilled));
    assert!(w.duty("crm").unwrap().confirmed);
}

#[test]
fn past_its_deadline_it_is_told_and_tried_again_with_the_same_command() {
    let mut w = accepted(partner(READ_BACK));
    let command = w.duty("crm").unwrap().id;
    w.later(29 * Millis::DAY);
    assert_eq!(w.stand("crm"), Some(Stand::Accepted));
    w.later(2 * Millis::DAY);
    assert_eq!(w.stand("crm"), Some(Stand::Failed));
    assert!(w.noticed.iter().any(|n| matches!(n, Noticed::PastDeadline { .. })), "{:?}", w.noticed);
    w.later(Millis::DAY);
    assert_eq!(w.order(), ["crm"]);
    assert_eq!((w.duty("crm").unwrap().id, w.duty("crm").unwrap().attempt), (command, 2));
}

#[test]
fn a_residue_is_read_back_at_its_end_and_may_get_a_new_one() {
    let backup = copier("backup", "memory", "shop-db", "");
    let mut w = World::new(&[SHOP.to_owned(), backup]);
    w.recorded(1, 40);
    w.sweep();
    w.order();
    w.erases("shop-db");
    w.order();
    let until = w.state.now.plus(10 * Millis::DAY);
    w.says_more("backup", |a| {
        (a.kind, a.until, a.detail) = (AnswerKind::Residual, Some(until.0), Some("rotation".into()));
    });
    let duty = w.duty("backup").unwrap();
    assert_eq!((duty.stand, duty.residue.as_ref().unwrap().until), (Stand::Residual, Some(until)));
    assert_eq!((&duty.block, duty.not_before), (&None, Some(until)), "not looked at before");
    w.later(11 * Millis::DAY);
    w.reads("backup", FindingKind::Found);
    assert_eq!(w.stand("backup"), Some(Stand::Failed));
    w.later(60_000);
    assert_eq!(w.order(), ["backup"]);
    let later = w.state.now.plus(Millis::DAY);
    w.says_more("backup", |a| (a.kind, a.until) = (AnswerKind::Residual, Some(later.0)));
    w.later(2 * Millis::DAY);
    w.reads("backup", FindingKind::Gone);
    assert_eq!(w.stand("backup"), Some(Stand::Verified));
}

#[test]
fn what_cannot_be_erased_and_expires_is_a_residue_until_then() {
    let log = copier("log", "memory", "shop-db", "expires: 24h\n");
    let mut w = World::new(&[SHOP.to_owned(), log]);
    w.recorded(1, 40);
    w.sweep();
    w.order();
    w.erases("shop-db");
    w.order();
    w.says("log", AnswerKind::Refused);
    let residue = w.duty("log").unwrap().residue.clone().unwrap();
    assert_eq!(residue.until, Some(w.state.now.plus(Millis::DAY)));
}
