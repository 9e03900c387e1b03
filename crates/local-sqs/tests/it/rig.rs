//! A model with a clock to turn, and short words for what tests do.

use std::time::Duration;

use local_sqs::model::api::{
    ChangeMessageVisibilityRequest, CreateQueueRequest, DeleteMessageRequest,
    GetQueueAttributesRequest, MessageAttributeValue, ReceiveMessageRequest, ReceivedMessage,
    SendMessageRequest, SendMessageResult, SetQueueAttributesRequest,
};
use local_sqs::model::{ApiError, ErrorKind, Millis, ModelSettings, QueueCounts, Sqs};

pub(crate) const QUEUE: &str = "q";
pub(crate) const FIFO: &str = "q.fifo";

pub(crate) struct Rig {
    pub(crate) sqs: Sqs,
    pub(crate) now: Millis,
}

pub(crate) fn url(name: &str) -> String {
    format!("http://sqs.test/000000000000/{name}")
}

pub(crate) fn arn(name: &str) -> String {
    format!("arn:aws:sqs:us-east-1:000000000000:{name}")
}

pub(crate) fn redrive_to(name: &str, max_receive_count: u32) -> String {
    format!(r#"{{"deadLetterTargetArn":"{}","maxReceiveCount":{max_receive_count}}}"#, arn(name))
}

pub(crate) fn bodies(messages: &[ReceivedMessage]) -> Vec<&str> {
    messages.iter().map(|message| message.body.as_str()).collect()
}

/// The kind of the error that something must have ended with.
pub(crate) fn refusal<T: std::fmt::Debug>(result: Result<T, ApiError>) -> ErrorKind {
    result.unwrap_err().kind
}

/// Kind and text of the error that something must have ended with.
pub(crate) fn refusal_in_words<T: std::fmt::Debug>(
    result: Result<T, ApiError>,
) -> (ErrorKind, String) {
    let error = result.unwrap_err();
    (error.kind, error.message)
}

impl Rig {
    pub(crate) fn empty() -> Self {
        Self::with_settings(ModelSettings::default())
    }

    pub(crate) fn with_settings(settings: ModelSettings) -> Self {
        Self { sqs: Sqs::new(settings), now: Millis(1_700_000_000_000) }
    }

    /// A model with the standard queue [`QUEUE`].
    pub(crate) fn standard() -> Self {
        let mut rig = Self::empty();
        rig.create(QUEUE, &[]).unwrap();
        rig
    }

    /// A model with the FIFO queue [`FIFO`], which deduplicates by content.
    pub(crate) fn fifo() -> Self {
        let mut rig = Self::empty();
        rig.create(FIFO, &[("FifoQueue", "true"), ("ContentBasedDeduplication", "true")]).unwrap();
        rig
    }

    pub(crate) fn create(
        &mut self,
        name: &str,
        attributes: &[(&str, &str)],
    ) -> Result<(), ApiError> {
        let attributes =
            attributes.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let request = CreateQueueRequest {
            queue_name: Some(name.to_owned()),
            attributes,
            ..Default::default()
        };
        self.sqs.create_queue(self.now, request).map(drop)
    }

    pub(crate) fn set(&mut self, name: &str, attribute: &str, value: &str) -> Result<(), ApiError> {
        let request = SetQueueAttributesRequest {
            queue_url: url(name),
            attributes: [(attribute.to_owned(), value.to_owned())].into(),
        };
        self.sqs.set_queue_attributes(self.now, &request)
    }

    pub(crate) fn attribute(&mut self, name: &str, attribute: &str) -> Option<String> {
        let request = GetQueueAttributesRequest {
            queue_url: url(name),
            attribute_names: vec![attribute.to_owned()],
        };
        self.sqs.get_queue_attributes(self.now, &request).unwrap().attributes.remove(attribute)
    }

    pub(crate) fn wait(&mut self, seconds: u64) {
        self.now = self.now + Duration::from_secs(seconds);
        self.sqs.advance(self.now);
    }

    pub(crate) fn send_request(
        &mut self,
        request: SendMessageRequest,
    ) -> Result<SendMessageResult, ApiError> {
        self.sqs.send_message(self.now, request)
    }

    /// Sends to the standard queue.
    pub(crate) fn send(&mut self, body: &str) -> SendMessageResult {
        let request = SendMessageRequest {
            queue_url: url(QUEUE),
            message_body: body.to_owned(),
            ..Default::default()
        };
        self.send_request(request).unwrap()
    }

    /// Sends to the FIFO queue.
    pub(crate) fn send_to_group(&mut self, group: &str, body: &str) -> SendMessageResult {
        self.send_request(fifo_message(group, body)).unwrap()
    }

    pub(crate) fn receive_request(
        &mut self,
        request: &ReceiveMessageRequest,
    ) -> Result<Vec<ReceivedMessage>, ApiError> {
        self.sqs.receive_message(self.now, request).map(|received| received.result.messages)
    }

    pub(crate) fn receive(&mut self, name: &str, most: i64) -> Vec<ReceivedMessage> {
        self.receive_request(&receive_all(name, most)).unwrap()
    }

    pub(crate) fn delete(&mut self, name: &str, handle: &str) -> Result<(), ApiError> {
        let request =
            DeleteMessageRequest { queue_url: url(name), receipt_handle: handle.to_owned() };
        self.sqs.delete_message(self.now, &request)
    }

    pub(crate) fn change(
        &mut self,
        name: &str,
        handle: &str,
        seconds: i64,
    ) -> Result<(), ApiError> {
        let request = ChangeMessageVisibilityRequest {
            queue_url: url(name),
            receipt_handle: handle.to_owned(),
            visibility_timeout: Some(seconds),
        };
        self.sqs.change_message_visibility(self.now, &request)
    }

    pub(crate) fn counts(&self, name: &str) -> (usize, usize, usize) {
        let QueueCounts { visible, in_flight, delayed } = self.sqs.counts(name).unwrap();
        (visible, in_flight, delayed)
    }
}

pub(crate) fn message(body: &str) -> SendMessageRequest {
    SendMessageRequest {
        queue_url: url(QUEUE),
        message_body: body.to_owned(),
        ..Default::default()
    }
}

pub(crate) fn attribute(data_type: &str, value: &str) -> MessageAttributeValue {
    MessageAttributeValue {
        data_type: data_type.to_owned(),
        string_value: Some(value.to_owned()),
        ..Default::default()
    }
}

pub(crate) fn fifo_message(group: &str, body: &str) -> SendMessageRequest {
    SendMessageRequest {
        queue_url: url(FIFO),
        message_body: body.to_owned(),
        message_group_id: Some(group.to_owned()),
        ..Default::default()
    }
}

/// A receive that asks for every attribute.
pub(crate) fn receive_all(name: &str, most: i64) -> ReceiveMessageRequest {
    ReceiveMessageRequest {
        queue_url: url(name),
        max_number_of_messages: Some(most),
        message_system_attribute_names: vec!["All".to_owned()],
        message_attribute_names: vec!["All".to_owned()],
        ..Default::default()
    }
}
