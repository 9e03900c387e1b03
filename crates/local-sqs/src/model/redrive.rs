//! Redrive policies: where dead letters go, and who may send them.

use serde_json::{Value, json};

use super::error::ApiError;

/// When and where a queue's messages are dead-lettered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RedrivePolicy {
    pub(super) dead_letter_target_arn: String,
    pub(super) max_receive_count: u32,
}

impl RedrivePolicy {
    /// An empty text or object takes the policy away.
    pub(super) fn parse(text: &str) -> Result<Option<Self>, ApiError> {
        const NAME: &str = "RedrivePolicy";
        let bad = |reason: &str| ApiError::invalid_value(text, NAME, reason);
        if text.is_empty() {
            return Ok(None);
        }
        let Ok(Value::Object(policy)) = serde_json::from_str(text) else {
            return Err(bad("Redrive policy is not a valid JSON map."));
        };
        if policy.is_empty() {
            return Ok(None);
        }
        let Some(arn) = policy.get("deadLetterTargetArn") else {
            return Err(bad(
                "Redrive policy does not contain mandatory attribute: deadLetterTargetArn.",
            ));
        };
        let Some(arn) = arn.as_str().filter(|arn| queue_of_arn(arn).is_some()) else {
            return Err(bad("Invalid value for deadLetterTargetArn."));
        };
        let count = match policy.get("maxReceiveCount") {
            None => {
                return Err(bad(
                    "Redrive policy does not contain mandatory attribute: maxReceiveCount.",
                ));
            }
            Some(Value::String(count)) => count.parse().ok(),
            Some(count) => count.as_u64(),
        };
        let Some(max_receive_count) = count.filter(|count| (1..=1000).contains(count)) else {
            let shown = policy.get("maxReceiveCount").map(ToString::to_string).unwrap_or_default();
            return Err(bad(&format!(
                "Invalid value for maxReceiveCount: {shown}, valid values are from 1 to 1000 both inclusive."
            )));
        };
        Ok(Some(Self {
            dead_letter_target_arn: arn.to_owned(),
            max_receive_count: max_receive_count as u32,
        }))
    }

    pub(super) fn to_json(&self) -> String {
        json!({
            "deadLetterTargetArn": self.dead_letter_target_arn,
            "maxReceiveCount": self.max_receive_count,
        })
        .to_string()
    }
}

/// Which queues may name this one as their dead-letter queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum RedriveAllowPolicy {
    AllowAll,
    DenyAll,
    ByQueue(Vec<String>),
}

impl RedriveAllowPolicy {
    /// An empty text or object takes the policy away.
    pub(super) fn parse(text: &str) -> Result<Option<Self>, ApiError> {
        let bad = |reason: &str| ApiError::invalid_value(text, "RedriveAllowPolicy", reason);
        if text.is_empty() {
            return Ok(None);
        }
        let Ok(Value::Object(policy)) = serde_json::from_str(text) else {
            return Err(bad(
                "Amazon SQS can't create the redrive allow policy, as it's in an unsupported format.",
            ));
        };
        if policy.is_empty() {
            return Ok(None);
        }
        let sources = policy.get("sourceQueueArns");
        let permission = policy.get("redrivePermission").and_then(Value::as_str);
        match (permission, sources) {
            (Some("allowAll"), None) => Ok(Some(Self::AllowAll)),
            (Some("denyAll"), None) => Ok(Some(Self::DenyAll)),
            (Some("byQueue"), Some(Value::Array(arns))) if (1..=10).contains(&arns.len()) => {
                let arns = arns.iter().map(|arn| arn.as_str().map(str::to_owned));
                let arns = arns.collect::<Option<Vec<_>>>();
                Ok(Some(Self::ByQueue(arns.ok_or_else(|| bad("Invalid sourceQueueArns."))?)))
            }
            (Some("byQueue"), _) => {
                Err(bad("The redrivePermission byQueue needs 1 to 10 sourceQueueArns."))
            }
            (Some("allowAll" | "denyAll"), Some(_)) => {
                Err(bad("sourceQueueArns can be given only when redrivePermission is byQueue."))
            }
            _ => Err(bad("redrivePermission must be allowAll, denyAll or byQueue.")),
        }
    }

    pub(super) fn to_json(&self) -> String {
        match self {
            Self::AllowAll => json!({ "redrivePermission": "allowAll" }),
            Self::DenyAll => json!({ "redrivePermission": "denyAll" }),
            Self::ByQueue(arns) => {
                json!({ "redrivePermission": "byQueue", "sourceQueueArns": arns })
            }
        }
        .to_string()
    }

    pub(super) fn allows(&self, source_arn: &str) -> bool {
        match self {
            Self::AllowAll => true,
            Self::DenyAll => false,
            Self::ByQueue(arns) => arns.iter().any(|arn| arn == source_arn),
        }
    }
}

/// The queue's name in `arn:aws:sqs:<region>:<account>:<name>`.
pub(super) fn queue_of_arn(arn: &str) -> Option<&str> {
    let mut parts = arn.split(':');
    let (start, _partition, service) = (parts.next()?, parts.next()?, parts.next()?);
    let (_region, _account, name) = (parts.next()?, parts.next()?, parts.next()?);
    (start == "arn" && service == "sqs" && !name.is_empty() && parts.next().is_none())
        .then_some(name)
}
