//! Who did what and why.

use std::sync::Arc;

use axum::{Json, extract::State, http::Uri};
use order_store::AuditEntry;
use service_kit::Problem;

use super::{
    Api,
    query::{numbered, numbered_cursor},
    store_failed,
    views::{AuditView, Page},
};

/// `GET /api/dlq/audit`.
pub(super) async fn list(
    State(api): State<Arc<Api>>,
    uri: Uri,
) -> Result<Json<Page<AuditView>>, Problem> {
    page(&api, uri.query().unwrap_or_default()).await.map(Json)
}

/// A page of the audit log.
pub(crate) async fn page(api: &Api, query: &str) -> Result<Page<AuditView>, Problem> {
    let (limit, before) = numbered(query)?;
    let found = api.store.audit_page(before, limit + 1).await;
    let found = found.map_err(|error| store_failed(&error))?;
    let cursor = |entry: &AuditEntry| numbered_cursor(entry.id);
    Ok(Page::cut(found, limit, cursor, AuditView::from))
}
