//! Typed requests and answers, one pair for each operation of the SQS API.
//!
//! The fields and their spelling follow the
//! [API reference](https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_Operations.html).
//! They know nothing of a wire protocol beyond serde's derived JSON; a translator for another protocol
//! builds the same values. A required field that is absent is the default value here and is refused by
//! the model, so that every protocol answers alike. Queue URLs in answers are paths
//! (`/000000000000/name`) until [`Response::with_endpoint`] makes them whole.
#![allow(missing_docs)] // The fields are AWS's own, documented in its API reference.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeOwned, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

/// Bytes that travel as base64.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Blob(pub Vec<u8>);

impl Serialize for Blob {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&BASE64.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Blob {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        BASE64.decode(&text).map(Self).map_err(serde::de::Error::custom)
    }
}

/// A message attribute or a message system attribute.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase", remote = "Self")]
pub struct MessageAttributeValue {
    pub data_type: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub string_value: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub binary_value: Option<Blob>,
    #[serde(skip_serializing)]
    pub string_list_values: Vec<String>,
    #[serde(skip_serializing)]
    pub binary_list_values: Vec<Blob>,
}

impl Serialize for MessageAttributeValue {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // What serde derived, which `remote` has made a plain function.
        Self::serialize(self, serializer)
    }
}

/// Reads a request. A field that is null is as good as absent, which only few clients need.
fn read_json<T: DeserializeOwned>(body: &[u8]) -> serde_json::Result<T> {
    serde_json::from_slice(body).or_else(|error| {
        let mut value: Value = serde_json::from_slice(body)?;
        // Without nulls the first error is the one that tells something.
        if !drop_nulls(&mut value) {
            return Err(error);
        }
        serde_json::from_value(value)
    })
}

/// Takes null fields out of objects, and tells whether there were any.
fn drop_nulls(value: &mut Value) -> bool {
    match value {
        Value::Object(fields) => {
            let before = fields.len();
            fields.retain(|_, field| !field.is_null());
            let dropped = fields.len() != before;
            fields.values_mut().fold(dropped, |dropped, field| drop_nulls(field) | dropped)
        }
        Value::Array(items) => {
            items.iter_mut().fold(false, |dropped, item| drop_nulls(item) | dropped)
        }
        _ => false,
    }
}

/// Message attributes by name, in the order their checksum needs.
pub type MessageAttributes = BTreeMap<String, MessageAttributeValue>;

/// Types that are read from JSON objects and from nothing else. What serde derives would take an array
/// of the fields' values too.
trait FromObject: Sized {
    fn from_object<'de, A: MapAccess<'de>>(fields: A) -> Result<Self, A::Error>;
}

fn read_object<'de, T: FromObject, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    struct Object<T>(PhantomData<T>);

    impl<'de, T: FromObject> Visitor<'de> for Object<T> {
        type Value = T;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, fields: A) -> Result<T, A::Error> {
            T::from_object(fields)
        }
    }

    deserializer.deserialize_map(Object(PhantomData))
}

/// Reads a type by what serde derives under `remote = "Self"`, from an object only.
macro_rules! read_from_objects {
    ($($name:ident),* $(,)?) => {$(
        impl FromObject for $name {
            fn from_object<'de, A: MapAccess<'de>>(fields: A) -> Result<Self, A::Error> {
                Self::deserialize(MapAccessDeserializer::new(fields))
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                read_object(deserializer)
            }
        }
    )*};
}

read_from_objects!(
    MessageAttributeValue,
    CreateQueueRequest,
    GetQueueUrlRequest,
    AddPermissionRequest
);

macro_rules! requests {
    ($($(#[$doc:meta])* $name:ident { $($field:ident : $type:ty),* $(,)? })*) => {
        $(
            $(#[$doc])*
            #[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
            #[serde(default, rename_all = "PascalCase", remote = "Self")]
            pub struct $name { $(pub $field: $type),* }
        )*
        read_from_objects!($($name),*);
    };
}

requests! {
    CancelMessageMoveTaskRequest { task_handle: String }
    ChangeMessageVisibilityRequest { queue_url: String, receipt_handle: String, visibility_timeout: Option<i64> }
    ChangeMessageVisibilityBatchRequest { queue_url: String, entries: Vec<ChangeMessageVisibilityBatchRequestEntry> }
    ChangeMessageVisibilityBatchRequestEntry { id: String, receipt_handle: String, visibility_timeout: Option<i64> }
    DeleteMessageRequest { queue_url: String, receipt_handle: String }
    DeleteMessageBatchRequest { queue_url: String, entries: Vec<DeleteMessageBatchRequestEntry> }
    DeleteMessageBatchRequestEntry { id: String, receipt_handle: String }
    DeleteQueueRequest { queue_url: String }
    GetQueueAttributesRequest { queue_url: String, attribute_names: Vec<String> }
    ListDeadLetterSourceQueuesRequest { queue_url: String, next_token: Option<String>, max_results: Option<i64> }
    ListMessageMoveTasksRequest { source_arn: String, max_results: Option<i64> }
    ListQueuesRequest { queue_name_prefix: Option<String>, next_token: Option<String>, max_results: Option<i64> }
    ListQueueTagsRequest { queue_url: String }
    PurgeQueueRequest { queue_url: String }
    RemovePermissionRequest { queue_url: String, label: String }
    ReceiveMessageRequest {
        queue_url: String,
        attribute_names: Vec<String>,
        message_system_attribute_names: Vec<String>,
        message_attribute_names: Vec<String>,
        max_number_of_messages: Option<i64>,
        visibility_timeout: Option<i64>,
        wait_time_seconds: Option<i64>,
        receive_request_attempt_id: Option<String>,
    }
    SendMessageRequest {
        queue_url: String,
        message_body: String,
        delay_seconds: Option<i64>,
        message_attributes: MessageAttributes,
        message_system_attributes: MessageAttributes,
        message_deduplication_id: Option<String>,
        message_group_id: Option<String>,
    }
    SendMessageBatchRequest { queue_url: String, entries: Vec<SendMessageBatchRequestEntry> }
    SendMessageBatchRequestEntry {
        id: String,
        message_body: String,
        delay_seconds: Option<i64>,
        message_attributes: MessageAttributes,
        message_system_attributes: MessageAttributes,
        message_deduplication_id: Option<String>,
        message_group_id: Option<String>,
    }
    SetQueueAttributesRequest { queue_url: String, attributes: BTreeMap<String, String> }
    StartMessageMoveTaskRequest {
        source_arn: String,
        destination_arn: Option<String>,
        max_number_of_messages_per_second: Option<i64>,
    }
    TagQueueRequest { queue_url: String, tags: BTreeMap<String, String> }
    UntagQueueRequest { queue_url: String, tag_keys: Vec<String> }
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "PascalCase", remote = "Self")]
pub struct CreateQueueRequest {
    pub queue_name: String,
    pub attributes: BTreeMap<String, String>,
    /// The API spells this one field in lower case.
    #[serde(rename = "tags", alias = "Tags")]
    pub tags: BTreeMap<String, String>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "PascalCase", remote = "Self")]
pub struct AddPermissionRequest {
    pub queue_url: String,
    pub label: String,
    #[serde(rename = "AWSAccountIds")]
    pub aws_account_ids: Vec<String>,
    pub actions: Vec<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "PascalCase", remote = "Self")]
pub struct GetQueueUrlRequest {
    pub queue_name: String,
    #[serde(rename = "QueueOwnerAWSAccountId")]
    pub queue_owner_aws_account_id: Option<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Empty {}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct QueueUrlResult {
    pub queue_url: String,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct AttributesResult {
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, String>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListQueuesResult {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub queue_urls: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_token: Option<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListDeadLetterSourceQueuesResult {
    /// The API spells this one field in lower case.
    #[serde(rename = "queueUrls")]
    pub queue_urls: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_token: Option<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListQueueTagsResult {
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
}

/// The answer to one message sent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct SendMessageResult {
    /// Present in a batch's answer only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    pub message_id: String,
    #[serde(rename = "MD5OfMessageBody")]
    pub md5_of_message_body: String,
    #[serde(rename = "MD5OfMessageAttributes", skip_serializing_if = "Option::is_none")]
    pub md5_of_message_attributes: Option<String>,
    #[serde(rename = "MD5OfMessageSystemAttributes", skip_serializing_if = "Option::is_none")]
    pub md5_of_message_system_attributes: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sequence_number: Option<String>,
}

/// The fate of each entry of a batch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct BatchResult<T> {
    pub successful: Vec<T>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub failed: Vec<BatchResultErrorEntry>,
}

impl<T> Default for BatchResult<T> {
    fn default() -> Self {
        Self { successful: Vec::new(), failed: Vec::new() }
    }
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct BatchResultEntry {
    pub id: String,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct BatchResultErrorEntry {
    pub id: String,
    pub sender_fault: bool,
    pub code: String,
    pub message: String,
}

/// A message as a receiver sees it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ReceivedMessage {
    pub message_id: String,
    pub receipt_handle: String,
    #[serde(rename = "MD5OfBody")]
    pub md5_of_body: String,
    pub body: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, String>,
    #[serde(rename = "MD5OfMessageAttributes", skip_serializing_if = "Option::is_none")]
    pub md5_of_message_attributes: Option<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub message_attributes: MessageAttributes,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ReceiveMessageResult {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub messages: Vec<ReceivedMessage>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct StartMessageMoveTaskResult {
    pub task_handle: String,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct CancelMessageMoveTaskResult {
    pub approximate_number_of_messages_moved: u64,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListMessageMoveTasksResult {
    pub results: Vec<ListMessageMoveTasksResultEntry>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListMessageMoveTasksResultEntry {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task_handle: Option<String>,
    pub status: String,
    pub source_arn: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub destination_arn: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_number_of_messages_per_second: Option<u32>,
    pub approximate_number_of_messages_moved: u64,
    pub approximate_number_of_messages_to_move: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure_reason: Option<String>,
    /// Milliseconds since the epoch.
    pub started_timestamp: u64,
}

macro_rules! operations {
    ($($name:ident($request:ty) -> $response:ty),* $(,)?) => {
        /// A request of any operation.
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub enum Request { $($name($request)),* }

        /// The answer to a request of the same operation.
        #[derive(Debug, Clone, PartialEq, Eq, Serialize)]
        #[serde(untagged)]
        pub enum Response { $($name($response)),* }

        impl Response {
            /// The operation's name.
            pub const fn operation(&self) -> &'static str {
                match self { $(Self::$name(_) => stringify!($name)),* }
            }
        }

        impl Request {
            /// The names of all operations.
            pub const OPERATIONS: &'static [&'static str] = &[$(stringify!($name)),*];

            /// The operation's name.
            pub const fn operation(&self) -> &'static str {
                match self { $(Self::$name(_) => stringify!($name)),* }
            }

            /// Reads a JSON body. `None` when there is no such operation.
            pub fn from_json(operation: &str, body: &[u8]) -> Option<serde_json::Result<Self>> {
                let body = if body.is_empty() { b"{}" } else { body };
                match operation {
                    $(stringify!($name) => Some(read_json(body).map(Self::$name)),)*
                    _ => None,
                }
            }
        }
    };
}

operations! {
    AddPermission(AddPermissionRequest) -> Empty,
    CancelMessageMoveTask(CancelMessageMoveTaskRequest) -> CancelMessageMoveTaskResult,
    ChangeMessageVisibility(ChangeMessageVisibilityRequest) -> Empty,
    ChangeMessageVisibilityBatch(ChangeMessageVisibilityBatchRequest) -> BatchResult<BatchResultEntry>,
    CreateQueue(CreateQueueRequest) -> QueueUrlResult,
    DeleteMessage(DeleteMessageRequest) -> Empty,
    DeleteMessageBatch(DeleteMessageBatchRequest) -> BatchResult<BatchResultEntry>,
    DeleteQueue(DeleteQueueRequest) -> Empty,
    GetQueueAttributes(GetQueueAttributesRequest) -> AttributesResult,
    GetQueueUrl(GetQueueUrlRequest) -> QueueUrlResult,
    ListDeadLetterSourceQueues(ListDeadLetterSourceQueuesRequest) -> ListDeadLetterSourceQueuesResult,
    ListMessageMoveTasks(ListMessageMoveTasksRequest) -> ListMessageMoveTasksResult,
    ListQueues(ListQueuesRequest) -> ListQueuesResult,
    ListQueueTags(ListQueueTagsRequest) -> ListQueueTagsResult,
    PurgeQueue(PurgeQueueRequest) -> Empty,
    ReceiveMessage(ReceiveMessageRequest) -> ReceiveMessageResult,
    RemovePermission(RemovePermissionRequest) -> Empty,
    SendMessage(SendMessageRequest) -> SendMessageResult,
    SendMessageBatch(SendMessageBatchRequest) -> BatchResult<SendMessageResult>,
    SetQueueAttributes(SetQueueAttributesRequest) -> Empty,
    StartMessageMoveTask(StartMessageMoveTaskRequest) -> StartMessageMoveTaskResult,
    TagQueue(TagQueueRequest) -> Empty,
    UntagQueue(UntagQueueRequest) -> Empty,
}

impl Response {
    /// Whether the operation has no output.
    pub const fn is_empty(&self) -> bool {
        matches!(
            self,
            Self::AddPermission(_)
                | Self::ChangeMessageVisibility(_)
                | Self::DeleteMessage(_)
                | Self::DeleteQueue(_)
                | Self::PurgeQueue(_)
                | Self::RemovePermission(_)
                | Self::SetQueueAttributes(_)
                | Self::TagQueue(_)
                | Self::UntagQueue(_)
        )
    }

    /// Puts `endpoint` (`http://host:port`) before each queue path, making it a queue URL.
    #[must_use]
    pub fn with_endpoint(mut self, endpoint: &str) -> Self {
        let urls: &mut [String] = match &mut self {
            Self::CreateQueue(result) | Self::GetQueueUrl(result) => {
                std::slice::from_mut(&mut result.queue_url)
            }
            Self::ListQueues(result) => &mut result.queue_urls,
            Self::ListDeadLetterSourceQueues(result) => &mut result.queue_urls,
            _ => &mut [],
        };
        for url in urls {
            url.insert_str(0, endpoint);
        }
        self
    }
}
