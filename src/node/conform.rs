//! The laws of the protocol, tried on a connector in another language: for the command line.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use quietus_contract::Failure;

pub use quietus_outside::conform::{Judged, Law, Outcome};

use super::fresh_id;
use crate::clock::Clock;

/// Every law in order; `connection` is a system's. An error = nobody answers there.
pub async fn conform(
    connection: &BTreeMap<String, String>,
    within: Duration,
    clock: Arc<dyn Clock>,
) -> Result<Vec<Judged>, Failure> {
    let now = Arc::new(move || clock.now().0);
    quietus_outside::conform::run(connection, within, &fresh_id("cf"), now).await
}
