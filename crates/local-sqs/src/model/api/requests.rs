//! What can be asked for.

use std::collections::BTreeMap;

use serde::de::MapAccess;
use serde::de::value::MapAccessDeserializer;
use serde::{Deserialize, Deserializer};

use super::object::{FromObject, read_from_objects, read_object};
use super::values::{MessageAttributeValue, MessageAttributes};

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
    /// An absent name and an empty one are refused in different words.
    pub queue_name: Option<String>,
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
