//! Load until the node dies: rows, events, sweeps, holds, requests, and calls that were never answered, again.

use quietus::core::time::Millis;
use reqwest::Method;
use serde_json::{Value, json};

use super::books::{Books, Call, Held, Kind, Known};
use crate::chance::Chance;
use crate::database::Database;
use crate::process::{Caller, NoAnswer, now, recorded_in};

pub struct Load<'a> {
    pub caller: &'a Caller,
    pub database: &'a Database,
    pub books: &'a mut Books,
    pub chance: &'a mut Chance,
}

type Alive = Result<(), NoAnswer>;

impl Load<'_> {
    pub async fn run(mut self) {
        if self.again().await.is_err() {
            return;
        }
        loop {
            let alive = match self.chance.below(9) {
                0..=2 => self.record().await,
                3 | 4 => self.make("/v1/sweeps", json!({"plan": false}), 0).await,
                5 => self.hold().await,
                6 => self.release().await,
                7 => self.come_back().await,
                _ => self.request().await,
            };
            if alive.is_err() {
                return;
            }
        }
    }

    /// What the last life left unanswered, and some of what it answered.
    pub async fn again(&mut self) -> Alive {
        for call in std::mem::take(&mut self.books.unanswered) {
            self.send(call).await?;
        }
        let answered = std::mem::take(&mut self.books.answered);
        for (call, id) in answered.into_iter().rev().take(3) {
            let (status, answer) = self.caller.keyed(Method::POST, call.path, &call.body, &call.key).await?;
            if status < 300 && answer["id"] != id.as_str() {
                self.books.twice.push(format!("{} made {id}, and its repeat {answer}", call.path));
            }
        }
        Ok(())
    }

    async fn make(&mut self, path: &'static str, body: Value, row: i64) -> Alive {
        let call = Call { path, body, key: quietus::node::fresh_id("ik"), row };
        self.send(call).await
    }

    async fn send(&mut self, call: Call) -> Alive {
        let answer = self.caller.keyed(Method::POST, call.path, &call.body, &call.key).await;
        let Ok((status, answer)) = answer else {
            self.books.unanswered.push(call);
            return Err(NoAnswer);
        };
        if status >= 300 {
            assert!([409, 429, 503].contains(&status), "{status} {answer}");
            return Ok(());
        }
        let id = answer["id"].as_str().unwrap().to_owned();
        self.books.ids.insert(id.clone());
        if let Some(effective) = answer["effective_at"].as_str().filter(|_| answer["state"] == "effective") {
            let from = Millis::parse(effective).unwrap().0;
            self.books.holds.insert(id.clone(), Held { row: call.row, from });
        } else if call.path == "/v1/requests" {
            self.books.requests.insert(id.clone(), call.row);
        }
        self.books.answered.push((call, id));
        Ok(())
    }

    async fn record(&mut self) -> Alive {
        let ids: Vec<i64> = (self.books.next..self.books.next + 20).collect();
        self.books.next += 20;
        let mut events = Vec::new();
        let (mut users, mut profiles) = (Vec::new(), Vec::new());
        for id in &ids {
            // Some are due at once, some in a while, some not for years.
            let (kind, age) = match self.chance.below(6) {
                0 => (Kind::Short, 60_000),
                1 => (Kind::Short, 3_000),
                2 => (Kind::Short, 0),
                3 => (Kind::Masked, 60_000),
                4 => (Kind::Masked, 3_000),
                _ => (Kind::Long, 60_000),
            };
            let recorded_at = now() - age;
            let (dataset, purposes) = match kind {
                Kind::Short => ("shop.users", ["service"]),
                Kind::Long => ("shop.users", ["ads"]),
                Kind::Masked => ("shop.profiles", ["service"]),
            };
            if kind == Kind::Masked {
                profiles.push(*id)
            } else {
                users.push(*id)
            }
            events.push(recorded_in(dataset, *id, recorded_at, &purposes));
            let known = Known { kind, recorded_at, acknowledged: false, requested_at: None, back: false };
            self.books.rows.insert(*id, known);
        }
        self.database.insert(&users).await;
        self.database.insert_profiles(&profiles).await;
        let (status, answer) = self.caller.events(&events).await?;
        if status == 202 {
            assert_eq!(answer["accepted"], 20, "{answer}");
            ids.iter().for_each(|id| self.books.rows.get_mut(id).unwrap().acknowledged = true);
        }
        Ok(())
    }

    /// One of the newest rows, whether or not it is due yet.
    fn recent(&mut self) -> Option<i64> {
        let id = self.books.next - 1 - self.chance.below(30) as i64;
        self.books.rows.get(&id).filter(|r| r.acknowledged && !r.back).map(|_| id)
    }

    async fn hold(&mut self) -> Alive {
        let Some(id) = self.recent() else { return Ok(()) };
        let body = json!({"matter": "rig", "authority": "court", "owner": "legal", "reason": "suit",
            "review": "2099-01-01", "scope": {"subjects": [format!("customer_id:{id}")]}});
        self.make("/v1/holds", body, id).await
    }

    async fn release(&mut self) -> Alive {
        let Some((hold, held)) = self.books.holds.pop_first() else { return Ok(()) };
        self.books.held.push((held.row, held.from, now()));
        let path = format!("/v1/holds/{hold}/release");
        let (status, answer) = self.caller.call(Method::POST, &path, &json!({})).await?;
        if status == 404 {
            self.books.lost.push(format!("hold {hold}: {answer}"));
        }
        assert!(status < 300 || [404, 409, 503].contains(&status), "{status} {answer}");
        Ok(())
    }

    async fn request(&mut self) -> Alive {
        let Some(id) = self.recent() else { return Ok(()) };
        let known = self.books.rows.get_mut(&id).unwrap();
        if known.kind != Kind::Long {
            return Ok(());
        }
        known.requested_at = known.requested_at.or(Some(now()));
        self.make("/v1/requests", json!({"type": "erase", "subject": format!("customer_id:{id}")}), id).await
    }

    /// A row that was verified gone is there again, and nobody tells the node: a command that goes out once more
    /// would hit it.
    async fn come_back(&mut self) -> Alive {
        let rows = self.database.rows().await;
        let gone = |(id, known): &(&i64, &Known)| {
            known.kind == Kind::Short && known.acknowledged && !known.back && rows.binary_search(id).is_err()
        };
        let Some(id) = self.books.rows.iter().rev().find(gone).map(|(id, _)| *id) else { return Ok(()) };
        if self.caller.outcome(id).await? == "verified" {
            self.database.insert(&[id]).await;
            self.books.rows.get_mut(&id).unwrap().back = true;
        }
        Ok(())
    }
}
