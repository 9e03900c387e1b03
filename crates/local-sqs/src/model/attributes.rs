//! Queue attributes: reading, checking, telling.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::time::Duration;

use super::error::{ApiError, ErrorKind};
use super::redrive::{RedriveAllowPolicy, RedrivePolicy};

/// The attributes of a queue that a client can set.
#[allow(clippy::struct_excessive_bools)] // They are AWS's, and independent of each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Attributes {
    pub(super) fifo: bool,
    delay_seconds: u64,
    pub(super) maximum_message_size: u64,
    retention_seconds: u64,
    wait_seconds: u64,
    visibility_seconds: u64,
    pub(super) redrive: Option<RedrivePolicy>,
    pub(super) redrive_allow: Option<RedriveAllowPolicy>,
    pub(super) content_based_deduplication: bool,
    pub(super) deduplication_per_group: bool,
    throughput_per_group: bool,
    /// What has no effect here and is only kept: access policy and encryption.
    kept: BTreeMap<&'static str, String>,
}

const DELAY: &str = "DelaySeconds";
const MAXIMUM_SIZE: &str = "MaximumMessageSize";
const RETENTION: &str = "MessageRetentionPeriod";
const WAIT: &str = "ReceiveMessageWaitTimeSeconds";
const VISIBILITY: &str = "VisibilityTimeout";
const REDRIVE: &str = "RedrivePolicy";
const REDRIVE_ALLOW: &str = "RedriveAllowPolicy";
const FIFO: &str = "FifoQueue";
const CONTENT_BASED: &str = "ContentBasedDeduplication";
const SCOPE: &str = "DeduplicationScope";
const THROUGHPUT: &str = "FifoThroughputLimit";
const POLICY: &str = "Policy";
const KMS_KEY: &str = "KmsMasterKeyId";
const KMS_REUSE: &str = "KmsDataKeyReusePeriodSeconds";
const MANAGED_SSE: &str = "SqsManagedSseEnabled";

/// Attributes that only the queue itself sets.
const READ_ONLY: [&str; 6] = [
    "ApproximateNumberOfMessages",
    "ApproximateNumberOfMessagesDelayed",
    "ApproximateNumberOfMessagesNotVisible",
    "CreatedTimestamp",
    "LastModifiedTimestamp",
    "QueueArn",
];

const SETTABLE: [&str; 15] = [
    DELAY,
    MAXIMUM_SIZE,
    RETENTION,
    WAIT,
    VISIBILITY,
    REDRIVE,
    REDRIVE_ALLOW,
    FIFO,
    CONTENT_BASED,
    SCOPE,
    THROUGHPUT,
    POLICY,
    KMS_KEY,
    KMS_REUSE,
    MANAGED_SSE,
];

/// Refuses a name that is no queue attribute.
pub(super) fn check_name(name: &str) -> Result<(), ApiError> {
    if name == "All" || READ_ONLY.contains(&name) || SETTABLE.contains(&name) {
        Ok(())
    } else {
        Err(unknown(name))
    }
}

fn unknown(name: &str) -> ApiError {
    ApiError::new(ErrorKind::InvalidAttributeName, format!("Unknown Attribute {name}."))
}

fn invalid(name: &str) -> ApiError {
    ApiError::new(
        ErrorKind::InvalidAttributeValue,
        format!("Invalid value for the parameter {name}."),
    )
}

impl Attributes {
    fn defaults(fifo: bool) -> Self {
        Self {
            fifo,
            delay_seconds: 0,
            maximum_message_size: 1_048_576,
            retention_seconds: 345_600,
            wait_seconds: 0,
            visibility_seconds: 30,
            redrive: None,
            redrive_allow: None,
            content_based_deduplication: false,
            deduplication_per_group: false,
            throughput_per_group: false,
            kept: BTreeMap::from([(MANAGED_SSE, "true".to_owned())]),
        }
    }

    /// The attributes of a new queue.
    pub(super) fn create(wanted: &BTreeMap<String, String>) -> Result<Self, ApiError> {
        let fifo = match wanted.get(FIFO).map(String::as_str) {
            None => false,
            Some("true") => true,
            // AWS knows the attribute on FIFO queues only.
            Some("false") => return Err(unknown(FIFO)),
            Some(_) => return Err(invalid(FIFO)),
        };
        Self::defaults(fifo).with(wanted)
    }

    /// These attributes with some of them changed.
    pub(super) fn with(&self, changes: &BTreeMap<String, String>) -> Result<Self, ApiError> {
        let mut result = self.clone();
        for (name, value) in changes {
            result.set(name, value)?;
        }
        if result.throughput_per_group && !result.deduplication_per_group {
            return Err(ApiError::new(
                ErrorKind::InvalidAttributeValue,
                format!(
                    "The value perMessageGroupId for {THROUGHPUT} is allowed only when the value for {SCOPE} is messageGroup."
                ),
            ));
        }
        Ok(result)
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), ApiError> {
        match name {
            DELAY => self.delay_seconds = number(name, value, 0..=900)?,
            MAXIMUM_SIZE => self.maximum_message_size = number(name, value, 1024..=1_048_576)?,
            RETENTION => self.retention_seconds = number(name, value, 60..=1_209_600)?,
            WAIT => self.wait_seconds = number(name, value, 0..=20)?,
            VISIBILITY => self.visibility_seconds = number(name, value, 0..=43_200)?,
            REDRIVE => self.redrive = RedrivePolicy::parse(value)?,
            REDRIVE_ALLOW => self.redrive_allow = RedriveAllowPolicy::parse(value)?,
            FIFO if self.fifo && value == "true" => {}
            FIFO => {
                return Err(ApiError::new(
                    ErrorKind::InvalidAttributeValue,
                    format!(
                        "Invalid value for the parameter {FIFO}. Reason: Modifying queue type is not supported."
                    ),
                ));
            }
            CONTENT_BASED if !self.fifo => return Err(unknown(name)),
            CONTENT_BASED => self.content_based_deduplication = flag(name, value)?,
            SCOPE | THROUGHPUT if !self.fifo => {
                return Err(ApiError::new(
                    ErrorKind::InvalidAttributeName,
                    format!("You can specify the {name} only when {FIFO} is set to true."),
                ));
            }
            SCOPE => self.deduplication_per_group = one_of(name, value, "queue", "messageGroup")?,
            THROUGHPUT => {
                self.throughput_per_group = one_of(name, value, "perQueue", "perMessageGroupId")?;
            }
            POLICY => {
                let is_json = serde_json::from_str::<serde::de::IgnoredAny>(value).is_ok();
                if !value.is_empty() && !is_json {
                    return Err(invalid(name));
                }
                self.keep(POLICY, value);
            }
            KMS_KEY => self.keep(KMS_KEY, value),
            KMS_REUSE => {
                number(name, value, 60..=86_400)?;
                self.keep(KMS_REUSE, value);
            }
            MANAGED_SSE => {
                flag(name, value)?;
                self.keep(MANAGED_SSE, value);
            }
            _ => return Err(unknown(name)),
        }
        Ok(())
    }

    /// An empty value takes the attribute away, as AWS does.
    fn keep(&mut self, name: &'static str, value: &str) {
        if value.is_empty() {
            self.kept.remove(name);
        } else {
            self.kept.insert(name, value.to_owned());
        }
    }

    /// All attributes that have a value, as GetQueueAttributes tells them.
    pub(super) fn to_map(&self) -> BTreeMap<String, String> {
        let mut map: BTreeMap<String, String> = [
            (DELAY, self.delay_seconds),
            (MAXIMUM_SIZE, self.maximum_message_size),
            (RETENTION, self.retention_seconds),
            (WAIT, self.wait_seconds),
            (VISIBILITY, self.visibility_seconds),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.to_string()))
        .collect();
        let mut put = |name: &str, value: String| map.insert(name.to_owned(), value);
        for (name, value) in &self.kept {
            put(name, value.clone());
        }
        if let Some(policy) = &self.redrive {
            put(REDRIVE, policy.to_json());
        }
        if let Some(policy) = &self.redrive_allow {
            put(REDRIVE_ALLOW, policy.to_json());
        }
        if self.fifo {
            put(FIFO, "true".to_owned());
            put(CONTENT_BASED, self.content_based_deduplication.to_string());
            put(SCOPE, if self.deduplication_per_group { "messageGroup" } else { "queue" }.into());
            put(
                THROUGHPUT,
                if self.throughput_per_group { "perMessageGroupId" } else { "perQueue" }.into(),
            );
        }
        map
    }

    pub(super) const fn delay(&self) -> Duration {
        Duration::from_secs(self.delay_seconds)
    }

    pub(super) const fn retention(&self) -> Duration {
        Duration::from_secs(self.retention_seconds)
    }

    pub(super) const fn wait(&self) -> Duration {
        Duration::from_secs(self.wait_seconds)
    }

    pub(super) const fn visibility(&self) -> Duration {
        Duration::from_secs(self.visibility_seconds)
    }
}

fn number(name: &str, value: &str, range: RangeInclusive<u64>) -> Result<u64, ApiError> {
    value.parse().ok().filter(|number| range.contains(number)).ok_or_else(|| invalid(name))
}

fn flag(name: &str, value: &str) -> Result<bool, ApiError> {
    one_of(name, value, "false", "true")
}

/// Whether the value is the second of two words.
fn one_of(name: &str, value: &str, no: &str, yes: &str) -> Result<bool, ApiError> {
    match value {
        _ if value == yes => Ok(true),
        _ if value == no => Ok(false),
        _ => Err(invalid(name)),
    }
}
