//! The policy of a bench of the store: one rule for items of the service, one for those kept by consent.

use std::sync::Arc;

use quietus_core::engine::control::ActivePolicy;

use super::BenchError;
use crate::node::{Node, Refusal};

/// As its file says; days that are counted in this zone.
pub const ZONE: &str = "Europe/Berlin";
const NAME: &str = "shop";

/// Puts it in force: both are kept so many days.
pub async fn publish(node: &Node, keep_days: i64) -> Result<(), BenchError> {
    node.store_policy("shop.yaml", text(keep_days, keep_days).as_bytes(), None).await.map_err(refused)?;
    node.publish_policy(NAME, None).await.map_err(refused)?;
    Ok(())
}

/// Stores another one, to be planned: kept so many days by the service, and so many by consent.
pub async fn store(node: &Node, service: i64, ads: i64) -> Result<Arc<ActivePolicy>, BenchError> {
    node.store_policy("shop.yaml", text(service, ads).as_bytes(), None).await.map_err(refused)?;
    Ok(node.stored_policy(NAME).map_err(refused)?.0)
}

fn text(service: i64, ads: i64) -> String {
    format!(
        "policy: {NAME}
timezone: {ZONE}
events:
  account_closed: {{of: subject, open_ended: true}}
purposes:
  service: {{use: essential.service, basis: contract, ended_by: account_closed}}
  ads: {{use: marketing.advertising, basis: consent}}
rules:
  - {{id: contacts, category: user.contact, purpose: service, keep: {service}d after recorded}}
  - {{id: ads, category: user.contact, purpose: ads, keep: {ads}d after recorded}}
"
    )
}

fn refused(refusal: Refusal) -> BenchError {
    match refusal {
        Refusal::Node(error) => error.into(),
        Refusal::Wrong(found) => {
            let said: Vec<String> = found.iter().map(ToString::to_string).collect();
            BenchError::Wrong(said.join("\n"))
        }
    }
}
