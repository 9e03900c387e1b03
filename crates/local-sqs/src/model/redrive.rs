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
            return Err(ApiError::invalid_parameter(
                "Invalid value for the parameter RedrivePolicy. Reason: Redrive policy is not a valid JSON map.",
            ));
        };
        if policy.is_empty() {
            return Ok(None);
        }
        let Some(arn) = policy.get("deadLetterTargetArn") else {
            return Err(bad(
                "Redrive policy does not contain mandatory attribute: deadLetterTargetArn.",
            ));
        };
        let Some(arn) = arn.as_str().filter(|arn| arn.starts_with("arn:")) else {
            return Err(bad("Dead-letter target ARN should be fully qualified ARN."));
        };
        if queue_of_arn(arn).is_none() {
            return Err(bad("Only SQS queues are valid resources for deadLetterTargetArn."));
        }
        if policy.keys().any(|key| key != "deadLetterTargetArn" && key != "maxReceiveCount") {
            return Err(bad(
                "Only following attributes are supported: [maxReceiveCount, deadLetterTargetArn].",
            ));
        }
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
            let shown = match policy.get("maxReceiveCount") {
                Some(Value::String(shown)) => shown.clone(),
                shown => shown.map(ToString::to_string).unwrap_or_default(),
            };
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
        let bad = |reason: &str| {
            let reason = format!("Amazon SQS can't create the redrive allow policy. {reason}");
            Err(ApiError::invalid_value(text, "RedriveAllowPolicy", reason))
        };
        let unsupported = || {
            Err(ApiError::invalid_parameter(
                "Invalid value for the parameter RedriveAllowPolicy. Reason: Amazon SQS can't create the redrive allow policy, as it’s in an unsupported format.",
            ))
        };
        if text.is_empty() {
            return Ok(None);
        }
        let Ok(Value::Object(policy)) = serde_json::from_str(text) else {
            return unsupported();
        };
        if policy.is_empty() {
            return Ok(None);
        }
        if policy.keys().any(|key| key != "redrivePermission" && key != "sourceQueueArns") {
            return unsupported();
        }
        let sources = match policy.get("sourceQueueArns") {
            None => None,
            Some(Value::Array(arns)) => {
                let arns = arns.iter().map(|arn| arn.as_str().map(str::to_owned));
                match arns.collect::<Option<Vec<String>>>() {
                    Some(arns) => Some(arns),
                    None => return unsupported(),
                }
            }
            Some(_) => return unsupported(),
        };
        match (policy.get("redrivePermission").and_then(Value::as_str), sources) {
            (Some("allowAll"), None) => Ok(Some(Self::AllowAll)),
            (Some("denyAll"), None) => Ok(Some(Self::DenyAll)),
            (Some("allowAll" | "denyAll"), Some(_)) => bad(
                "To specify one or more source queue ARNs, you must set redrivePermission to byQueue.",
            ),
            (Some("byQueue"), Some(arns)) if arns.len() > 10 => {
                bad("The maximum number of source queue ARNs you can specify is 10.")
            }
            (Some("byQueue"), Some(arns)) if !arns.is_empty() => Ok(Some(Self::ByQueue(arns))),
            (Some("byQueue"), _) => bad(
                "When you specify the byQueue permission type, you must also specify one or more sourceQueueArns values.",
            ),
            _ => unsupported(),
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
