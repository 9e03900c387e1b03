//! How much waits in the queues, as SQS counts it.

use std::{collections::HashMap, time::Duration};

use aws_sdk_sqs::types::QueueAttributeName;
use jiff::Timestamp;
use serde::Serialize;
use sqs_consumer::aws::{Connection, classify};
use tokio::time::timeout;
use tracing::debug;

use crate::figures::Kept;

/// A question to SQS is a request that is billed: at most one a queue in this time, whoever asks.
const KEPT: Duration = Duration::from_secs(15);
/// Whoever asks for the status does not wait longer for SQS.
const PATIENCE: Duration = Duration::from_secs(2);

/// What is in a queue: approximate numbers (AWS SQS API reference, `GetQueueAttributes`).
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Backlog {
    /// Messages that can be received.
    visible: u64,
    /// Messages that are received and not yet deleted.
    in_flight: u64,
    /// Messages that are not yet to be received.
    delayed: u64,
    /// When SQS said so.
    as_of: Timestamp,
}

/// One queue's backlog.
pub(crate) struct Watched {
    connection: Connection,
    name: String,
    url: String,
    kept: Kept<Backlog>,
}

impl Watched {
    pub(crate) fn new(connection: Connection, name: &str, url: &str) -> Self {
        Self { connection, name: name.to_owned(), url: url.to_owned(), kept: Kept::new(KEPT) }
    }

    /// The queue's name.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// What is in the queue; none when SQS does not say.
    pub(crate) async fn backlog(&self) -> Option<Backlog> {
        self.kept.get(self.ask()).await
    }

    async fn ask(&self) -> Option<Backlog> {
        use QueueAttributeName::{
            ApproximateNumberOfMessages, ApproximateNumberOfMessagesDelayed,
            ApproximateNumberOfMessagesNotVisible,
        };
        let call = self.connection.settling().get_queue_attributes().queue_url(&self.url);
        let call = call.set_attribute_names(Some(vec![
            ApproximateNumberOfMessages,
            ApproximateNumberOfMessagesDelayed,
            ApproximateNumberOfMessagesNotVisible,
        ]));
        let queue = self.name();
        let attributes: HashMap<QueueAttributeName, String> =
            match timeout(PATIENCE, Box::pin(call.send())).await {
                Ok(Ok(answer)) => answer.attributes.unwrap_or_default(),
                Ok(Err(error)) => {
                    debug!(queue, error = %classify(&error), "the backlog is not known");
                    return None;
                }
                Err(_) => {
                    debug!(queue, "SQS does not tell the backlog in time");
                    return None;
                }
            };
        let number = |name| attributes.get(&name)?.parse().ok();
        Some(Backlog {
            visible: number(ApproximateNumberOfMessages)?,
            in_flight: number(ApproximateNumberOfMessagesNotVisible)?,
            delayed: number(ApproximateNumberOfMessagesDelayed).unwrap_or(0),
            as_of: Timestamp::now(),
        })
    }
}
