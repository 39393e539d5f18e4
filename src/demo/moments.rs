//! The moments that the story is about: holds, requests, an outage, somebody who comes back, a restore.

use std::collections::BTreeMap;
use std::time::Duration;

use quietus_core::hold::Scope;
use quietus_core::request::{Request, RequestKind, RequestState};
use quietus_core::time::Millis;
use serde_json::json;

use super::DemoError;
use super::story::{Story, subject};
use crate::node::{HoldOrder, RequestOrder};

/// How often an answer is waited for, ten milliseconds each.
const PATIENCE: u32 = 400;
/// Where customer 11 moves to; nobody else lives there.
const CITY: &str = "Bremen";

impl Story {
    pub(super) async fn hold(&self, customer: i64) -> Result<String, DemoError> {
        let key = self.node.keys.subject_key("customer_id", &customer.to_string());
        let order = HoldOrder {
            matter: format!("case {customer}"),
            authority: "district court".to_owned(),
            reference: None,
            owner: "legal".to_owned(),
            reason: "preservation of evidence".to_owned(),
            scope: Scope { subjects: [key.0].into(), ..Scope::default() },
            review: "2030-01-01".to_owned(),
            confidential: false,
            allow: Vec::new(),
            by: Some("demo".to_owned()),
            once: None,
        };
        let (hold, _) = self.node.place_hold(order, Duration::from_secs(5)).await?;
        Ok(hold.id)
    }

    /// The account is open again: a new row with a new beginning, a life of its own.
    pub(super) async fn comes_back(&mut self, id: i64, tell: &mut dyn FnMut(&str)) -> Result<(), DemoError> {
        self.say("quietus.subject.event.v1", json!({"subject": subject(id), "event": "account_reopened"}));
        self.arrive(id).await?;
        tell(&format!(
            "customer {id}, erased half a year ago, signs up again: a new life with its own dates"
        ));
        Ok(())
    }

    pub(super) fn crm_away(&mut self, tell: &mut dyn FnMut(&str)) -> Result<(), DemoError> {
        // Customer 9 takes the consent back just then.
        self.say("quietus.purpose.withdrawn.v1", json!({"subject": subject(9), "purpose": "newsletter"}));
        tell("the newsletter's database goes away for six days; what is due there fails and is tried again");
        self.shop.crm_away().map_err(|cause| self.io(cause))
    }

    pub(super) fn crm_back(&self, tell: &mut dyn FnMut(&str)) -> Result<(), DemoError> {
        tell("it is back: the next sweep carries out what waited");
        self.shop.crm_back().map_err(|cause| self.io(cause))
    }

    /// Customer `id` closes the account and asks to be erased.
    pub(super) async fn erasure(&mut self, id: i64, tell: &mut dyn FnMut(&str)) -> Result<(), DemoError> {
        self.leaves(id);
        self.send().await?;
        self.shop.asks(id)?;
        let order = RequestOrder {
            grounds: Some("no_longer_necessary".to_owned()),
            ..self.asked(RequestKind::Erase, id)
        };
        let (request, state) = self.answered(order).await?;
        let copies = request.targets.len();
        tell(&format!(
            "customer {id} asks to be erased: {} over {copies} copies; invoices stay as the law wants, backups until they rotate",
            word(state)
        ));
        Ok(())
    }

    /// Customer `id` moves: whoever can take the new value takes it.
    pub(super) async fn moves(&mut self, id: i64, tell: &mut dyn FnMut(&str)) -> Result<(), DemoError> {
        let values = BTreeMap::from([("user.contact.address.city".to_owned(), Some(CITY.to_owned()))]);
        let order = self.asked(RequestKind::Correct, id);
        let sealed = self.node.keys.seal_corrections(&order.subject, None, &values);
        let sealed = sealed.map_err(|e| DemoError::Refused(e.to_string()))?;
        let categories = values.into_keys().collect();
        let (request, state) =
            self.answered(RequestOrder { categories, corrections: Some(sealed), ..order }).await?;
        let places: Vec<&str> = request.targets.iter().map(|t| &*t.place.system).collect();
        tell(&format!(
            "customer {id} has moved: {}, asked of {}; where values cannot be changed it is refused, and said",
            word(state),
            places.join(", ")
        ));
        Ok(())
    }

    /// Somebody loads last week's backup into the customers' table: whom it brings back is erased again.
    pub(super) async fn restore(&self, night: Millis, tell: &mut dyn FnMut(&str)) -> Result<(), DemoError> {
        let rows = self.disk.restore(night).map_err(|cause| self.io(cause))?;
        let back = self.shop.restore(&rows)?;
        for id in &back {
            self.outside.visit(*id).await?;
        }
        tell(&format!(
            "a backup of ten nights ago is loaded into the customers' table: {} erased people are there again",
            back.len()
        ));
        let by = Some("demo".to_owned());
        let reapply = self.node.reapply(night, Some("shop-db".to_owned()), true, by).await?;
        let (mut quiet, mut far) = (0, self.node.reapplied(&reapply.id)?.1);
        while far.open > 0 && quiet < PATIENCE {
            self.pass(&mut quiet).await?;
            far = self.node.reapplied(&reapply.id)?.1;
        }
        tell(&format!(
            "told of it, quietus owes {} erasures again, and {} are verified again the same day",
            far.owed, far.verified
        ));
        Ok(())
    }

    fn asked(&self, kind: RequestKind, id: i64) -> RequestOrder {
        let subject = self.node.keys.subject_key("customer_id", &id.to_string());
        RequestOrder { by: Some("demo".to_owned()), ..RequestOrder::of(kind, subject) }
    }

    /// Until it is answered, as far as it can be today.
    async fn answered(&self, order: RequestOrder) -> Result<(Request, RequestState), DemoError> {
        let (request, _) = self.node.receive_request(order).await?;
        let mut quiet = 0;
        loop {
            let now = self.node.request(&request.id)?;
            if now.1 != RequestState::InProgress || quiet >= PATIENCE {
                return Ok(now);
            }
            self.pass(&mut quiet).await?;
        }
    }
}

fn word(state: RequestState) -> String {
    let word = serde_json::to_value(state).ok().and_then(|w| w.as_str().map(str::to_owned));
    word.unwrap_or_default().replace('_', " ")
}
