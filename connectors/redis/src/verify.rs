//! The independent read-back: a session of its own and plain reading commands, none of the scripts; keys under a
//! star are found by a walk that lets a regular expression judge, not by the matching that erasing uses.
//!
//! Invariant: what cannot be looked at is `Unreadable`, never `Gone`.
//! A corrected copy may be back by now, made anew: it counts as mended when it holds every corrected value.

use std::collections::BTreeMap;
use std::sync::Arc;

use quietus_contract::{Change, Failure, Finding, ReadBack, Target, Work};
use redis::aio::MultiplexedConnection;
use regex::bytes::RegexSet;

use crate::config::{Config, Spot, What, clock};
use crate::failure;
use crate::scan::step;

/// A larger value is not fetched to be searched.
const READABLE: u64 = 1 << 20;

pub(crate) async fn read_back(config: &Config, targets: &[Target]) -> Vec<ReadBack> {
    match Reader::open(config, targets).await {
        Ok(mut reader) => {
            let mut backs = Vec::with_capacity(targets.len());
            for target in targets {
                let finding = reader.look(config, target).await.unwrap_or_else(Finding::Unreadable);
                backs.push(told(target, finding, reader.at));
            }
            backs
        }
        Err(failure) => targets.iter().map(|t| told(t, Finding::Unreadable(failure.clone()), None)).collect(),
    }
}

fn told(target: &Target, finding: Finding, at: Option<i64>) -> ReadBack {
    let read = !matches!(finding, Finding::Unreadable(_));
    ReadBack {
        command: target.command,
        finding,
        // A derived copy has a name and no identity field.
        identity_rows: None,
        scope: if read { Arc::from(["key template".to_owned()]) } else { Arc::default() },
        not_checked: vec!["replicas, snapshots and append-only files of the server".to_owned()],
        at,
    }
}

struct Reader {
    session: MultiplexedConnection,
    /// The keys under each star's expression.
    walked: BTreeMap<String, Vec<Vec<u8>>>,
    at: Option<i64>,
}

impl Reader {
    async fn open(config: &Config, targets: &[Target]) -> Result<Self, Failure> {
        let mut session = config.session().await?;
        let at = clock(&mut session).await.map_err(|e| failure::reading(&e))? / 1000;
        let spots = targets.iter().filter_map(|t| config.spots(&t.dataset, &t.locator).ok()).flatten();
        let mut expressions: Vec<String> =
            spots.filter(|s| s.key.exact().is_none()).map(|s| expression(&s)).collect();
        expressions.sort();
        expressions.dedup();
        let walked = walk(&mut session, expressions).await?;
        Ok(Self { session, walked, at: Some(at) })
    }

    async fn look(&mut self, config: &Config, target: &Target) -> Result<Finding, Failure> {
        let unknown = |why: String| Failure::fatal("conflict", why);
        let spots = config.spots(&target.dataset, &target.locator).map_err(unknown)?;
        let corrected = match &target.work {
            Work::Delete => None,
            Work::Correct(changes) => Some(changes.as_slice()),
            Work::Change { .. } => return Err(unknown("a derived copy is not changed in place".to_owned())),
        };
        let mut count = 0;
        for spot in &spots {
            let keys = match spot.key.exact() {
                Some(key) => vec![key.as_bytes().to_vec()],
                None => self.walked.get(&expression(spot)).cloned().unwrap_or_default(),
            };
            for key in keys {
                count += match corrected {
                    None => self.there(&key, &spot.what).await?,
                    Some(changes) => self.stale(&key, &spot.what, changes).await?,
                };
            }
        }
        Ok(match count {
            0 => Finding::Gone,
            count => Finding::Found { count, by: "key template".to_owned() },
        })
    }

    /// How much of it is there.
    async fn there(&mut self, key: &[u8], what: &What) -> Result<u64, Failure> {
        let kind = self.kind(key).await?;
        let ask = |cmd: &'static str| {
            let mut cmd = redis::cmd(cmd);
            cmd.arg(key);
            cmd
        };
        match (what, kind.as_str()) {
            (_, "none") => Ok(0),
            (What::Key, _) => Ok(1),
            (What::Fields(fields), "hash") => {
                let held: Vec<Option<Vec<u8>>> = self.ask(ask("HMGET").arg(fields)).await?;
                Ok(held.iter().flatten().map(|_| 1).sum())
            }
            (What::Member(member), "set") => self.ask(ask("SISMEMBER").arg(member)).await,
            (What::Member(member), "zset") => {
                let score: Option<String> = self.ask(ask("ZSCORE").arg(member)).await?;
                Ok(u64::from(score.is_some()))
            }
            (What::Fields(_) | What::Member(_), _) => Err(failure::of_code("WRONGTYPE")),
        }
    }

    /// 1 where a copy is there that does not hold every corrected value.
    async fn stale(&mut self, key: &[u8], what: &What, changes: &[Change]) -> Result<u64, Failure> {
        if matches!(what, What::Member(_)) || self.there(key, what).await? == 0 {
            return Ok(0);
        }
        if changes.iter().all(|c| c.value.is_none()) {
            let why = "a copy is there again, and whether it still holds what was cleared cannot be seen";
            return Err(Failure::retry("conflict", why));
        }
        let content = self.content(key).await?;
        let holds = |change: &Change| {
            let value = change.value.as_ref().map(|v| v.reveal());
            value.is_none_or(|v| spellings(v).iter().any(|s| contains(&content, s.as_bytes())))
        };
        Ok(u64::from(!changes.iter().all(holds)))
    }

    /// A text as it is, a hash's values one after the other.
    async fn content(&mut self, key: &[u8]) -> Result<Vec<u8>, Failure> {
        let kind = self.kind(key).await?;
        match kind.as_str() {
            "string" => {
                let length: u64 = self.ask(redis::cmd("STRLEN").arg(key)).await?;
                if length > READABLE {
                    return Err(Failure::retry(
                        "conflict",
                        "a copy is there again, too large to be searched",
                    ));
                }
                self.ask(redis::cmd("GET").arg(key)).await
            }
            "hash" => {
                let values: Vec<Vec<u8>> = self.ask(redis::cmd("HVALS").arg(key)).await?;
                Ok(values.join(&b'\n'))
            }
            _ => Err(Failure::retry("conflict", "a copy is there again, of a type that cannot be searched")),
        }
    }

    async fn kind(&mut self, key: &[u8]) -> Result<String, Failure> {
        self.ask(redis::cmd("TYPE").arg(key)).await
    }

    async fn ask<T: redis::FromRedisValue>(&mut self, cmd: &redis::Cmd) -> Result<T, Failure> {
        cmd.query_async(&mut self.session).await.map_err(|e| failure::reading(&e))
    }
}

/// One walk over the whole key space for all of them.
async fn walk(
    session: &mut MultiplexedConnection,
    expressions: Vec<String>,
) -> Result<BTreeMap<String, Vec<Vec<u8>>>, Failure> {
    let mut found: BTreeMap<String, Vec<Vec<u8>>> = BTreeMap::new();
    if expressions.is_empty() {
        return Ok(found);
    }
    let set = RegexSet::new(&expressions)
        .map_err(|_| Failure::fatal("internal", "too many patterns at once: lower limits.batch"))?;
    let mut cursor = Some(0);
    while let Some(at) = cursor {
        let (next, keys) = step(session, at, "*").await?;
        for key in keys {
            for expression in set.matches(&key).iter().filter_map(|i| expressions.get(i)) {
                found.entry(expression.clone()).or_default().push(key.clone());
            }
        }
        cursor = (next != 0).then_some(next);
    }
    for keys in found.values_mut() {
        keys.sort();
        keys.dedup();
    }
    Ok(found)
}

fn expression(spot: &Spot) -> String {
    let pieces: Vec<String> = spot.key.pieces().iter().map(|p| regex::escape(p)).collect();
    format!("(?s-u)^{}$", pieces.join(".*"))
}

/// How a text may stand in a copy: as it is, in JSON, and in JSON kept to ASCII.
fn spellings(value: &str) -> [String; 3] {
    let json = serde_json::Value::from(value).to_string();
    let json = json.get(1..json.len().saturating_sub(1)).unwrap_or_default().to_owned();
    let mut ascii = String::new();
    for c in json.chars() {
        if c.is_ascii() {
            ascii.push(c);
        } else {
            let mut units = [0; 2];
            c.encode_utf16(&mut units).iter().for_each(|u| ascii.push_str(&format!("\\u{u:04x}")));
        }
    }
    [value.to_owned(), json, ascii]
}

fn contains(content: &[u8], value: &[u8]) -> bool {
    value.is_empty() || content.windows(value.len()).any(|w| w == value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_found_in_every_spelling() {
        let [plain, json, ascii] = spellings("Zoë \"née\"");
        assert_eq!((plain.as_str(), json.as_str()), ("Zoë \"née\"", "Zoë \\\"née\\\""));
        assert_eq!(ascii, "Zo\\u00eb \\\"n\\u00e9e\\\"");
        assert!(contains(br#"{"name":"Zo\u00eb \"n\u00e9e\""}"#, ascii.as_bytes()));
        assert!(!contains(b"Ann", plain.as_bytes()));
    }
}
