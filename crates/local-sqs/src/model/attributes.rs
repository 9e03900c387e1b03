//! Queue attributes: reading, checking, telling.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::time::Duration;

use super::error::{ApiError, ErrorKind};
use super::policy::Policy;
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
    /// Kept and told, but without effect here.
    pub(super) policy: Option<Policy>,
    encryption: Encryption,
}

/// Server-side encryption, which has no effect here. A queue has at most one kind of it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Encryption {
    managed: bool,
    kms_key: Option<String>,
    kms_reuse_seconds: u64,
}

impl Default for Encryption {
    fn default() -> Self {
        Self { managed: true, kms_key: None, kms_reuse_seconds: 300 }
    }
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

pub(super) fn unknown(name: &str) -> ApiError {
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
            policy: None,
            encryption: Encryption::default(),
        }
    }

    /// The attributes of a new queue.
    pub(super) fn create(wanted: &BTreeMap<String, String>) -> Result<Self, ApiError> {
        let fifo = match wanted.get(FIFO).map(String::as_str) {
            None => false,
            Some(value) => flag(FIFO, value)?,
        };
        // With FifoQueue false the queue is a standard one, which does not know the attribute.
        Self::defaults(fifo).with(wanted)
    }

    /// These attributes with some of them changed.
    pub(super) fn with(&self, changes: &BTreeMap<String, String>) -> Result<Self, ApiError> {
        let mut result = self.clone();
        let wants = |name: &str| changes.get(name).filter(|value| !value.is_empty());
        if wants(KMS_KEY).is_some() && wants(MANAGED_SSE).is_some_and(|value| is_true(value)) {
            return Err(ApiError::new(
                ErrorKind::InvalidAttributeName,
                "You can use one type of server-side encryption (SSE) at one time. You can either enable KMS SSE or SQS SSE.",
            ));
        }
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
            FIFO if !self.fifo => return Err(unknown(FIFO)),
            FIFO if is_true(value) => {}
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
            POLICY => self.policy = Policy::parse(value)?,
            // One kind of encryption ends the other; taking the key away begins neither.
            KMS_KEY if value.is_empty() => self.encryption.kms_key = None,
            KMS_KEY => {
                self.encryption.kms_key = Some(value.to_owned());
                self.encryption.managed = false;
            }
            KMS_REUSE => self.encryption.kms_reuse_seconds = number(name, value, 60..=86_400)?,
            MANAGED_SSE => {
                self.encryption.managed = flag(name, value)?;
                if self.encryption.managed {
                    self.encryption.kms_key = None;
                }
            }
            _ => return Err(unknown(name)),
        }
        Ok(())
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
        put(MANAGED_SSE, self.encryption.managed.to_string());
        if let Some(key) = &self.encryption.kms_key {
            put(KMS_KEY, key.clone());
            put(KMS_REUSE, self.encryption.kms_reuse_seconds.to_string());
        }
        if let Some(policy) = &self.policy {
            put(POLICY, policy.to_json());
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
    match value {
        _ if is_true(value) => Ok(true),
        _ if value.eq_ignore_ascii_case("false") => Ok(false),
        _ => Err(invalid(name)),
    }
}

/// AWS takes `True` as well as `true`.
pub(super) fn is_true(value: &str) -> bool {
    value.eq_ignore_ascii_case("true")
}

/// Whether the value is the second of two words.
fn one_of(name: &str, value: &str, no: &str, yes: &str) -> Result<bool, ApiError> {
    match value {
        _ if value == yes => Ok(true),
        _ if value == no => Ok(false),
        _ => Err(invalid(name)),
    }
}
