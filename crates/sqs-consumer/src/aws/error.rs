//! SDK errors in the consumer's terms.

use aws_sdk_sqs::{
    error::{ProvideErrorMetadata, SdkError},
    types::BatchResultErrorEntry,
};

use crate::queue::QueueError;

/// Maps an SDK error to what the consumer does about it.
///
/// Codes are matched by their last part, since servers spell them as
/// `AWS.SimpleQueueService.NonExistentQueue`, `QueueDoesNotExist` or with a namespace before `#`.
pub fn classify<E>(error: &SdkError<E>) -> QueueError
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    let Some(service) = error.as_service_error() else {
        return QueueError::Unavailable(chain(error));
    };
    let status = error.raw_response().map_or(0, |response| response.status().as_u16());
    from_code(service.code().unwrap_or_default(), service.message().unwrap_or_default(), status)
}

/// Maps the failure of one entry of a batch call that succeeded as such.
pub fn classify_entry(entry: &BatchResultErrorEntry) -> QueueError {
    let status = if entry.sender_fault { 400 } else { 500 };
    from_code(&entry.code, entry.message.as_deref().unwrap_or_default(), status)
}

/// Maps an error code, as in a service error or in a batch entry's failure.
fn from_code(code: &str, message: &str, status: u16) -> QueueError {
    let last = code.rsplit(['.', '#']).next().unwrap_or(code);
    let text = match (code, message) {
        ("", "") => format!("HTTP status {status}"),
        (code, "") => code.to_owned(),
        ("", message) => message.to_owned(),
        (code, message) => format!("{code}: {message}"),
    };
    match last {
        "ReceiptHandleIsInvalid" | "MessageNotInflight" => QueueError::LeaseOver(text),
        // What AWS itself answers for a handle that is expired or whose message is gone, on FIFO
        // queues and for visibility changes: the typed exceptions do not come (aws-sdk-net#1927).
        "InvalidParameterValue" if message.replace(' ', "").contains("ReceiptHandle") => {
            QueueError::LeaseOver(text)
        }
        "RequestThrottled"
        | "ThrottlingException"
        | "Throttling"
        | "OverLimit"
        | "KmsThrottled"
        | "TooManyRequestsException"
        | "RequestLimitExceeded" => QueueError::Throttled(text),
        "AccessDenied"
        | "AccessDeniedException"
        | "UnrecognizedClientException"
        | "InvalidClientTokenId"
        | "SignatureDoesNotMatch"
        | "ExpiredToken"
        | "ExpiredTokenException"
        | "IncompleteSignature"
        | "InvalidSignatureException"
        | "InvalidAccessKeyId"
        | "NotAuthorized"
        | "RequestExpired"
        | "RequestTimeTooSkewed"
        | "MissingAuthenticationToken"
        | "OptInRequired"
        | "InvalidSecurity"
        // A queue whose key cannot be used takes and gives no message, whatever is in it.
        | "KmsAccessDenied"
        | "KmsDisabled"
        | "KmsInvalidKeyUsage"
        | "KmsInvalidState"
        | "KmsNotFound"
        | "KmsOptInRequired" => QueueError::AccessDenied(text),
        // AWS's own spelling of the same, of which some words alone could be anything.
        "DisabledException"
        | "InvalidKeyUsageException"
        | "InvalidStateException"
        | "NotFoundException"
            if code.starts_with("KMS.") =>
        {
            QueueError::AccessDenied(text)
        }
        "QueueDoesNotExist" | "NonExistentQueue" | "QueueDeletedRecently" => {
            QueueError::NoSuchQueue(text)
        }
        _ if status == 429 => QueueError::Throttled(text),
        // A proxy's, for instance: the same request may be answered the next time.
        _ if status == 408 => QueueError::Unavailable(text),
        _ if status == 401 || status == 403 => QueueError::AccessDenied(text),
        "InternalError" | "InternalFailure" | "ServiceUnavailable" => QueueError::Unavailable(text),
        _ if (400..500).contains(&status) => QueueError::Rejected(text),
        _ => QueueError::Unavailable(text),
    }
}

/// An error with its causes on one line; the SDK's own text is only "dispatch failure".
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.ends_with(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_understood_in_every_spelling() {
        for (code, message, status, kind) in [
            ("AWS.SimpleQueueService.NonExistentQueue", "", 400, "no_such_queue"),
            ("com.amazonaws.sqs#QueueDoesNotExist", "", 400, "no_such_queue"),
            ("ReceiptHandleIsInvalid", "", 400, "lease_over"),
            (
                "InvalidParameterValue",
                "Value x for parameter ReceiptHandle is invalid. Reason: The receipt handle has expired.",
                400,
                "lease_over",
            ),
            (
                "InvalidParameterValue",
                "Value AQEB for parameter ReceiptHandle is invalid. Reason: Message does not exist \
                 or is not available for visibility timeout change.",
                400,
                "lease_over",
            ),
            ("InvalidParameterValue", "Value 11 for MaxNumberOfMessages", 400, "rejected"),
            ("AWS.SimpleQueueService.OverLimit", "", 403, "throttled"),
            ("RequestExpired", "", 400, "access_denied"),
            ("InvalidSignatureException", "Signature expired: ...", 400, "access_denied"),
            ("", "", 503, "unavailable"),
            ("", "", 403, "access_denied"),
            ("", "", 408, "unavailable"),
            ("InternalError", "", 0, "unavailable"),
        ] {
            assert_eq!(from_code(code, message, status).kind(), kind, "{code} {message} {status}");
        }
    }

    #[test]
    fn a_key_that_cannot_be_used_is_the_queues_trouble_and_not_the_messages() {
        for (shape, code) in [
            ("KmsAccessDenied", "KMS.AccessDeniedException"),
            ("KmsDisabled", "KMS.DisabledException"),
            ("KmsInvalidKeyUsage", "KMS.InvalidKeyUsageException"),
            ("KmsInvalidState", "KMS.InvalidStateException"),
            ("KmsNotFound", "KMS.NotFoundException"),
            ("KmsOptInRequired", "KMS.OptInRequired"),
        ] {
            for spelling in [shape, code, &format!("com.amazonaws.sqs#{shape}")] {
                assert_eq!(from_code(spelling, "", 400).kind(), "access_denied", "{spelling}");
            }
        }
        assert_eq!(from_code("KMS.ThrottlingException", "", 400).kind(), "throttled");
        assert_eq!(from_code("NotFoundException", "", 400).kind(), "rejected", "of what?");
    }
}
