//! Deleting, while a queue is looked at, what a job has copied or archived and left behind.

use std::collections::HashSet;

use order_store::StoreError;
use sqs_consumer::{Message, Queue as _, QueueError, aws::AwsQueue};
use tracing::{info, warn};

use crate::keeper::Keeper;

/// What one scan does with messages that are done with.
pub(super) struct Finishing<'a> {
    queue: &'a AwsQueue,
    keeper: &'a Keeper,
    /// Whether there may be some, and SQS is not known to refuse to delete them.
    goes_on: bool,
    deleted: usize,
    failed: usize,
    first_error: Option<QueueError>,
}

impl<'a> Finishing<'a> {
    pub(super) fn new(queue: &'a AwsQueue, keeper: &'a Keeper, there_are_some: bool) -> Self {
        Self { queue, keeper, goes_on: there_are_some, deleted: 0, failed: 0, first_error: None }
    }

    /// Deletes those of the messages whose copies are confirmed by the source queue, or that are in the
    /// archive, and that a job has left behind; gives their ids. What cannot be deleted is shown again.
    /// Once SQS has refused all of a receive's, the next scan tries again: until then each call would
    /// only take its time, while what is received is hidden.
    pub(super) async fn finish(
        &mut self,
        messages: &[Message],
    ) -> Result<HashSet<String>, StoreError> {
        if !self.goes_on {
            return Ok(HashSet::new());
        }
        let left_behind = self.left_behind(messages).await?;
        if left_behind.is_empty() {
            return Ok(HashSet::new());
        }
        let handles = left_behind.iter().map(|message| message.receipt_handle.clone()).collect();
        let (mut deleted, mut refused) = (Vec::new(), 0);
        for (message, result) in left_behind.iter().zip(self.queue.delete(handles).await) {
            match result {
                Ok(()) => deleted.push(message.message_id.as_str()),
                Err(error) => {
                    // That it is another's by now says nothing of the next one.
                    refused += usize::from(!matches!(error, QueueError::LeaseOver(_)));
                    self.failed += 1;
                    self.first_error.get_or_insert(error);
                }
            }
        }
        self.goes_on = refused < left_behind.len();
        self.keeper.store.delete_dead_letters(self.queue.name(), &deleted).await?;
        self.deleted += deleted.len();
        Ok(deleted.into_iter().map(str::to_owned).collect())
    }

    async fn left_behind<'m>(
        &self,
        messages: &'m [Message],
    ) -> Result<Vec<&'m Message>, StoreError> {
        let ids: Vec<&str> = messages.iter().map(|message| message.message_id.as_str()).collect();
        let letters = self.keeper.store.dead_letters_of(self.queue.name(), &ids).await?;
        let undeleted: HashSet<String> = letters
            .into_iter()
            .filter(|letter| letter.state.is_undeleted())
            .map(|letter| letter.message_id)
            .collect();
        Ok(messages.iter().filter(|message| undeleted.contains(&message.message_id)).collect())
    }

    /// Tells what came of it, once for a scan.
    pub(super) fn tell(self) {
        let (queue, messages) = (self.queue.name(), self.deleted);
        if messages > 0 {
            info!(queue, messages, "messages that were redriven or discarded before are deleted");
        }
        if let Some(error) = self.first_error {
            let messages = self.failed;
            warn!(queue, messages, %error, "messages that are done with are not deleted");
        }
    }
}
