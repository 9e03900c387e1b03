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
    let (limit, before) = numbered(uri.query().unwrap_or_default())?;
    let found = api.store.audit_page(before, limit + 1).await;
    let found = found.map_err(|error| store_failed(&error))?;
    let cursor = |entry: &AuditEntry| numbered_cursor(entry.id);
    Ok(Json(Page::cut(found, limit, cursor, AuditView::from)))
}
