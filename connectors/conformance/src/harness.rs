//! What a connector's tests bring: a target, and eyes of their own.

use std::sync::Arc;

use async_trait::async_trait;
use quietus_contract::{Connector, Target};

use crate::fixture::Row;

/// A target that is made anew for each law and looked at past the connector.
#[async_trait]
pub trait Harness: Send + Sync {
    /// Makes the fixture anew, holding exactly these rows, and a connector on it with [`crate::fixture::manifest`].
    /// Rows come parents first.
    async fn prepare(&self, rows: &[Row]) -> Result<Arc<dyn Connector>, String>;

    /// Puts a row into the target prepared last, as the application would; in place of one with the same key.
    async fn put(&self, row: &Row) -> Result<(), String>;

    /// Every row of the target prepared last, in any order, read without the connector.
    async fn rows(&self) -> Result<Vec<Row>, String>;

    /// A command as this connector is given it: where it knows records by something else than their key columns (a
    /// partner knows people by an identity), the same record said in that way. A locator that names nothing must go
    /// on naming nothing.
    fn aim(&self, target: Target) -> Target {
        target
    }

    /// A connector whose target cannot be reached. None: the laws on it are reported as not tried.
    async fn unreachable(&self) -> Option<Arc<dyn Connector>> {
        None
    }

    /// Whether the target itself refuses to delete a record that others refer to.
    fn enforces_references(&self) -> bool {
        true
    }
}
