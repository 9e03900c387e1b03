//! Queues declared by settings, created when the server starts.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::model::ModelSettings;

/// A queue to create at start, as CreateQueue would.
///
/// As TOML:
/// ```toml
/// [[queue]]
/// name = "jobs-dlq"
///
/// [[queue]]
/// name = "jobs"
/// dead_letter_queue = "jobs-dlq"
/// max_receive_count = 5
/// [queue.attributes]
/// VisibilityTimeout = "60"
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QueueDeclaration {
    /// The queue's name; a FIFO queue's ends with `.fifo`, and its FifoQueue attribute is set by that.
    pub name: String,
    /// Name of a queue declared before this one, for its dead letters.
    #[serde(default)]
    pub dead_letter_queue: Option<String>,
    /// After how many receives a message is dead-lettered; 10, AWS's default, when only the queue is given.
    #[serde(default)]
    pub max_receive_count: Option<u32>,
    /// Queue attributes by their AWS names.
    #[serde(default)]
    pub attributes: BTreeMap<String, String>,
    /// Tags.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
}

/// Why a declaration of queues cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DeclarationError {
    /// The text is not TOML of the expected form.
    #[error("not a declaration of queues: {0}")]
    Toml(#[from] toml::de::Error),
    /// A number of receives is given, but no queue for what is received so often.
    #[error("queue {name}: max_receive_count needs a dead_letter_queue")]
    NoDeadLetterQueue {
        /// The queue's name.
        name: String,
    },
    /// SQS refuses the queue.
    #[error("queue {name}: {error}")]
    Refused {
        /// The queue's name.
        name: String,
        /// SQS's answer.
        error: crate::model::ApiError,
    },
}

/// Reads declarations from TOML, one `[[queue]]` each or none, and checks that SQS would accept them
/// in an account and region: policies name queues by their ARNs.
pub fn parse_queues(
    toml: &str,
    settings: &ModelSettings,
) -> Result<Vec<QueueDeclaration>, DeclarationError> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct File {
        #[serde(default)]
        queue: Vec<QueueDeclaration>,
    }
    let queues = toml::from_str::<File>(toml)?.queue;
    let mut model = crate::model::Sqs::new(settings.clone());
    for queue in &queues {
        queue.create(&mut model, crate::model::Millis::default())?;
    }
    Ok(queues)
}

/// The fleet's four queues: `order-queue-standard` and `order-queue.fifo`, each after its dead-letter queue.
pub fn default_queues() -> Vec<QueueDeclaration> {
    // Of a FIFO group's messages some wait while others are attempted, and lose a receive whenever their
    // consumer dies: SQS's count is no measure of attempts there, and only a last resort.
    let receives = |name: &str| if name.ends_with(".fifo") { 10 } else { 3 };
    let queue = |name: &str, dead_letter_queue: Option<&str>, attributes: &[(&str, &str)]| {
        QueueDeclaration {
            name: name.to_owned(),
            dead_letter_queue: dead_letter_queue.map(str::to_owned),
            max_receive_count: dead_letter_queue.map(|_| receives(name)),
            attributes: attributes
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
            tags: BTreeMap::new(),
        }
    };
    let fourteen_days = ("MessageRetentionPeriod", "1209600");
    let visibility = ("VisibilityTimeout", "30");
    let long_poll = ("ReceiveMessageWaitTimeSeconds", "20");
    vec![
        queue("order-queue-standard-dlq", None, &[fourteen_days]),
        queue("order-queue-dlq.fifo", None, &[fourteen_days]),
        queue("order-queue-standard", Some("order-queue-standard-dlq"), &[visibility, long_poll]),
        queue(
            "order-queue.fifo",
            Some("order-queue-dlq.fifo"),
            &[
                visibility,
                long_poll,
                ("ContentBasedDeduplication", "true"),
                ("DeduplicationScope", "messageGroup"),
                ("FifoThroughputLimit", "perMessageGroupId"),
            ],
        ),
    ]
}

impl QueueDeclaration {
    /// Creates the queue in a model.
    pub(crate) fn create(
        &self,
        model: &mut crate::model::Sqs,
        now: crate::model::Millis,
    ) -> Result<(), DeclarationError> {
        let mut attributes = self.attributes.clone();
        if self.name.strip_suffix(".fifo").is_some() {
            attributes.entry("FifoQueue".to_owned()).or_insert_with(|| "true".to_owned());
        }
        if self.max_receive_count.is_some() && self.dead_letter_queue.is_none() {
            return Err(DeclarationError::NoDeadLetterQueue { name: self.name.clone() });
        }
        if let Some(dead_letter_queue) = &self.dead_letter_queue {
            let policy = serde_json::json!({
                "deadLetterTargetArn": model.arn(dead_letter_queue),
                "maxReceiveCount": self.max_receive_count.unwrap_or(10),
            });
            attributes.insert("RedrivePolicy".to_owned(), policy.to_string());
        }
        let request = crate::model::api::CreateQueueRequest {
            queue_name: Some(self.name.clone()),
            attributes,
            tags: self.tags.clone(),
        };
        let created = model.create_queue(now, request);
        created
            .map(drop)
            .map_err(|error| DeclarationError::Refused { name: self.name.clone(), error })
    }
}
