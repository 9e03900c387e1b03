//! One SendMessage per order.

use super::{Confirmed, PreparedOrder, PublishError, QueueType};
use crate::body::LARGEST;
use aws_sdk_sqs::{Client, types::MessageAttributeValue};
use service_kit::telemetry;
use sqs_consumer::{QueueError, aws::classify};
use std::sync::atomic::{AtomicBool, Ordering};
use tracing::{Instrument, Span, field};

/// The message attribute that carries the W3C trace context.
const TRACEPARENT: &str = "traceparent";
/// Its data type.
const STRING: &str = "String";

/// Sends to one queue.
#[derive(Debug)]
pub(super) struct Sender {
    client: Client,
    url: String,
    destination: String,
    queue: QueueType,
    /// Whether messages carry their group. On a standard queue that makes it a fair one, which
    /// servers that imitate an older SQS refuse.
    grouped: AtomicBool,
}

impl Sender {
    pub(super) fn new(client: Client, url: &str, queue: QueueType) -> Self {
        let destination = url.rsplit('/').next().unwrap_or(url).to_owned();
        let grouped = AtomicBool::new(true);
        Self { client, url: url.to_owned(), destination, queue, grouped }
    }

    /// The queue's name.
    pub(super) fn destination(&self) -> &str {
        &self.destination
    }

    pub(super) async fn send(&self, order: &PreparedOrder) -> Result<Confirmed, PublishError> {
        let span = tracing::info_span!(
            "send",
            otel.name = format_args!("send {}", self.destination),
            otel.kind = "producer",
            messaging.system = "aws_sqs",
            messaging.operation.type = "send",
            messaging.destination.name = self.destination,
            messaging.message.id = field::Empty,
            order_id = %order.order_id,
        );
        self.send_in_span(order).instrument(span).await
    }

    async fn send_in_span(&self, order: &PreparedOrder) -> Result<Confirmed, PublishError> {
        let grouped = self.grouped.load(Ordering::Relaxed);
        let mut sent = self.call(order, grouped).await;
        if self.may_be_the_group(&sent) && grouped {
            sent = self.call(order, false).await;
            if sent.is_ok() && self.grouped.swap(false, Ordering::Relaxed) {
                tracing::warn!(
                    queue = self.destination,
                    "this SQS does not take a MessageGroupId on a standard queue: sending without, \
                     so that one busy customer can delay the others"
                );
            }
        }
        if let Ok(confirmed) = &sent {
            Span::current().record("messaging.message.id", &confirmed.message_id);
        }
        sent
    }

    /// Older servers answer `InvalidParameterValue`, or a text that names the parameter; what else is
    /// wrong with a message stays wrong when it is sent again without its group.
    fn may_be_the_group(&self, sent: &Result<Confirmed, PublishError>) -> bool {
        self.queue == QueueType::Standard
            && matches!(sent, Err(PublishError::Refused(QueueError::Rejected(_))))
    }

    async fn call(&self, order: &PreparedOrder, grouped: bool) -> Result<Confirmed, PublishError> {
        let traceparent = telemetry::current_traceparent();
        // SQS counts names, types and values of the attributes too (AWS SQS quotas).
        let attributes =
            traceparent.as_ref().map_or(0, |value| TRACEPARENT.len() + STRING.len() + value.len());
        if order.body.len() + attributes > LARGEST {
            return Err(PublishError::TooLarge);
        }
        let mut call =
            self.client.send_message().queue_url(&self.url).message_body(order.body.as_str());
        if grouped || self.queue == QueueType::Fifo {
            call = call.message_group_id(&order.group_id);
        }
        if self.queue == QueueType::Fifo {
            call = call.message_deduplication_id(order.order_id.to_string());
        }
        if let Some(traceparent) = traceparent {
            let value = MessageAttributeValue::builder()
                .data_type(STRING)
                .string_value(traceparent)
                .build()
                .expect("the data type is set");
            call = call.message_attributes(TRACEPARENT, value);
        }
        match call.send().await {
            Ok(answer) => {
                // An answer without a message id confirms nothing.
                let message_id = answer.message_id.ok_or_else(|| {
                    let text = "the answer names no message id".to_owned();
                    PublishError::Refused(QueueError::Unavailable(text))
                })?;
                Ok(Confirmed { message_id })
            }
            Err(error) => Err(PublishError::Refused(classify(&error))),
        }
    }
}
