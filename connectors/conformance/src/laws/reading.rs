//! Laws on reading: the read-back and the check.

use std::collections::BTreeSet;

use quietus_contract::{Finding, Locator, Reading, Scalar, Target, Work};

use crate::fixture::{LETTERS, MASK, ORDERS, PEOPLE, Row, letter, mask, order, person};
use crate::harness::Harness;
use crate::trial::{Flaw, Held, Trial, ensure, needs};

pub(super) async fn verify_reads(harness: &dyn Harness) -> Held {
    let masked = person(1).with("name", None);
    let row = letter("a", "c1");
    let trial = Trial::on(harness, &[masked.clone(), row.clone()]).await?;
    reads_back(&trial)?;
    let target = row.target(1, Work::Delete);
    ensure(found(&trial, &target).await, "a record that was never erased is read back as gone")?;
    trial.outcome(&target).await;
    let gone = trial.row(&row).await?.is_none();
    ensure(found(&trial, &target).await != gone, "the read-back does not say what the erasure left")?;
    trial.put(&row).await?;
    ensure(found(&trial, &target).await, "a record that came back is read back as gone")?;
    if trial.connector.describe().mask {
        let target = masked.target(2, mask(&["user.name", "user.contact.email"]));
        ensure(found(&trial, &target).await, "a record masked by half is read back as gone")?;
        trial.put(&masked.with("email", Some(MASK))).await?;
        ensure(!found(&trial, &target).await, "a record masked as a whole is read back as found")?;
    }
    Ok(())
}

pub(super) async fn verify_by_identity(harness: &dyn Harness) -> Held {
    let trial = Trial::on(harness, &[letter(" ANN ", "c1"), letter("zoe", "c1")]).await?;
    reads_back(&trial)?;
    let can = trial.connector.describe();
    needs(!can.derived, "a derived copy is found by its name alone: it has no identity fields")?;
    needs(!can.by_identity, "an identity is all it finds records by: there is no key to spell otherwise")?;
    needs(!can.residual, "it finds no single record")?;
    needs(
        !can.outside,
        "an identity is all that somebody outside knows: there is no key to spell otherwise",
    )?;
    let other_spelling = letter("ann", "c1").target(1, Work::Delete);
    ensure(
        found(&trial, &other_spelling).await,
        "the record under another spelling of its key was not found",
    )?;
    let other_subject = letter("ann", "c2").target(2, Work::Delete);
    ensure(!found(&trial, &other_subject).await, "the record of another subject was taken for the target")?;
    let other_record = letter("bob", "c1").target(3, Work::Delete);
    ensure(!found(&trial, &other_record).await, "another record of the subject was taken for the target")
}

pub(super) async fn check_only_reads(harness: &dyn Harness) -> Held {
    let mut rows = vec![person(1), letter("a", "c1")];
    let trial = Trial::on(harness, &rows).await?;
    let targets: Vec<Target> = (1..).zip(&rows).map(|(n, r)| r.target(n, Work::Delete)).collect();
    let connector = &trial.connector;
    connector.describe();
    connector.check().await;
    connector.verify(&trial.aimed(&targets)).await;
    connector.poll(&[]).await;
    if let Err(failure) = connector.now().await {
        return Err(Flaw::Broken(format!("the target is there, and its clock is not: {}", failure.code)));
    }
    rows.sort();
    ensure(trial.rows().await? == rows, "a call that only reads changed the target")
}

pub(super) async fn scan_reads_once(harness: &dyn Harness) -> Held {
    let mut rows: Vec<Row> = (1..=5).map(person).collect();
    rows.extend(["a", "B", " a", "ä", "7", ""].map(|no| letter(no, "c1")));
    rows.extend([("north", 2), ("north", 10), ("south", 1), ("Süd", 2)].map(|(shop, no)| order(shop, no, 1)));
    let trial = Trial::on(harness, &rows).await?;
    if !trial.connector.describe().scan {
        return Err(Flaw::NotApplicable("it cannot be scanned".into()));
    }
    for dataset in [PEOPLE, LETTERS, ORDERS] {
        for limit in [1, 2, 100] {
            reads_once(&trial, &rows, dataset, limit).await?;
        }
    }
    let unknown = Reading { dataset: crate::fixture::NOWHERE.into(), after: None, limit: 10, since: None };
    ensure(trial.connector.scan(&unknown).await.is_err(), "a collection that nobody mapped was scanned")?;
    rows.sort();
    ensure(trial.rows().await? == rows, "scanning changed the target")
}

async fn reads_once(trial: &Trial<'_>, rows: &[Row], dataset: &str, limit: usize) -> Held {
    let mut reading = Reading { dataset: dataset.into(), after: None, limit, since: None };
    let mine: Vec<&Row> = rows.iter().filter(|r| r.dataset == dataset).collect();
    let mut seen: BTreeSet<Vec<String>> = BTreeSet::new();
    let mut count = 0;
    // One page more than there are rows, and it does not end.
    for _ in 0..=rows.len() {
        let page = trial.connector.scan(&reading).await;
        let page =
            page.map_err(|f| Flaw::Broken(format!("{dataset}: a page could not be read: {}", f.code)))?;
        ensure(page.rows.len() <= limit, format!("{dataset}: a page holds more rows than were asked for"))?;
        count += page.rows.len();
        for row in &page.rows {
            let of = mine.iter().find(|r| texts(&r.locator()) == texts(&row.locator));
            ensure(of.is_some(), format!("{dataset}: a row has another key than any that lies there"))?;
            let told = row.subject.as_ref().map(|s| s.reveal());
            let is_right = of.is_some_and(|r| dataset == ORDERS || told == r.get("customer"));
            ensure(is_right, format!("{dataset}: a row is told of another subject"))?;
            seen.insert(texts(&row.locator));
        }
        match page.next {
            Some(next) => reading.after = Some(next),
            None => {
                let whole = seen.len() == mine.len() && count == mine.len();
                let what = format!(
                    "{dataset}: {} rows lie there, {count} were read, {} of them once, {limit} a page",
                    mine.len(),
                    seen.len()
                );
                return ensure(whole, what);
            }
        }
    }
    Err(Flaw::Broken(format!("{dataset}: the pages do not end, {limit} rows a page")))
}

fn texts(locator: &Locator) -> Vec<String> {
    let text = |scalar: &Scalar| match scalar {
        Scalar::Text(t) | Scalar::Number(t) => t.reveal().to_owned(),
        Scalar::Integer(i) => i.to_string(),
    };
    locator.values().map(text).collect()
}

pub(super) async fn check_is_frank(harness: &dyn Harness) -> Held {
    let trial = Trial::on(harness, &[person(1)]).await?;
    let report = trial.connector.check().await;
    if let Some(problem) = report.problems.iter().find(|p| p.fatal) {
        return Err(Flaw::Broken(format!(
            "a sound target fails its check: {} at {}",
            problem.code, problem.place
        )));
    }
    let can = trial.connector.describe();
    let all = can.mask && can.anonymise && can.pseudonymise && can.restrict;
    let told = report.problems.iter().any(|p| p.code == "cannot_execute");
    ensure(all || told, "the check does not say what the connector cannot execute")?;
    if let Some(connector) = harness.unreachable().await {
        let fatal = connector.check().await.problems.iter().any(|p| p.fatal);
        ensure(fatal, "a target that cannot be reached passes its check")?;
    }
    Ok(())
}

async fn found(trial: &Trial<'_>, target: &Target) -> bool {
    matches!(trial.finding(target).await, Some(Finding::Found { .. }))
}

fn reads_back(trial: &Trial<'_>) -> Held {
    needs(trial.connector.describe().verify, "it has no read-back, and nothing here is ever verified")
}
