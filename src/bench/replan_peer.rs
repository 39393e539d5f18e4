//! What the re-plan's peers do in PostgreSQL: dates that are stored and written anew, and counts by class and day.

use std::time::Instant;

use quietus_core::time::Millis;

use super::BenchError;
use super::load::Load;
use super::peer::{Peer, TABLE};
use super::policy::ZONE;
use super::replan::middle;

/// How many are due now, and how many after the rule of some classes is another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Due {
    pub now: u64,
    pub then: u64,
}

#[derive(Clone, Copy, Debug)]
pub struct Question {
    pub load: Load,
    pub now: Millis,
    pub kept_now: i64,
    pub kept_then: i64,
}

impl Question {
    /// Classes under the rule that changes.
    fn concerned(&self) -> String {
        format!("class % 2 = {}", u8::from(self.load.spread))
    }

    /// Days kept under the changed policy.
    fn kept(&self) -> String {
        format!("CASE WHEN {} THEN {} ELSE {} END", self.concerned(), self.kept_then, self.kept_now)
    }

    /// The last local day on which what is due now was recorded.
    fn last_day(&self, kept: &str) -> String {
        format!("('{}'::timestamptz AT TIME ZONE '{ZONE}')::date - ({kept}) - 1", self.now)
    }

    /// Due is the first instant of the local day after the last.
    fn due(kept: &str) -> String {
        format!("(((start AT TIME ZONE '{ZONE}')::date + ({kept}) + 1)::timestamp AT TIME ZONE '{ZONE}')")
    }

    /// By consent are kept the odd classes; it was taken back for what was recorded by then.
    fn reached(&self) -> String {
        format!("class % 2 = 1 AND start <= '{}'", self.load.withdrawn_at())
    }
}

impl Peer {
    /// Gives every row the date that is in force, and answers how many are due.
    pub async fn dated(&self, question: &Question) -> Result<u64, BenchError> {
        let due = Question::due(&question.kept_now.to_string());
        for sql in [
            format!("CREATE TABLE {TABLE}_dated AS SELECT *, {due} AS expires_at FROM {TABLE}"),
            format!("ALTER TABLE {TABLE}_dated ADD PRIMARY KEY (id)"),
            format!("CREATE INDEX ON {TABLE}_dated (subject)"),
            format!("CREATE INDEX ON {TABLE}_dated (class, start)"),
            format!("VACUUM ANALYZE {TABLE}_dated"),
            "CHECKPOINT".to_owned(),
        ] {
            self.client.batch_execute(&sql).await?;
        }
        self.count(&format!("SELECT count(*) FROM {TABLE}_dated WHERE expires_at <= '{}'", question.now))
            .await
    }

    /// Dates what the changed rule concerns anew: seconds, and how many are due then.
    pub async fn update(&self, question: &Question) -> Result<(f64, u64), BenchError> {
        let due = Question::due(&question.kept_then.to_string());
        let begun = Instant::now();
        let sql = format!("UPDATE {TABLE}_dated SET expires_at = {due} WHERE {}", question.concerned());
        self.client.batch_execute(&sql).await?;
        let sql = format!("SELECT count(*) FROM {TABLE}_dated WHERE expires_at <= '{}'", question.now);
        let then = self.count(&sql).await?;
        Ok((begun.elapsed().as_secs_f64(), then))
    }

    /// The same after persons took their consent back, row by row.
    pub async fn dated_told(&self, question: &Question) -> Result<Due, BenchError> {
        let (reached, now) = (question.reached(), question.now);
        let count = |kept: &str| {
            let due = Question::due(kept);
            format!(
                "SELECT count(*) FROM {TABLE} LEFT JOIN {TABLE}_withdrawn w USING (subject)
                  WHERE {due} <= '{now}' OR (w.subject IS NOT NULL AND {reached})"
            )
        };
        let (old, new) = (count(&question.kept_now.to_string()), count(&question.kept()));
        Ok(Due { now: self.count(&old).await?, then: self.count(&new).await? })
    }

    /// From counts by class and day, which are made before: seconds in the middle of so many turns.
    pub async fn by_day(&self, question: &Question, turns: usize) -> Result<(f64, Due), BenchError> {
        for sql in [
            format!(
                "CREATE TABLE {TABLE}_days AS
                 SELECT class, (start AT TIME ZONE '{ZONE}')::date AS day, count(*) AS n FROM {TABLE} GROUP BY 1, 2"
            ),
            format!("ALTER TABLE {TABLE}_days ADD PRIMARY KEY (class, day)"),
            format!("VACUUM ANALYZE {TABLE}_days"),
            "CHECKPOINT".to_owned(),
        ] {
            self.client.batch_execute(&sql).await?;
        }
        self.timed(&[by_day(question)], turns).await
    }

    /// The same, and the items of those who took their consent back on top, looked up by person.
    pub async fn by_day_told(&self, question: &Question, turns: usize) -> Result<(f64, Due), BenchError> {
        let vacuum = format!("VACUUM ANALYZE {TABLE}, {TABLE}_withdrawn");
        self.client.batch_execute(&vacuum).await?;
        let day = format!("(start AT TIME ZONE '{ZONE}')::date");
        let (old, new) =
            (question.last_day(&question.kept_now.to_string()), question.last_day(&question.kept()));
        let reached = format!(
            "SELECT count(*) FILTER (WHERE {day} > {old}), count(*) FILTER (WHERE {day} > {new})
               FROM {TABLE} JOIN {TABLE}_withdrawn USING (subject) WHERE {}",
            question.reached()
        );
        self.timed(&[by_day(question), reached], turns).await
    }

    /// The sums of what these answer.
    async fn timed(&self, queries: &[String], turns: usize) -> Result<(f64, Due), BenchError> {
        let mut seconds = Vec::with_capacity(turns);
        let mut due = Due { now: 0, then: 0 };
        for _ in 0..turns {
            let begun = Instant::now();
            due = Due { now: 0, then: 0 };
            for sql in queries {
                let row = self.client.query_one(sql, &[]).await?;
                due.now += row.try_get::<_, i64>(0)?.unsigned_abs();
                due.then += row.try_get::<_, i64>(1)?.unsigned_abs();
            }
            seconds.push(begun.elapsed().as_secs_f64());
        }
        Ok((middle(seconds), due))
    }

    async fn count(&self, sql: &str) -> Result<u64, BenchError> {
        Ok(self.client.query_one(sql, &[]).await?.try_get::<_, i64>(0)?.unsigned_abs())
    }
}

fn by_day(question: &Question) -> String {
    let (old, new) = (question.last_day(&question.kept_now.to_string()), question.last_day(&question.kept()));
    format!(
        "SELECT coalesce(sum(n) FILTER (WHERE day <= {old}), 0)::bigint,
                coalesce(sum(n) FILTER (WHERE day <= {new}), 0)::bigint FROM {TABLE}_days"
    )
}
