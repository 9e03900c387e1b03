//! What was asked for, as it is kept with the job and in the audit log.

use jiff::Timestamp;
use order_store::{DeadLetterFilter, JobKind};
use serde::{Deserialize, Serialize};

use super::plan::Terms;

/// A redrive or a discard. What is not there was not said.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct JobRequest {
    /// The dead-letter queue's name.
    pub(crate) queue: String,
    /// Message ids; all that the filter means otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ids: Option<Vec<String>>,
    /// All of the queue otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) filter: Option<FilterRequest>,
    /// Messages per second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) rate: Option<u32>,
    /// After so many messages their delivery is waited for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) canary: Option<u32>,
    /// Whether the order within a FIFO group may be broken.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) allow_reorder: bool,
}

/// Which dead letters are meant.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct FilterRequest {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) customer_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) text: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) from: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) to: Option<Timestamp>,
}

impl JobRequest {
    /// As it is kept.
    pub(crate) fn to_json(&self) -> String {
        serde_json::to_string(self).expect("texts, numbers and times are JSON")
    }

    /// Which dead letters are meant.
    pub(crate) fn filter(&self) -> DeadLetterFilter {
        let filter = self.filter.clone().unwrap_or_default();
        DeadLetterFilter { message_ids: self.ids.clone(), ..filter.into() }
    }

    /// Whether the whole queue is meant.
    pub(crate) fn is_everything(&self) -> bool {
        self.filter().is_everything()
    }

    /// Whether those are meant too that died before it was asked for and were not in sight then: SQS
    /// shows no more than the first ten of a FIFO group.
    pub(crate) fn goes_behind(&self, fifo: bool) -> bool {
        fifo && self.is_everything()
    }

    /// How it is done, message by message.
    pub(crate) fn terms(&self, kind: JobKind, fifo: bool) -> Terms {
        Terms {
            kind,
            fifo,
            may_reorder: self.allow_reorder,
            per_second: self.rate,
            canary: self.canary.map(u64::from),
        }
    }
}

impl From<FilterRequest> for DeadLetterFilter {
    fn from(filter: FilterRequest) -> Self {
        Self {
            reason: filter.reason,
            customer_id: filter.customer_id,
            text: filter.text,
            from: filter.from,
            to: filter.to,
            message_ids: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_kept_as_it_was_said() {
        for json in [
            r#"{"queue":"dlq"}"#,
            r#"{"queue":"dlq.fifo","ids":["a","b"],"rate":5,"canary":2,"allowReorder":true}"#,
            r#"{"queue":"dlq","filter":{"reason":"forced","customerId":"고객","text":"x","from":"2025-09-30T14:10:38Z"}}"#,
        ] {
            let request: JobRequest = serde_json::from_str(json).expect("it is read");
            assert_eq!(request.to_json(), json);
        }
    }

    #[test]
    fn a_request_without_ids_and_filter_means_the_whole_queue() {
        let read = |json: &str| serde_json::from_str::<JobRequest>(json).expect("it is read");
        assert!(read(r#"{"queue":"dlq","rate":5}"#).is_everything());
        assert!(!read(r#"{"queue":"dlq","ids":[]}"#).is_everything());
        assert!(!read(r#"{"queue":"dlq","filter":{"text":"x"}}"#).is_everything());
    }
}
