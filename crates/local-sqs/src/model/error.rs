//! The errors SQS answers with, and how each is spelt on the wire.

use std::fmt;

/// Every kind of error that the model answers with.
///
/// The JSON protocol names an error by its shape, the older Query protocol by a
/// code; both spellings are given because clients of the JSON protocol read the
/// code too, from the `x-amzn-query-error` header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)] // The names are AWS's own, documented in its API reference.
pub enum ErrorKind {
    BatchEntryIdsNotDistinct,
    BatchRequestTooLong,
    EmptyBatchRequest,
    InternalError,
    InternalFailure,
    InvalidAction,
    InvalidAddress,
    InvalidAttributeName,
    InvalidAttributeValue,
    InvalidBatchEntryId,
    InvalidMessageContents,
    InvalidParameterValue,
    MessageNotInflight,
    MissingParameter,
    OverLimit,
    PurgeQueueInProgress,
    QueueDeletedRecently,
    QueueDoesNotExist,
    QueueNameExists,
    ReceiptHandleIsInvalid,
    RequestEntityTooLarge,
    RequestThrottled,
    ResourceNotFound,
    Serialization,
    ServiceUnavailable,
    TooManyEntriesInBatchRequest,
    UnknownOperation,
    UnsupportedOperation,
}

/// Errors that SQS's own model declares.
const SQS: &str = "com.amazonaws.sqs#";
/// Errors of the framework in front of every AWS JSON service.
const FRAMEWORK: &str = "com.amazon.coral.service#";

impl ErrorKind {
    /// Namespace, shape name, query code, HTTP status.
    const fn spelling(self) -> (&'static str, &'static str, &'static str, u16) {
        match self {
            Self::BatchEntryIdsNotDistinct => (
                SQS,
                "BatchEntryIdsNotDistinct",
                "AWS.SimpleQueueService.BatchEntryIdsNotDistinct",
                400,
            ),
            Self::BatchRequestTooLong => {
                (SQS, "BatchRequestTooLong", "AWS.SimpleQueueService.BatchRequestTooLong", 400)
            }
            Self::EmptyBatchRequest => {
                (SQS, "EmptyBatchRequest", "AWS.SimpleQueueService.EmptyBatchRequest", 400)
            }
            // The failure of a batch's entry.
            Self::InternalError => (FRAMEWORK, "InternalError", "InternalError", 500),
            Self::InternalFailure => (FRAMEWORK, "InternalFailure", "InternalFailure", 500),
            Self::InvalidAction => (FRAMEWORK, "InvalidAction", "InvalidAction", 400),
            Self::InvalidAddress => (SQS, "InvalidAddress", "InvalidAddress", 404),
            Self::InvalidAttributeName => {
                (SQS, "InvalidAttributeName", "InvalidAttributeName", 400)
            }
            Self::InvalidAttributeValue => {
                (SQS, "InvalidAttributeValue", "InvalidAttributeValue", 400)
            }
            Self::InvalidBatchEntryId => {
                (SQS, "InvalidBatchEntryId", "AWS.SimpleQueueService.InvalidBatchEntryId", 400)
            }
            Self::InvalidMessageContents => {
                (SQS, "InvalidMessageContents", "InvalidMessageContents", 400)
            }
            Self::InvalidParameterValue => {
                (FRAMEWORK, "InvalidParameterValueException", "InvalidParameterValue", 400)
            }
            Self::MessageNotInflight => {
                (SQS, "MessageNotInflight", "AWS.SimpleQueueService.MessageNotInflight", 400)
            }
            Self::MissingParameter => {
                (FRAMEWORK, "MissingRequiredParameterException", "MissingParameter", 400)
            }
            Self::OverLimit => (SQS, "OverLimit", "OverLimit", 403),
            Self::PurgeQueueInProgress => {
                (SQS, "PurgeQueueInProgress", "AWS.SimpleQueueService.PurgeQueueInProgress", 403)
            }
            Self::QueueDeletedRecently => {
                (SQS, "QueueDeletedRecently", "AWS.SimpleQueueService.QueueDeletedRecently", 400)
            }
            Self::QueueDoesNotExist => {
                (SQS, "QueueDoesNotExist", "AWS.SimpleQueueService.NonExistentQueue", 400)
            }
            Self::QueueNameExists => (SQS, "QueueNameExists", "QueueAlreadyExists", 400),
            Self::ReceiptHandleIsInvalid => {
                (SQS, "ReceiptHandleIsInvalid", "ReceiptHandleIsInvalid", 404)
            }
            Self::RequestEntityTooLarge => {
                (FRAMEWORK, "RequestEntityTooLargeException", "RequestEntityTooLarge", 413)
            }
            Self::RequestThrottled => (SQS, "RequestThrottled", "RequestThrottled", 403),
            Self::ResourceNotFound => {
                (SQS, "ResourceNotFoundException", "ResourceNotFoundException", 404)
            }
            Self::Serialization => (FRAMEWORK, "SerializationException", "MalformedInput", 400),
            Self::ServiceUnavailable => {
                (FRAMEWORK, "ServiceUnavailableException", "ServiceUnavailable", 503)
            }
            Self::TooManyEntriesInBatchRequest => (
                SQS,
                "TooManyEntriesInBatchRequest",
                "AWS.SimpleQueueService.TooManyEntriesInBatchRequest",
                400,
            ),
            Self::UnknownOperation => {
                (FRAMEWORK, "UnknownOperationException", "InvalidAction", 400)
            }
            Self::UnsupportedOperation => {
                (SQS, "UnsupportedOperation", "AWS.SimpleQueueService.UnsupportedOperation", 400)
            }
        }
    }

    /// The shape's name without its namespace, `QueueDoesNotExist`.
    pub const fn shape(self) -> &'static str {
        self.spelling().1
    }

    /// The value of `__type` in a JSON answer, `com.amazonaws.sqs#QueueDoesNotExist`.
    pub fn json_type(self) -> String {
        let (namespace, shape, _, _) = self.spelling();
        format!("{namespace}{shape}")
    }

    /// The code of the Query protocol, `AWS.SimpleQueueService.NonExistentQueue`.
    pub const fn query_code(self) -> &'static str {
        self.spelling().2
    }

    /// The HTTP status of the answer.
    pub const fn status(self) -> u16 {
        self.spelling().3
    }

    /// Whether the caller is at fault, in which case a retry cannot help.
    pub const fn sender_fault(self) -> bool {
        self.status() < 500
    }
}

/// An error answer: what kind, and a text for people.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct ApiError {
    /// What went wrong.
    pub kind: ErrorKind,
    /// AWS's wording, as some clients match on it.
    pub message: String,
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind.shape(), self.message)
    }
}

impl ApiError {
    /// An error of a kind with a text.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }

    pub(crate) fn queue_does_not_exist() -> Self {
        Self::new(ErrorKind::QueueDoesNotExist, "The specified queue does not exist.")
    }

    pub(crate) fn missing(parameter: &str) -> Self {
        Self::new(
            ErrorKind::MissingParameter,
            format!("The request must contain the parameter {parameter}."),
        )
    }

    /// `Value V for parameter P is invalid. Reason: R`.
    pub(crate) fn invalid_value(
        value: impl fmt::Display,
        parameter: &str,
        reason: impl fmt::Display,
    ) -> Self {
        Self::new(
            ErrorKind::InvalidParameterValue,
            format!("Value {value} for parameter {parameter} is invalid. Reason: {reason}"),
        )
    }

    pub(crate) fn invalid_parameter(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::InvalidParameterValue, message)
    }
}
