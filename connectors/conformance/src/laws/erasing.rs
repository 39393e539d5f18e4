//! Laws on which records go, and when.

use std::collections::BTreeMap;
use std::time::Duration;

use quietus_contract::{CommandId, Outcome, Target, Work};

use crate::fixture::{NOWHERE, Row, correction, letter, mask, order, person};
use crate::gate::{Watch, permit_for};
use crate::harness::Harness;
use crate::trial::{Flaw, Held, Trial, ensure, is_success, needs, said, word};

pub(super) async fn every_target_is_answered(harness: &dyn Harness) -> Held {
    let rows = [letter("a", "c1"), letter("b", "c1")];
    let trial = Trial::on(harness, &rows).await?;
    let nowhere = Row { dataset: NOWHERE.into(), ..letter("x", "c1") };
    let targets = [
        rows[0].target(1, Work::Delete),
        letter("absent", "c1").target(2, Work::Delete),
        Target { locator: rows[0].locator(), ..nowhere.target(3, Work::Delete) },
        rows[1].target(4, Work::Delete),
    ];
    let answers = trial.send(&targets).await;
    let mut counts: BTreeMap<CommandId, usize> = targets.iter().map(|t| (t.command, 0)).collect();
    for answer in &answers {
        match counts.get_mut(&answer.command) {
            Some(count) => *count += 1,
            None => return Err(Flaw::Broken("a command was answered that was never sent".into())),
        }
    }
    for (n, count) in counts.values().enumerate() {
        ensure(*count == 1, format!("target {} of 4 has {count} outcomes", n + 1))?;
    }
    let backs = trial.connector.verify(&trial.aimed(&targets)).await;
    ensure(backs.len() == targets.len(), format!("4 targets, {} read-backs", backs.len()))
}

pub(super) async fn erased_is_gone(harness: &dyn Harness) -> Held {
    let rows = [person(1), letter("a", "c1"), order("s", 1, 1)];
    let trial = Trial::on(harness, &rows).await?;
    erases(&trial)?;
    // One copy may lie under several names.
    let derived = trial.connector.describe().derived;
    for (n, row) in [(1, &rows[2]), (2, &rows[1]), (3, &rows[0])] {
        let outcome = trial.outcome(&row.target(n, Work::Delete)).await;
        let right = match outcome {
            Some(Outcome::Removed(n)) => n == 1 || (derived && n > 1),
            _ => false,
        };
        ensure(
            right,
            format!("{}: a record that was there is answered {}", row.dataset, word(outcome.as_ref())),
        )?;
        ensure(trial.row(row).await?.is_none(), format!("{}: answered removed, still there", row.dataset))?;
    }
    Ok(())
}

pub(super) async fn absent_is_told(harness: &dyn Harness) -> Held {
    let trial = Trial::on(harness, &[letter("a", "c1")]).await?;
    erases(&trial)?;
    let absent = letter("b", "c1");
    let can = trial.connector.describe();
    needs(!can.outside, "somebody outside does not say what was there")?;
    let mut works = vec![(1, Work::Delete)];
    if can.mask {
        works.push((2, mask(&["user.content"])));
    }
    for (n, work) in works {
        let outcome = trial.outcome(&absent.target(n, work)).await;
        let seen = word(outcome.as_ref());
        ensure(
            outcome == Some(Outcome::Absent),
            format!("a record that was never there is answered {seen}"),
        )?;
    }
    Ok(())
}

pub(super) async fn gate_is_asked(harness: &dyn Harness) -> Held {
    let rows = [letter("a", "c1"), letter("b", "c1"), letter("c", "c1"), letter("d", "c1")];
    let trial = Trial::on(harness, &rows).await?;
    erases(&trial)?;
    let capabilities = trial.connector.describe();
    let mut stopped = vec![rows[0].target(1, Work::Delete)];
    if capabilities.mask {
        stopped.push(rows[1].target(2, mask(&["user.content"])));
    }
    if capabilities.correct {
        stopped.push(rows[2].target(3, correction("user.content", Some("corrected"))));
    }
    let free = rows[3].target(4, Work::Delete);
    let commands: Vec<CommandId> = stopped.iter().map(|t| t.command).collect();
    let gate = Watch::stopping(&commands);
    let mut targets = stopped.clone();
    targets.push(free.clone());
    let answers = trial.send_through(&targets, gate.clone()).await;
    for target in &stopped {
        let row = rows.iter().find(|r| r.locator() == target.locator);
        let row = row.ok_or_else(|| "the law names a row it did not put".to_owned())?;
        ensure(
            trial.row(row).await?.as_ref() == Some(row),
            "a record was changed that the gate had stopped",
        )?;
        let outcome = said(&answers, target.command);
        ensure(
            matches!(outcome, None | Some(Outcome::Blocked { .. })),
            format!("what the gate stopped is answered {}", word(outcome)),
        )?;
    }
    let went = trial.row(&rows[3]).await?.is_none();
    ensure(!went || gate.was_asked(free.command), "a record went and the gate was never asked about it")
}

pub(super) async fn lease_is_kept(harness: &dyn Harness) -> Held {
    let rows = [letter("a", "c1"), letter("b", "c1")];
    let trial = Trial::on(harness, &rows).await?;
    erases(&trial)?;
    let delete = [rows[0].target(1, Work::Delete)];
    let correct = [rows[1].target(2, correction("user.content", None))];
    trial.erase_within(Duration::ZERO, &delete, Watch::open()).await;
    trial.connector.correct(&trial.aimed(&correct), &permit_for(Duration::ZERO), Watch::open()).await;
    ensure(
        trial.rows().await? == rows,
        "something was changed by a permit that had run out before the call",
    )?;
    let delete = [rows[0].target(3, Work::Delete)];
    let gate = Watch::slow(Duration::from_millis(200));
    trial.erase_within(Duration::from_millis(80), &delete, gate).await;
    ensure(
        trial.rows().await? == rows,
        "something was changed by a permit that ran out while the gate was asked",
    )
}

pub(super) async fn only_the_target(harness: &dyn Harness) -> Held {
    let rows = [
        person(-7),
        person(7),
        person(70),
        letter("ann", "c1"),
        letter("Ann", "c1"),
        letter(" ann", "c1"),
        letter("ann ", "c1"),
        letter("anne", "c1"),
        order("s", 1, 70),
        order("s", 2, 70),
        order("S", 1, 70),
        order("t", 1, 70),
    ];
    let trial = Trial::on(harness, &rows).await?;
    erases(&trial)?;
    let named = [&rows[1], &rows[3], &rows[8]];
    let targets: Vec<Target> = (1..).zip(named).map(|(n, row)| row.target(n, Work::Delete)).collect();
    trial.send(&targets).await;
    let left = trial.rows().await?;
    for row in rows.iter().filter(|r| !named.contains(r)) {
        ensure(left.contains(row), format!("a record of {} went that no target named", row.dataset))?;
    }
    Ok(())
}

pub(super) async fn repeat_changes_nothing(harness: &dyn Harness) -> Held {
    let rows =
        [letter("a", "c1"), letter("b", "c1"), letter("c", "c1"), letter("d", "c1"), letter("e", "c1")];
    let trial = Trial::on(harness, &rows).await?;
    erases(&trial)?;
    let mut targets = vec![rows[0].target(1, Work::Delete), rows[1].target(2, mask(&["user.content"]))];
    if trial.connector.describe().correct {
        targets.push(rows[2].target(3, correction("user.content", Some("corrected"))));
    }
    trial.send(&targets).await;
    let once = trial.rows().await?;
    for target in &mut targets {
        target.attempt = 2;
    }
    trial.send(&targets).await;
    ensure(trial.rows().await? == once, "the second attempt of the same commands changed something")
}

pub(super) async fn children_go_first(harness: &dyn Harness) -> Held {
    if !harness.enforces_references() {
        return Err(Flaw::NotTried("the target does not enforce references".into()));
    }
    let rows = [person(1), person(2), order("s", 1, 1)];
    let trial = Trial::on(harness, &rows).await?;
    let targets: Vec<Target> = (1..).zip(&rows).map(|(n, row)| row.target(n, Work::Delete)).collect();
    let answers = trial.send(&targets).await;
    for target in &targets {
        let outcome = said(&answers, target.command);
        ensure(
            !matches!(outcome, Some(Outcome::Failed(_))),
            format!(
                "{} came with the record that refers to it, and is answered {}",
                target.dataset,
                word(outcome)
            ),
        )?;
    }
    Ok(())
}

pub(super) async fn one_harms_no_other(harness: &dyn Harness) -> Held {
    let rows = [person(1), letter("a", "c1"), order("s", 1, 1)];
    let trial = Trial::on(harness, &rows).await?;
    erases(&trial)?;
    let nowhere = Row { dataset: NOWHERE.into(), ..letter("x", "c1") };
    let mut misnamed = rows[1].target(4, Work::Delete);
    misnamed.locator = rows[0].locator();
    let targets = [
        Target { locator: rows[1].locator(), ..nowhere.target(1, Work::Delete) },
        // Another record refers to this one and is not among the targets.
        rows[0].target(2, Work::Delete),
        rows[1].target(3, Work::Delete),
        misnamed,
    ];
    let answers = trial.send(&targets).await;
    let good = said(&answers, targets[2].command);
    ensure(
        good.is_none() || is_success(good),
        format!("among others that cannot be done, a sound target is answered {}", word(good)),
    )?;
    for bad in [&targets[0], &targets[3]] {
        let outcome = said(&answers, bad.command);
        ensure(!is_success(outcome), format!("a target that names nothing is answered {}", word(outcome)))?;
    }
    Ok(())
}

fn erases(trial: &Trial<'_>) -> Held {
    needs(trial.connector.describe().erase, "it erases nothing")
}
