//! What the queues are like.

use std::{collections::BTreeMap, sync::Arc};

use axum::{Json, extract::State};
use futures_util::future::join_all;
use jiff::{SignedDuration, Timestamp};
use order_store::Undeleted;
use serde::Serialize;

use super::Api;
use crate::observe::{Coverage, Look, Role};

#[derive(Debug, Serialize)]
pub(crate) struct Queues {
    pub(crate) queues: Vec<QueueView>,
}

/// One queue; its numbers are null until it has been read.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct QueueView {
    pub(crate) queue: String,
    pub(crate) role: &'static str,
    pub(crate) observed_at: Option<Timestamp>,
    pub(crate) visible: Option<u64>,
    pub(crate) in_flight: Option<u64>,
    pub(crate) delayed: Option<u64>,
    pub(crate) retention_seconds: Option<u64>,
    /// Of a dead-letter queue.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) dead_letters: Option<DeadLettersView>,
    /// Why the queue cannot be read now.
    pub(crate) error: Option<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DeadLettersView {
    /// How many are known, by reason; null: the store does not answer.
    pub(crate) by_reason: Option<BTreeMap<String, u64>>,
    pub(crate) known: Option<u64>,
    /// How many more are redriven or discarded already, and still to be deleted from the queue; null: the
    /// store does not answer.
    pub(crate) undeleted: Option<u64>,
    /// Where they go back to; null: that is not set up.
    pub(crate) source: Option<String>,
    /// How far the last scan came; null: there was none yet.
    pub(crate) scan: Option<ScanView>,
    /// When SQS took the oldest message that was seen.
    pub(crate) oldest_sent_at: Option<Timestamp>,
    /// When SQS deletes it.
    pub(crate) next_expiry_at: Option<Timestamp>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ScanView {
    pub(crate) at: Timestamp,
    /// Whether it saw every message that SQS counts.
    pub(crate) complete: bool,
    pub(crate) seen: u64,
}

/// `GET /api/dlq/queues`.
pub(super) async fn queues(State(api): State<Arc<Api>>) -> Json<Queues> {
    Json(overview(&api).await)
}

/// Every queue as it was last looked at.
pub(crate) async fn overview(api: &Api) -> Queues {
    let looks = Arc::clone(&api.looks.borrow());
    let queues = looks.iter().map(|look| view(api, look));
    Queues { queues: join_all(queues).await }
}

async fn view(api: &Api, look: &Look) -> QueueView {
    let found = look.found.as_ref();
    let dead_letters = match look.role {
        Role::Dlq => Some(dead_letters(api, look).await),
        Role::Source => None,
    };
    QueueView {
        queue: look.queue.clone(),
        role: look.role.as_str(),
        observed_at: found.map(|found| found.at),
        visible: found.map(|found| found.counts.visible),
        in_flight: found.map(|found| found.counts.in_flight),
        delayed: found.map(|found| found.counts.delayed),
        retention_seconds: found.and_then(|found| found.retention_seconds),
        dead_letters,
        error: look.error.clone(),
    }
}

async fn dead_letters(api: &Api, look: &Look) -> DeadLettersView {
    let by_reason = api.store.dead_letter_reasons(&look.queue).await.ok();
    let undeleted = api.store.undeleted(&look.queue).await.ok().map(Undeleted::total);
    let found = look.found.as_ref();
    let coverage = found.and_then(|found| found.coverage);
    let oldest = coverage
        .and_then(|coverage| coverage.oldest_ms)
        .and_then(|ms| Timestamp::from_millisecond(i64::try_from(ms).ok()?).ok());
    let retention = found.and_then(|found| found.retention_seconds);
    let expiry = oldest.zip(retention).and_then(|(oldest, seconds)| {
        oldest.checked_add(SignedDuration::from_secs(i64::try_from(seconds).ok()?)).ok()
    });
    let queue = api.queues.iter().find(|queue| queue.name() == look.queue);
    let scan = |Coverage { at, complete, seen, .. }| ScanView { at, complete, seen };
    DeadLettersView {
        known: by_reason.as_ref().map(|reasons| reasons.values().sum()),
        by_reason,
        undeleted,
        source: queue.and_then(|queue| queue.source_name()).map(str::to_owned),
        scan: coverage.map(scan),
        oldest_sent_at: oldest,
        next_expiry_at: expiry,
    }
}
