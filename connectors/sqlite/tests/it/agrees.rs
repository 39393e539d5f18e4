//! The same calls on SQLite and on the memory connector give the same answers and leave the same rows.
//!
//! Two implementations that share no code but the contract: where they differ, one of them is wrong.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use quietus_conformance::Harness;
use quietus_conformance::fixture::{self, Row, correction, letter, mask, order, person};
use quietus_contract::{CommandId, Connector, Gate, Outcome, Target, TargetOutcome, Verdict, Work};
use quietus_memory::{Fields, Key, MemoryConnector};

use crate::harness::Sqlite;
use crate::shop::permit;

/// A stream of numbers that is the same for the same seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }

    fn rows(&mut self) -> Vec<Row> {
        let mut rows: Vec<Row> = (1..=6).filter(|_| self.below(3) > 0).map(person).collect();
        let people: Vec<i64> = rows.iter().filter_map(|r| r.get("id")?.parse().ok()).collect();
        for no in ["a", "A", " a", "a ", "7", "07", "é", "e\u{301}", ""] {
            if self.below(3) > 0 {
                let row = letter(no, "c1");
                rows.push(if self.below(4) == 0 { row.with("select", None) } else { row });
            }
        }
        for (shop, no) in [("s", 1), ("s", 2), ("S", 1), ("t", -1)] {
            let of = people.get(usize::try_from(self.below(6)).expect("small"));
            rows.extend(of.map(|person| order(shop, no, *person)));
        }
        rows
    }

    /// A command for a record that may or may not be there.
    fn target(&mut self, row: &Row, n: u8) -> Target {
        let (name, field) = match row.dataset.as_str() {
            fixture::PEOPLE => ("user.name", "user.contact"),
            _ => ("user.content", "user.content"),
        };
        let work = match self.below(8) {
            0 => mask(&[name]),
            1 => mask(&[field]),
            2 => mask(&[name, "user.nowhere"]),
            3 => correction(name, Some("new")),
            4 => correction(name, None),
            _ => Work::Delete,
        };
        row.target(n, work)
    }
}

/// Stops every fifth command.
struct Fifth;

#[async_trait]
impl Gate for Fifth {
    async fn may_commit(&self, commands: &[CommandId]) -> Vec<Verdict> {
        commands.iter().map(|c| if c.0[0] % 5 == 0 { Verdict::Stop } else { Verdict::Go }).collect()
    }
}

/// The answers without their wording.
fn words(answers: Vec<TargetOutcome>) -> BTreeMap<CommandId, String> {
    let word = |outcome: Outcome| match outcome {
        Outcome::Unchanged { .. } => "unchanged".to_owned(),
        Outcome::Refused { .. } => "refused".to_owned(),
        Outcome::Failed(f) => format!("failed {} {} {}", f.code, f.may_retry, f.might_have_happened),
        other => format!("{other:?}"),
    };
    answers.into_iter().map(|a| (a.command, word(a.outcome))).collect()
}

fn sorted(mut rows: Vec<Row>) -> Vec<Row> {
    rows.sort();
    rows
}

fn in_memory(rows: &[Row]) -> MemoryConnector {
    let memory = MemoryConnector::new(fixture::manifest("memory"));
    rows.iter().for_each(|row| memory.put(&row.dataset, &row.locator(), row.columns.clone()));
    memory
}

fn left(memory: &MemoryConnector) -> Vec<Row> {
    let row = |((dataset, _), columns): ((String, Key), Fields)| Row { dataset, columns };
    sorted(memory.rows().into_iter().map(row).collect())
}

#[tokio::test]
async fn sqlite_and_memory_agree() {
    let sqlite = Sqlite::new().expect("a folder");
    let mut seen = BTreeMap::new();
    for seed in 0..60 {
        let mut dice = Dice(seed);
        let rows = dice.rows();
        let connector = sqlite.prepare(&rows).await.expect("prepared");
        let memory = in_memory(&rows);
        let everything: Vec<Row> = [dice.rows(), rows].concat();
        let mut places = BTreeMap::new();
        for (n, row) in (1..).zip(&everything).filter(|_| dice.below(4) > 0).collect::<Vec<_>>() {
            places.entry((row.dataset.clone(), row.locator())).or_insert((n, row));
        }
        let targets: Vec<Target> = places.into_values().map(|(n, row)| dice.target(row, n)).collect();
        let (corrections, erasures): (Vec<Target>, Vec<Target>) =
            targets.iter().cloned().partition(|t| matches!(t.work, Work::Correct(_)));
        for attempt in 1..=2 {
            let here = connector.erase(&erasures, &permit(), Arc::new(Fifth)).await;
            let there = memory.erase(&erasures, &permit(), Arc::new(Fifth)).await;
            let (here, there) = (words(here), words(there));
            assert_eq!(here, there, "seed {seed}, attempt {attempt}");
            here.into_values().for_each(|word| *seen.entry(word).or_insert(0) += 1);
            let here = connector.correct(&corrections, &permit(), Arc::new(Fifth)).await;
            let there = memory.correct(&corrections, &permit(), Arc::new(Fifth)).await;
            assert_eq!(words(here), words(there), "seed {seed}, attempt {attempt}");
            assert_eq!(sorted(sqlite.rows().await.expect("read")), left(&memory), "seed {seed}");
        }
        for (here, there) in connector.verify(&targets).await.iter().zip(memory.verify(&targets).await) {
            assert_eq!(
                std::mem::discriminant(&here.finding),
                std::mem::discriminant(&there.finding),
                "seed {seed}"
            );
            if matches!(here.finding, quietus_contract::Finding::Found { .. }) {
                assert_eq!(here.finding, there.finding, "seed {seed}");
            }
        }
    }
    let wanted =
        ["Removed(1)", "Changed(1)", "Absent", "unchanged", "refused", "failed constraint true false"];
    for word in wanted {
        assert!(seen.contains_key(word), "the seeds never led to {word}: {seen:?}");
    }
}
