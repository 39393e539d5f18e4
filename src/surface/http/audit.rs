//! `/v1/audit`: the chains, what they add up to, and whether they hold.

use std::sync::atomic::Ordering;

use axum::Json;
use axum::extract::{Path, State};
use serde::Deserialize;
use utoipa::IntoParams;

use super::Shared;
use super::extract::Asked;
use super::page::Paging;
use super::problem::Refused;
use crate::audit::Entry;
use crate::surface::wire::{
    CheckpointView, DigestView, EntryView, KeyView, Page, Problem, ProofView, VerifyView,
};

#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(default)]
pub struct From {
    /// The first entry of each partition to be shown, counted from 0.
    pub from: Option<u64>,
    pub limit: Option<u32>,
    pub cursor: Option<String>,
}

#[utoipa::path(get, path = "/v1/audit/entries", tag = "audit", params(From), responses((status = 200, body = Page<EntryView>)))]
pub(super) async fn entries(State(app): State<Shared>, Asked(asked): Asked<From>) -> Json<Page<EntryView>> {
    let paging = Paging { limit: asked.limit, cursor: asked.cursor };
    let from = usize::try_from(asked.from.unwrap_or_default()).unwrap_or(usize::MAX);
    // More than a page of one partition is never needed.
    let enough = paging.limit() + 1;
    let key = |e: &Entry| format!("{:010}.{:020}", e.partition, e.n);
    let mut rows: Vec<Entry> = Vec::new();
    for partition in app.node.partitions.iter() {
        let inner = partition.read();
        let tail = inner.chain.entries().iter().skip(from);
        let after = tail.filter(|e| paging.cursor.as_ref().is_none_or(|c| key(e) > *c));
        rows.extend(after.take(enough.saturating_sub(rows.len())).cloned());
    }
    let page = paging.cut(rows, key);
    Json(Page { items: page.items.iter().map(EntryView::from).collect(), next: page.next })
}

#[utoipa::path(get, path = "/v1/audit/state-digest", tag = "audit", responses((status = 200, body = DigestView)))]
pub(super) async fn state_digest(State(app): State<Shared>) -> Result<Json<DigestView>, Refused> {
    let node = std::sync::Arc::clone(&app.node);
    let digest = super::blocking(move || node.state_digest()).await?;
    Ok(Json(DigestView { digest: data_encoding::HEXLOWER.encode(&digest) }))
}

#[utoipa::path(get, path = "/v1/audit/entries/{partition}/{n}/proof", tag = "audit",
    params(("partition" = u32, Path), ("n" = u64, Path)),
    responses((status = 200, body = ProofView), (status = 404, body = Problem)))]
pub(super) async fn proof(
    State(app): State<Shared>,
    Path((partition, n)): Path<(u32, u64)>,
) -> Result<Json<ProofView>, Refused> {
    let node = std::sync::Arc::clone(&app.node);
    let proof = super::blocking(move || node.prove(partition, n)).await??;
    Ok(Json(ProofView { proof }))
}

#[utoipa::path(get, path = "/v1/audit/checkpoint", tag = "audit", responses((status = 200, body = Page<CheckpointView>)))]
pub(super) async fn checkpoint(State(app): State<Shared>) -> Json<Page<CheckpointView>> {
    let signed = app.node.checkpoints().into_iter().zip(0u32..);
    let items = signed.map(|((checkpoint, note), partition)| CheckpointView {
        partition,
        size: checkpoint.size,
        root: data_encoding::HEXLOWER.encode(&checkpoint.root),
        note,
    });
    Json(Page { items: items.collect(), next: None })
}

#[utoipa::path(get, path = "/v1/audit/keys", tag = "audit", responses((status = 200, body = Page<KeyView>)))]
pub(super) async fn keys(State(app): State<Shared>) -> Json<Page<KeyView>> {
    let keys = app.node.audit_keys().into_iter().zip(0u32..);
    let items = keys.map(|(key, partition)| KeyView { partition, key: key.to_string() }).collect();
    Json(Page { items, next: None })
}

#[utoipa::path(post, path = "/v1/audit/verify", tag = "audit", responses((status = 200, body = VerifyView)))]
pub(super) async fn verify(State(app): State<Shared>) -> Result<Json<VerifyView>, Refused> {
    let node = std::sync::Arc::clone(&app.node);
    let view = super::blocking(move || {
        let audited = node.audit();
        VerifyView {
            ok: audited.findings.is_empty(),
            frames: audited.frames,
            bytes: audited.bytes,
            entries: audited.entries,
            decisions: audited.decisions,
            signed: audited.signed,
            root: node.report(|_| false).audit.root,
            findings: audited.findings,
        }
    });
    let view = view.await?;
    if view.ok {
        app.audited.store(app.node.clock.now().0, Ordering::Relaxed);
    }
    Ok(Json(view))
}
