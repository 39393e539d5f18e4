//! `/v1/audit`: the chains, what they add up to, and whether they hold.

use std::sync::atomic::Ordering;

use axum::Json;
use axum::extract::State;
use quietus_core::merkle::Tree;
use serde::Deserialize;
use utoipa::IntoParams;

use super::Shared;
use super::extract::Asked;
use super::page::Paging;
use super::problem::Refused;
use crate::audit::{Entry, chain};
use crate::surface::wire::{DigestView, EntryView, Page, VerifyView};

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

#[utoipa::path(post, path = "/v1/audit/verify", tag = "audit", responses((status = 200, body = VerifyView)))]
pub(super) async fn verify(State(app): State<Shared>) -> Result<Json<VerifyView>, Refused> {
    let node = std::sync::Arc::clone(&app.node);
    let view = super::blocking(move || {
        let mut view = VerifyView::default();
        let mut roots = Tree::default();
        for partition in node.partitions.iter() {
            let inner = partition.read();
            view.entries += inner.chain.entries().len() as u64;
            view.decisions += inner.chain.decisions();
            view.findings.extend(chain::follows(inner.chain.entries()).err());
            roots.push(inner.chain.root());
        }
        view.root = data_encoding::HEXLOWER.encode(&roots.root());
        view.ok = view.findings.is_empty();
        view
    });
    let view = view.await?;
    if view.ok {
        app.audited.store(app.node.clock.now().0, Ordering::Relaxed);
    }
    Ok(Json(view))
}
