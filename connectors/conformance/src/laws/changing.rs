//! Laws on changes in place: masks and corrections.

use quietus_contract::Outcome;
use quietus_core::verdict::Action;

use crate::fixture::{MASK, change, correction, letter, mask, person};
use crate::harness::Harness;
use crate::trial::{Held, Trial, ensure, needs, word};

pub(super) async fn mask_is_whole(harness: &dyn Harness) -> Held {
    let trial = Trial::on(harness, &[person(1)]).await?;
    masks(&trial)?;
    let outcome = trial.outcome(&person(1).target(1, mask(&["user.name", "user.contact.email"]))).await;
    let seen = word(outcome.as_ref());
    ensure(
        matches!(outcome, Some(Outcome::Changed(1))),
        format!("a mask of two categories is answered {seen}"),
    )?;
    let row = trial.row(&person(1)).await?.ok_or_else(|| "a mask took the record away".to_owned())?;
    ensure(row.get("name").is_none(), "a field without a mask of its own is not NULL")?;
    ensure(row.get("email") == Some(MASK), "a field does not hold its mask")
}

pub(super) async fn mask_is_narrow(harness: &dyn Harness) -> Held {
    let rows = [person(1), person(2)];
    let trial = Trial::on(harness, &rows).await?;
    masks(&trial)?;
    trial.outcome(&rows[0].target(1, mask(&["user.name"]))).await;
    let left = trial.rows().await?;
    ensure(left.contains(&rows[1]), "another record was changed")?;
    let named = [rows[0].clone(), rows[0].with("name", None)];
    ensure(left.iter().any(|r| named.contains(r)), "fields of other categories were changed along")
}

pub(super) async fn unchanged_is_told(harness: &dyn Harness) -> Held {
    let (bare, named) = (letter("a", "c1").with("select", None), person(1).with("name", Some("Ann")));
    let trial = Trial::on(harness, &[named.clone(), bare.clone()]).await?;
    let can = trial.connector.describe();
    let sets = can.correct && !can.derived && !can.outside;
    needs(can.mask || sets, "it sets no values whose old ones it could compare")?;
    let mut targets = Vec::new();
    if can.mask {
        targets.push(bare.target(1, mask(&["user.content"])));
    }
    if sets {
        targets.push(named.target(2, correction("user.name", Some("Ann"))));
    }
    for target in targets {
        let outcome = trial.outcome(&target).await;
        let seen = word(outcome.as_ref());
        let told = matches!(outcome, Some(Outcome::Unchanged { .. }));
        ensure(told, format!("a record that already held the value is answered {seen}"))?;
    }
    Ok(())
}

pub(super) async fn corrected_is_set(harness: &dyn Harness) -> Held {
    let trial = Trial::on(harness, &[person(1), person(2)]).await?;
    corrects(&trial)?;
    let derived = trial.connector.describe().derived;
    let value = "O'Brien \"née\" Ünal; -- %s \\ ";
    for (n, category, column, wanted) in
        [(1, "user.name", "name", Some(value)), (2, "user.contact.phone_number", "phone", None)]
    {
        trial.put(&person(1)).await?;
        let outcome = trial.outcome(&person(1).target(n, correction(category, wanted))).await;
        let seen = word(outcome.as_ref());
        let row = trial.row(&person(1)).await?;
        if derived && matches!(outcome, Some(Outcome::Removed(_))) {
            ensure(row.is_none(), "answered removed, and the stale copy is still there")?;
            continue;
        }
        ensure(matches!(outcome, Some(Outcome::Changed(1))), format!("a correction is answered {seen}"))?;
        let holds = row.as_ref().is_some_and(|r| r.get(column) == wanted);
        ensure(holds, "answered changed, and the field does not hold the corrected value")?;
    }
    Ok(())
}

pub(super) async fn correct_never_inserts(harness: &dyn Harness) -> Held {
    let rows = [person(1)];
    let trial = Trial::on(harness, &rows).await?;
    corrects(&trial)?;
    let outcome = trial.outcome(&person(2).target(1, correction("user.name", Some("Ann")))).await;
    ensure(trial.rows().await? == rows, "a correction of a record that is not there changed the target")?;
    let seen = word(outcome.as_ref());
    ensure(outcome == Some(Outcome::Absent), format!("a record that was never there is answered {seen}"))
}

pub(super) async fn refuses_what_it_cannot(harness: &dyn Harness) -> Held {
    let rows = [letter("a", "c1")];
    let trial = Trial::on(harness, &rows).await?;
    let can = trial.connector.describe();
    needs(!can.residual, "it executes no erasure and refuses none")?;
    let actions = [
        (can.mask, Action::Mask),
        (can.anonymise, Action::Anonymise),
        (can.pseudonymise, Action::Pseudonymise),
        (can.restrict, Action::Restrict),
    ];
    let cannot: Vec<Action> = actions.into_iter().filter(|(can, _)| !can).map(|(_, action)| action).collect();
    if cannot.is_empty() {
        return needs(false, "there is nothing that it cannot execute");
    }
    for (n, action) in (1..).zip(cannot) {
        let outcome = trial.outcome(&rows[0].target(n, change(action, &["user.content"]))).await;
        let seen = word(outcome.as_ref());
        ensure(
            matches!(outcome, Some(Outcome::Refused { .. })),
            format!("{action:?}, which the connector cannot do, is answered {seen}"),
        )?;
        ensure(
            trial.rows().await? == rows,
            format!("{action:?}, which the connector cannot do, changed something"),
        )?;
    }
    Ok(())
}

fn masks(trial: &Trial<'_>) -> Held {
    needs(trial.connector.describe().mask, "it does not mask")
}

fn corrects(trial: &Trial<'_>) -> Held {
    needs(trial.connector.describe().correct, "it does not correct")
}
