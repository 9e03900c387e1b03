//! One order's dead letter: found, redriven, taken out.

use anyhow::{Context, anyhow, ensure};
use aws_sdk_sqs::types::Message;
use prometheus::Registry;
use serde_json::Value;
use service_kit::settings::AwsAccess;
use sqs_consumer::{
    MAX_BATCH,
    aws::{CallMetrics, Connection, Options, classify},
};

use crate::settings::DeadLetterRoute;

/// For which a message is hidden from others while the order's own is looked for. What is not it is
/// made visible again at once; this is for the case that it cannot be.
const VISIBILITY_SECONDS: i32 = 30;
/// A receive that waits asks all of SQS's servers; one that does not may miss messages.
const WAIT_SECONDS: i32 = 1;
/// Messages that are looked at in one search, at most: more than a demonstration has, and few
/// enough to be given back in time.
const MOST: usize = 2_000;

/// The dead-letter queue and the queue that its letters come from.
#[derive(Debug)]
pub(crate) struct DeadLetters {
    connection: Connection,
    route: DeadLetterRoute,
}

impl DeadLetters {
    pub(crate) async fn open(aws: &AwsAccess, route: DeadLetterRoute) -> Self {
        let (region, endpoint, keys) = aws.parts();
        let options = Options::new(region, endpoint, keys);
        let calls = CallMetrics::register(&Registry::new());
        let connection = Connection::open(options, Some(&route.source), calls).await;
        Self { connection, route }
    }

    /// The dead-letter queue's name, as the monitor's metrics have it.
    pub(crate) fn queue(&self) -> &str {
        self.route.dead_letters.rsplit('/').next().unwrap_or_default()
    }

    /// Receives the order's dead letter; whatever else is received goes back. An error as well when
    /// it is not there, or in somebody else's hands.
    pub(crate) async fn find(&self, order_id: &str) -> anyhow::Result<Message> {
        let mut others = Vec::new();
        let found = self.search(order_id, &mut others).await;
        let seen = others.len();
        self.release(others).await?;
        found?.ok_or_else(|| anyhow!("it is not among {seen} messages that were received"))
    }

    /// Sends the letter to the source queue again, then takes it out: in this order, so that an end in
    /// between leaves two, of which the store has one effect, and never none.
    pub(crate) async fn redrive(&self, letter: Message) -> anyhow::Result<()> {
        let sent = self
            .connection
            .sending()
            .send_message()
            .queue_url(&self.route.source)
            .message_body(letter.body.as_deref().unwrap_or_default())
            .set_message_attributes(letter.message_attributes.clone())
            .send();
        Box::pin(sent).await.map_err(|error| classify(&error)).context("sending it")?;
        self.take_out(letter).await
    }

    /// Deletes the letter.
    pub(crate) async fn take_out(&self, letter: Message) -> anyhow::Result<()> {
        let deleted = self
            .connection
            .settling()
            .delete_message()
            .queue_url(&self.route.dead_letters)
            .set_receipt_handle(letter.receipt_handle)
            .send();
        Box::pin(deleted).await.map_err(|error| classify(&error)).context("deleting it")?;
        Ok(())
    }

    /// Receives until the letter comes or nothing more does.
    async fn search(
        &self,
        order_id: &str,
        others: &mut Vec<Message>,
    ) -> anyhow::Result<Option<Message>> {
        loop {
            let batch = self.receive().await?;
            if batch.is_empty() {
                return Ok(None);
            }
            let mut found = None;
            for message in batch {
                if found.is_none() && is_about(&message, order_id) {
                    found = Some(message);
                } else {
                    others.push(message);
                }
            }
            if found.is_some() {
                return Ok(found);
            }
            ensure!(others.len() < MOST, "it is not among the first {MOST} dead letters");
        }
    }

    async fn receive(&self) -> anyhow::Result<Vec<Message>> {
        let asked = self
            .connection
            .receiving()
            .receive_message()
            .queue_url(&self.route.dead_letters)
            .max_number_of_messages(i32::try_from(MAX_BATCH).unwrap_or(1))
            .wait_time_seconds(WAIT_SECONDS)
            .visibility_timeout(VISIBILITY_SECONDS)
            .message_attribute_names("All")
            .send();
        let answer = Box::pin(asked).await.map_err(|error| classify(&error));
        Ok(answer.context("receiving dead letters")?.messages.unwrap_or_default())
    }

    async fn release(&self, messages: Vec<Message>) -> anyhow::Result<()> {
        for message in messages {
            let changed = self
                .connection
                .settling()
                .change_message_visibility()
                .queue_url(&self.route.dead_letters)
                .set_receipt_handle(message.receipt_handle)
                .visibility_timeout(0)
                .send();
            Box::pin(changed).await.map_err(|error| classify(&error)).context("giving one back")?;
        }
        Ok(())
    }
}

/// Whether the message is this order's.
fn is_about(message: &Message, order_id: &str) -> bool {
    let body = message.body.as_deref().unwrap_or_default();
    let order = serde_json::from_str::<Value>(body).unwrap_or_default();
    order["orderId"] == order_id
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(body: &str) -> Message {
        Message::builder().body(body).build()
    }

    #[test]
    fn a_letter_is_known_by_the_order_in_it_and_not_by_words_that_look_like_it() {
        assert!(is_about(&message(r#"{"customerId":"c","orderId":"o-1"}"#), "o-1"));
        assert!(!is_about(&message(r#"{"orderId":"o-2","note":"o-1"}"#), "o-1"));
        assert!(!is_about(&message("o-1"), "o-1"));
        assert!(!is_about(&message("[1]"), "o-1"));
        assert!(!is_about(&Message::builder().build(), "o-1"));
    }
}
