//! Dead letters: lists, and one with everything that is known of it.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, State, rejection::PathRejection},
    http::Uri,
};
use order_store::{Attempts, DeadLetter, StoreError};
use serde_json::Value;
use service_kit::{Problem, telemetry};

use super::{
    Api, kinds,
    query::{Letters, letter_cursor},
    store_failed,
    views::{AttemptView, LetterView, Page, WholeLetterView, parsed},
};

/// Attempts that are told of, at most.
const ATTEMPTS_TOLD: u32 = 100;

/// `GET /api/dlq/messages`.
pub(super) async fn list(
    State(api): State<Arc<Api>>,
    uri: Uri,
) -> Result<Json<Page<LetterView>>, Problem> {
    let asked = Letters::read(uri.query().unwrap_or_default())?;
    page(&api, &asked).await.map(Json)
}

/// A page of dead letters.
pub(crate) async fn page(api: &Api, asked: &Letters) -> Result<Page<LetterView>, Problem> {
    let queues = match &asked.queue {
        Some(name) => vec![api.queue(name)?.name()],
        None => api.queue_names(),
    };
    let Letters { state, filter, limit, after, .. } = asked;
    let page = api.store.dead_letter_page(&queues, *state, filter, *after, *limit).await;
    let page = page.map_err(|error| store_failed(&error))?;
    let items = page.letters.into_iter().map(|letter| api.view(letter)).collect();
    Ok(Page { items, next_cursor: page.next.map(letter_cursor) })
}

/// `GET /api/dlq/messages/{queue}/{messageId}`.
pub(super) async fn show(
    State(api): State<Arc<Api>>,
    path: Result<Path<(String, String)>, PathRejection>,
) -> Result<Json<WholeLetterView>, Problem> {
    let Path((queue, message_id)) = path.map_err(|_| unknown())?;
    whole(&api, &queue, &message_id).await.map(Json)
}

/// A dead letter with everything that is known of it.
pub(crate) async fn whole(
    api: &Api,
    queue: &str,
    message_id: &str,
) -> Result<WholeLetterView, Problem> {
    let queue = api.queue(queue)?.name();
    let whole = api.find(queue, message_id).await.map_err(|error| store_failed(&error))?;
    whole.ok_or_else(unknown)
}

/// What is answered where there is no such dead letter.
pub(crate) fn unknown() -> Problem {
    kinds::UNKNOWN_MESSAGE.problem().detail("the queue has no such dead letter")
}

impl Api {
    /// A letter, as lists have it.
    pub(super) fn view(&self, letter: DeadLetter) -> LetterView {
        let looks = self.looks.borrow();
        let look = looks.iter().find(|look| look.queue == letter.queue);
        let found = look.and_then(|look| look.found.as_ref());
        LetterView::new(letter, found.and_then(|found| found.retention_seconds))
    }

    async fn find(
        &self,
        queue: &str,
        message_id: &str,
    ) -> Result<Option<WholeLetterView>, StoreError> {
        let mut letters = self.store.dead_letters_of(queue, &[message_id]).await?;
        let Some(letter) = letters.pop() else { return Ok(None) };
        let Some(content) = self.store.dead_letter_content(queue, message_id).await? else {
            return Ok(None);
        };
        let attributes = parsed(&content.attributes);
        let (delivery, attempts) = match letter.order_id {
            Some(order_id) => tokio::try_join!(
                self.store.find(order_id),
                self.store.attempts(order_id, ATTEMPTS_TOLD)
            )?,
            None => (None, self.attempts_without_order(&letter, &attributes).await?),
        };
        let trace_id = trace_id(&attributes);
        let trace_url = self.trace_url.as_ref().zip(trace_id.as_ref());
        Ok(Some(WholeLetterView {
            trace_url: trace_url.map(|(url, id)| url.replace("{traceId}", id)),
            trace_id,
            body_bytes: content.body.len(),
            body: content.body,
            attributes,
            delivery_status: delivery.map(|delivery| delivery.status),
            attempt_count: attempts.total,
            delivery_attempts: attempts.newest.into_iter().map(AttemptView::from).collect(),
            letter: self.view(letter),
        }))
    }

    /// A worker knows a message that is no order by the id that it had in its source queue.
    async fn attempts_without_order(
        &self,
        letter: &DeadLetter,
        attributes: &Value,
    ) -> Result<Attempts, StoreError> {
        let source_id = attributes[sqs_consumer::aws::DEAD_LETTER_SOURCE_ID]["value"].as_str();
        let message_id = source_id.unwrap_or(&letter.message_id);
        let mut newest = self.store.attempts_without_order(message_id).await?;
        let total = newest.len() as u64;
        newest.drain(..newest.len().saturating_sub(ATTEMPTS_TOLD as usize));
        Ok(Attempts { total, newest })
    }
}

/// The trace that the message's producer belongs to.
fn trace_id(attributes: &Value) -> Option<String> {
    telemetry::trace_id_of(attributes["traceparent"]["value"].as_str()?)
}
