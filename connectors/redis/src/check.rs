//! Everything that would make a command fail, found before one is sent. Reads only: rights to change are asked for by
//! queueing a change in MULTI and discarding it.
//!
//! The clock's skew is the node's to judge: it has its own clock and our `now()`.

use quietus_contract::{CheckReport, Failure, Problem};
use redis::aio::MultiplexedConnection;

use crate::config::{Config, Entry, Shape, clock};
use crate::failure;
use crate::scan::step;

pub(crate) async fn report(config: &Config, system: &str) -> CheckReport {
    let mut report = Report { system, problems: Vec::new() };
    report.add(
        false,
        "cannot_execute",
        "this connector cannot mask, anonymise, pseudonymise or restrict",
        "erase what lies here; it is made anew from its origin",
    );
    for entry in &config.entries {
        report.template(entry);
    }
    match config.session().await {
        Ok(mut session) => {
            if let Err(failure) = rights(&mut session, config, &mut report).await {
                report.fail(&failure);
            }
        }
        Err(failure) => report.fail(&failure),
    }
    CheckReport { problems: report.problems }
}

struct Report<'a> {
    system: &'a str,
    problems: Vec<Problem>,
}

impl Report<'_> {
    fn template(&mut self, entry: &Entry) {
        if entry.key.has_star_beside_column() {
            let detail = "a `*` stands right beside a column: for the value 1 it also means the keys of 10";
            self.add(false, "cascade", detail, "put a separator between them, such as session:{id}:*");
        }
        if entry.key.is_pattern() {
            let detail = "a template with `*` walks the whole key space, at every batch and every read-back";
            self.add(
                false,
                "missing_index",
                detail,
                "keep a set of the keys, or give them a name without `*`",
            );
        }
    }

    fn fail(&mut self, failure: &Failure) {
        let fix = match failure.code {
            "denied" => "give the connector's user the rights that README, Rights lists",
            "cannot_execute" => "name one server that stands alone or is a primary, Redis 6 or newer",
            _ => "see that the server is up and that connection.url is right, then check again",
        };
        self.add(true, failure.code, &failure.detail, fix);
    }

    fn add(&mut self, fatal: bool, code: &'static str, detail: &str, fix: &str) {
        let (place, detail, fix) = (self.system.to_owned(), detail.to_owned(), fix.to_owned());
        self.problems.push(Problem { fatal, code, place, detail, fix });
    }
}

/// Tries every command that will be needed.
async fn rights(
    session: &mut MultiplexedConnection,
    config: &Config,
    report: &mut Report<'_>,
) -> Result<(), Failure> {
    let reading = |e| failure::reading(&e);
    clock(session).await.map_err(reading)?;
    let script = redis::cmd("EVAL").arg("return 1").arg(0).query_async::<i64>(session).await;
    script.map_err(|e| missing(report, "EVAL", &e)).ok();
    for entry in &config.entries {
        let key = entry.key.sample();
        let commands: &[&str] = match &entry.shape {
            Shape::Key => &["TYPE", "EXISTS", "UNLINK"],
            Shape::Fields(_) => &["TYPE", "HMGET", "HEXISTS", "HDEL"],
            Shape::Member(_) => &["TYPE", "SISMEMBER", "ZSCORE", "SREM", "ZREM"],
        };
        if entry.key.is_pattern() {
            step(session, 0, "*").await?;
        }
        queued(session, &key, commands, report).await?;
    }
    Ok(())
}

/// Queues each command in a transaction that is then thrown away: the server refuses what the user may not do, and
/// what a read-only server may not.
async fn queued(
    session: &mut MultiplexedConnection,
    key: &str,
    commands: &[&str],
    report: &mut Report<'_>,
) -> Result<(), Failure> {
    redis::cmd("MULTI").query_async::<()>(session).await.map_err(|e| failure::reading(&e))?;
    for name in commands {
        let mut cmd = redis::cmd(name);
        cmd.arg(key);
        if !matches!(*name, "TYPE" | "EXISTS" | "UNLINK") {
            cmd.arg("0");
        }
        if let Err(error) = cmd.query_async::<redis::Value>(session).await {
            if error.is_io_error() {
                return Err(failure::reading(&error));
            }
            missing(report, name, &error);
        }
    }
    redis::cmd("DISCARD").query_async::<()>(session).await.map_err(|e| failure::reading(&e))
}

fn missing(report: &mut Report<'_>, command: &str, error: &redis::RedisError) {
    let failure = failure::reading(error);
    let detail = format!("{command}: {}", failure.detail);
    let fix = format!("ACL SETUSER … +{} and the key patterns of copies_of", command.to_lowercase());
    report.add(true, failure.code, &detail, &fix);
}
