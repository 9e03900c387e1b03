//! The dead-letter queue of an [`AwsQueue`]: by which policy, and whether it can be one.

use aws_sdk_sqs::types::QueueAttributeName;

use super::{AwsQueue, classify, queue::bytes};
use crate::queue::{Queue, QueueError};

impl AwsQueue {
    /// Whether the dead-letter queue is there and another one than this; `MaximumMessageSize` of it. Where
    /// this may not be known, for want of a permission that is not needed otherwise, it is taken for granted.
    pub(super) async fn check_dead_letter_queue(&self) -> Result<Option<usize>, QueueError> {
        let Some(url) = self.dead_letter_url() else {
            return Ok(None);
        };
        if url.trim_end_matches('/') == self.url().trim_end_matches('/') {
            return Err(QueueError::Rejected(format!(
                "the queue is given as its own dead-letter queue ({url}): give the URL of another one"
            )));
        }
        if url.ends_with(".fifo") != self.name().ends_with(".fifo") {
            return Err(QueueError::Rejected(format!(
                "the dead-letter queue ({url}) must be of the same kind as the queue, FIFO or standard"
            )));
        }
        let call = self
            .connection()
            .settling()
            .get_queue_attributes()
            .queue_url(&*url)
            .attribute_names(QueueAttributeName::QueueArn)
            .attribute_names(QueueAttributeName::MaximumMessageSize)
            .send();
        match Box::pin(call).await.map_err(|error| classify(&error)) {
            Err(QueueError::NoSuchQueue(text)) => {
                Err(QueueError::NoSuchQueue(format!("the dead-letter queue ({url}): {text}")))
            }
            Err(_) => Ok(None),
            Ok(answer) => {
                let attributes = answer.attributes.unwrap_or_default();
                let largest = attributes.get(&QueueAttributeName::MaximumMessageSize);
                Ok(largest.and_then(|largest| bytes(largest)))
            }
        }
    }
}

/// The name of the dead-letter queue in a redrive policy, the last part of its ARN.
pub(super) fn dead_letter_target(policy: &str) -> Option<String> {
    let policy: serde_json::Value = serde_json::from_str(policy).ok()?;
    let name = policy["deadLetterTargetArn"].as_str()?.rsplit(':').next()?;
    (!name.is_empty()).then(|| name.to_owned())
}

/// The URL of another queue of the same account and region, as a dead-letter queue must be.
pub(super) fn sibling(url: &str, name: &str) -> String {
    let url = url.trim_end_matches('/');
    url.rsplit_once('/').map_or_else(|| name.to_owned(), |(base, _)| format!("{base}/{name}"))
}

/// Whether two URLs end in the same account and name: a queue can be reached by several hosts.
pub(super) fn is_same_queue(one: &str, other: &str) -> bool {
    let (one, other) = (one.trim_end_matches('/'), other.trim_end_matches('/'));
    one.rsplit('/').zip(other.rsplit('/')).take(2).all(|(one, other)| one == other)
}

pub(super) fn max_receive_count(policy: &str) -> Option<u32> {
    let policy: serde_json::Value = serde_json::from_str(policy).ok()?;
    // AWS accepts and returns the count as a number or as text.
    let count = &policy["maxReceiveCount"];
    count.as_u64().or_else(|| count.as_str()?.parse().ok())?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_dead_letter_queue_is_found_in_the_redrive_policy() {
        let policy =
            r#"{"deadLetterTargetArn":"arn:aws:sqs:eu-west-1:123:dead.fifo","maxReceiveCount":3}"#;
        let name = dead_letter_target(policy).unwrap();
        let url = "https://sqs.eu-west-1.amazonaws.com/123/orders.fifo";
        assert_eq!(sibling(url, &name), "https://sqs.eu-west-1.amazonaws.com/123/dead.fifo");
        assert_eq!(dead_letter_target("{}"), None);
    }

    #[test]
    fn a_queue_is_the_same_by_whatever_host_it_is_reached() {
        let url = "https://sqs.eu-west-1.amazonaws.com/123/dead";
        assert!(is_same_queue(url, "https://vpce-1.sqs.eu-west-1.vpce.amazonaws.com/123/dead/"));
        assert!(!is_same_queue(url, "https://sqs.eu-west-1.amazonaws.com/123/dead-2"));
        assert!(!is_same_queue(url, "https://sqs.eu-west-1.amazonaws.com/124/dead"));
    }

    #[test]
    fn the_receive_count_limit_is_read_as_number_or_text() {
        assert_eq!(max_receive_count(r#"{"maxReceiveCount":3}"#), Some(3));
        assert_eq!(max_receive_count(r#"{"maxReceiveCount":"5"}"#), Some(5));
        assert_eq!(max_receive_count("{}"), None);
    }
}
