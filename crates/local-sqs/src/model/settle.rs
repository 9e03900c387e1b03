//! Settling what was received: deletes and changes of visibility.

use std::time::Duration;

use super::api::{
    BatchResult, BatchResultEntry, ChangeMessageVisibilityBatchRequest,
    ChangeMessageVisibilityRequest, DeleteMessageBatchRequest, DeleteMessageRequest,
};
use super::error::{ApiError, ErrorKind};
use super::handle::Receipt;
use super::message::MessageState;
use super::time::Millis;
use super::{EntryFails, Sqs, limits, settle_entries, validate};

impl Sqs {
    /// DeleteMessage.
    pub fn delete_message(
        &mut self,
        now: Millis,
        request: &DeleteMessageRequest,
    ) -> Result<(), ApiError> {
        let name = self.open(now, &request.queue_url)?;
        let result = self.delete(&name, &request.receipt_handle);
        self.close(&name);
        result
    }

    /// DeleteMessageBatch. Each entry has its own fate.
    pub fn delete_message_batch(
        &mut self,
        now: Millis,
        request: DeleteMessageBatchRequest,
    ) -> Result<BatchResult<BatchResultEntry>, ApiError> {
        self.delete_message_batch_with(now, request, &mut |_| None)
    }

    pub(super) fn delete_message_batch_with(
        &mut self,
        now: Millis,
        request: DeleteMessageBatchRequest,
        fails: EntryFails<'_>,
    ) -> Result<BatchResult<BatchResultEntry>, ApiError> {
        let name = self.open(now, &request.queue_url)?;
        let ids = request.entries.iter().map(|entry| entry.id.as_str());
        validate::batch("DeleteMessageBatchRequestEntry", ids)?;
        let result = settle_entries(
            request.entries,
            fails,
            |entry| entry.id.clone(),
            |entry| {
                self.delete(&name, &entry.receipt_handle)?;
                Ok(BatchResultEntry { id: entry.id })
            },
        );
        self.close(&name);
        Ok(result)
    }

    /// ChangeMessageVisibility.
    pub fn change_message_visibility(
        &mut self,
        now: Millis,
        request: &ChangeMessageVisibilityRequest,
    ) -> Result<(), ApiError> {
        let name = self.open(now, &request.queue_url)?;
        let result = self.change(&name, &request.receipt_handle, request.visibility_timeout);
        self.close(&name);
        result
    }

    /// ChangeMessageVisibilityBatch. Each entry has its own fate.
    pub fn change_message_visibility_batch(
        &mut self,
        now: Millis,
        request: ChangeMessageVisibilityBatchRequest,
    ) -> Result<BatchResult<BatchResultEntry>, ApiError> {
        self.change_message_visibility_batch_with(now, request, &mut |_| None)
    }

    pub(super) fn change_message_visibility_batch_with(
        &mut self,
        now: Millis,
        request: ChangeMessageVisibilityBatchRequest,
        fails: EntryFails<'_>,
    ) -> Result<BatchResult<BatchResultEntry>, ApiError> {
        let name = self.open(now, &request.queue_url)?;
        let ids = request.entries.iter().map(|entry| entry.id.as_str());
        validate::batch("ChangeMessageVisibilityBatchRequestEntry", ids)?;
        let result = settle_entries(
            request.entries,
            fails,
            |entry| entry.id.clone(),
            |entry| {
                self.change(&name, &entry.receipt_handle, entry.visibility_timeout)?;
                Ok(BatchResultEntry { id: entry.id })
            },
        );
        self.close(&name);
        Ok(result)
    }

    /// Deleting what is already deleted succeeds. A standard queue also says yes to a handle that is
    /// not the message's newest, without deleting; a FIFO queue refuses it once it has expired.
    fn delete(&mut self, name: &str, handle: &str) -> Result<(), ApiError> {
        let queue = self.queues.get_mut(name).ok_or_else(ApiError::queue_does_not_exist)?;
        let receipt = Receipt::decode(handle, queue.incarnation)?;
        let Some(message) = queue.messages.get(&receipt.seq) else {
            return Ok(());
        };
        let newest = message.receipt == receipt.receive;
        let in_flight = matches!(message.state, MessageState::InFlight { .. });
        if queue.is_fifo() && !(newest && in_flight) {
            return Err(expired(handle));
        }
        if newest {
            queue.remove(receipt.seq);
        }
        Ok(())
    }

    fn change(&mut self, name: &str, handle: &str, seconds: Option<i64>) -> Result<(), ApiError> {
        let now = self.now;
        let total = self.limits.total_visibility_timeout;
        let queue = self.queues.get_mut(name).ok_or_else(ApiError::queue_does_not_exist)?;
        let seconds = seconds.ok_or_else(|| ApiError::missing("VisibilityTimeout"))?;
        if !limits::VISIBILITY_SECONDS.contains(&seconds) {
            return Err(ApiError::invalid_value(
                seconds,
                "VisibilityTimeout",
                "VisibilityTimeout must be an integer between 0 and 43200",
            ));
        }
        let timeout = Duration::from_secs(seconds.unsigned_abs());
        let receipt = Receipt::decode(handle, queue.incarnation)?;
        let fifo = queue.is_fifo();
        let Some(message) = queue.messages.get_mut(&receipt.seq) else {
            return Err(ApiError::invalid_value(
                handle,
                "ReceiptHandle",
                "Message does not exist or is not available for visibility timeout change.",
            ));
        };
        let newest = message.receipt == receipt.receive;
        // A standard queue lets an older handle change the visibility that a newer receive gave.
        let since = match message.state {
            MessageState::InFlight { since, .. } if newest || !fifo => since,
            _ if fifo => return Err(expired(handle)),
            // Documented is MessageNotInflight. AWS was seen to accept a change after the timeout was
            // over, and to release twice, and to do nothing then.
            _ if !message.released || timeout.is_zero() => return Ok(()),
            _ => return Err(not_in_flight(handle)),
        };
        if (now + timeout).since(since) > total {
            return Err(ApiError::invalid_value(
                seconds,
                "VisibilityTimeout",
                format!(
                    "Total VisibilityTimeout for the message is beyond the limit [{} seconds]",
                    total.as_secs()
                ),
            ));
        }
        message.visibility_changed = true;
        message.released = timeout.is_zero();
        let state = if timeout.is_zero() {
            MessageState::Visible
        } else {
            MessageState::InFlight { until: now + timeout, since }
        };
        queue.set_state(receipt.seq, state);
        Ok(())
    }
}

fn expired(handle: &str) -> ApiError {
    ApiError::invalid_value(handle, "ReceiptHandle", "The receipt handle has expired.")
}

fn not_in_flight(handle: &str) -> ApiError {
    ApiError::new(
        ErrorKind::MessageNotInflight,
        format!(
            "Value {handle} for parameter ReceiptHandle is invalid. Reason: Message does not exist or is not available for visibility timeout change."
        ),
    )
}
