//! Typed requests and answers, one pair for each operation of the SQS API.
//!
//! The fields and their spelling follow the
//! [API reference](https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_Operations.html).
//! They know nothing of a wire protocol beyond serde's derived JSON; a translator for another protocol
//! builds the same values. A required field that is absent is the default value here and is refused by
//! the model, so that every protocol answers alike. Queue URLs in answers are paths
//! (`/000000000000/name`) until [`Response::with_endpoint`] makes them whole.
#![allow(missing_docs)] // The fields are AWS's own, documented in its API reference.

mod object;
mod requests;
mod results;
mod values;

use serde::Serialize;

use object::read_json;
pub use requests::*;
pub use results::*;
pub use values::{Blob, MessageAttributeValue, MessageAttributes};

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
