//! `GET /v1/partitions`

use axum::Json;
use axum::extract::State;

use super::Shared;
use super::extract::Asked;
use super::page::Paging;
use crate::ledger::Stream;
use crate::surface::wire::{Page, PartitionView};

#[utoipa::path(get, path = "/v1/partitions", tag = "node", params(Paging), responses((status = 200, body = Page<PartitionView>)))]
pub(super) async fn list(
    State(app): State<Shared>,
    Asked(paging): Asked<Paging>,
) -> Json<Page<PartitionView>> {
    let views = app.node.partitions.iter().map(|partition| {
        let end = app.node.ledger().end(Stream::Partition(partition.index())).unwrap_or_default();
        let applied = partition.applied();
        let inner = partition.read();
        PartitionView {
            partition: partition.index(),
            applied,
            end,
            lag: end.saturating_sub(applied),
            control: inner.state.control.k,
            now: inner.state.now.to_string(),
            items: inner.state.alive.items,
            copies: inner.state.alive.copies,
        }
    });
    Json(paging.cut(views, |v| format!("{:010}", v.partition)))
}
