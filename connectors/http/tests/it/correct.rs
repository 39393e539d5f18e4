//! Corrections at a partner.

use quietus_contract::{Change, Connector, Finding, Outcome, Secret, Target, Work};
use quietus_core::system::{Call, CorrectCall, HoldsCall, HttpCalls, ReadBackCall};
use serde_json::json;

use crate::partner::{Partner, calls, poll, record, sorted};

/// The partner's search tells who is found and nothing of them: what was corrected is never shown as it was told.
fn correcting() -> HttpCalls {
    let body = Some(json!({"people": "{values}", "set": "{corrections}"}));
    let read_back = ReadBackCall {
        path: "/find".into(),
        body: Some(json!({"people": "{values}"})),
        absent: [("/found".to_owned(), json!([]))].into(),
    };
    let correct = CorrectCall {
        call: Call { method: "POST".into(), path: "/correct".into(), body, reference: Some("/job".into()) },
        read_back: Some(HoldsCall {
            call: read_back,
            holds: [("/found/0".to_owned(), "user.contact.email".to_owned())].into(),
        }),
    };
    HttpCalls { correct: Some(correct), ..calls() }
}

fn correction(n: u8, email: &str, category: &str, value: &str) -> Target {
    let change = Change { category: category.to_owned(), value: Some(Secret::new(value)) };
    Target { work: Work::Correct(vec![change]), ..record(n, email) }
}

async fn correct(partner: &Partner, targets: &[Target]) -> Vec<Outcome> {
    let permit = quietus_contract::Permit::issue(1, 1, [0; 32], std::time::Duration::from_secs(30));
    let gate = std::sync::Arc::new(crate::partner::Stops(Vec::new()));
    sorted(partner.with(correcting(), 500).correct(targets, &permit, gate).await)
}

#[tokio::test]
async fn only_what_the_partner_shows_as_it_was_told_is_changed() {
    let partner = Partner::open(&["ann@example.org"]).await;
    let connector = partner.with(correcting(), 500);
    let email = "user.contact.email";
    let targets = [
        correction(1, "ann@example.org", email, "ann@example.org"),
        correction(2, "ann@example.org", email, "ann@new.example"),
        correction(3, "bea@example.org", email, "bea@new.example"),
    ];
    let taken = correct(&partner, &targets).await;
    assert!(taken.iter().all(|o| matches!(o, Outcome::Accepted { .. })), "{taken:?}");
    let told = poll(&connector, &targets, &taken).await;
    assert_eq!(told[0], Outcome::Changed(1));
    assert!(matches!(&told[1], Outcome::Failed(f) if f.code == "conflict"), "{told:?}");
    assert_eq!(told[2], Outcome::Absent);
    let mut seen = connector.verify(&targets).await;
    seen.sort_by_key(|s| s.command);
    assert_eq!(seen[0].finding, Finding::Gone);
    assert!(matches!(seen[1].finding, Finding::Found { .. }));
    assert!(partner.seen("/correct").iter().all(|s| s.body.contains("\"set\":{\"user.contact.email\":")));
}

#[tokio::test]
async fn what_could_not_be_read_back_is_refused() {
    let partner = Partner::open(&["ann@example.org"]).await;
    let refused = correct(&partner, &[correction(1, "ann@example.org", "user.name", "Ann")]).await;
    assert!(
        matches!(&refused[0], Outcome::Refused { reason } if reason.contains("user.name")),
        "{refused:?}"
    );
    assert!(partner.seen("/correct").is_empty());
}
