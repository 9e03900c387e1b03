//! Queues themselves: creating, finding, configuring, purging, deleting.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::api::{
    AttributesResult, CreateQueueRequest, GetQueueAttributesRequest, GetQueueUrlRequest,
    ListDeadLetterSourceQueuesRequest, ListDeadLetterSourceQueuesResult, ListQueueTagsResult,
    ListQueuesRequest, ListQueuesResult, QueueUrlResult, SetQueueAttributesRequest,
    TagQueueRequest, UntagQueueRequest,
};
use super::attributes::{self, Attributes};
use super::error::{ApiError, ErrorKind};
use super::queue::Queue;
use super::redrive::queue_of_arn;
use super::time::Millis;
use super::{Sqs, limits, validate};

impl Sqs {
    /// CreateQueue. Succeeds when the queue exists and has the attributes that are asked for.
    pub fn create_queue(
        &mut self,
        now: Millis,
        request: CreateQueueRequest,
    ) -> Result<QueueUrlResult, ApiError> {
        self.advance(now);
        let name = request.queue_name.ok_or_else(|| ApiError::missing("QueueName"))?;
        let name = name.as_str();
        let result = QueueUrlResult { queue_url: self.path(name) };
        let fifo =
            request.attributes.get("FifoQueue").is_some_and(|value| attributes::is_true(value));
        validate::queue_name(name, fifo)?;
        let attributes = Attributes::create(&request.attributes)?;
        if let Some(existing) = self.queues.get(name) {
            let (has, wants) = (existing.attributes.to_map(), attributes.to_map());
            let differs = |name: &&String| has.get(*name) != wants.get(*name);
            let tags_differ = !request.tags.is_empty() && request.tags != existing.tags;
            return match request.attributes.keys().find(differs) {
                None if tags_differ => Err(ApiError::new(
                    ErrorKind::QueueNameExists,
                    "A queue already exists with the same name and a different value for tags",
                )),
                None => Ok(result),
                Some(name) => Err(ApiError::new(
                    ErrorKind::QueueNameExists,
                    format!(
                        "A queue already exists with the same name and a different value for attribute {name}"
                    ),
                )),
            };
        }
        if self
            .deleted
            .get(name)
            .is_some_and(|at| *at + self.limits.deleted_name_interval > self.now)
        {
            return Err(ApiError::new(
                ErrorKind::QueueDeletedRecently,
                "You must wait 60 seconds after deleting a queue before you can create another with the same name.",
            ));
        }
        self.deleted.remove(name);
        self.check_dead_letter_target(name, &attributes)?;
        check_tags(name, &request.tags, 0)?;
        let mut queue = Queue::new(self.random.next_u64(), attributes, self.now);
        queue.tags = request.tags;
        self.queues.insert(name.into(), queue);
        Ok(result)
    }

    /// DeleteQueue. Its messages are gone at once.
    pub fn delete_queue(&mut self, now: Millis, queue_url: &str) -> Result<(), ApiError> {
        let name = self.open(now, queue_url)?;
        if let Some(queue) = self.queues.remove(&name)
            && let Some(deadline) = queue.indexed_deadline
        {
            self.deadlines.remove(&(deadline, Arc::clone(&name)));
        }
        let (now, interval) = (self.now, self.limits.deleted_name_interval);
        self.deleted.insert(Arc::clone(&name), now);
        self.deleted.retain(|_, at| *at + interval > now);
        // Whoever waits there has to be told.
        self.awakened.insert(name);
        Ok(())
    }

    /// GetQueueUrl.
    pub fn get_queue_url(
        &mut self,
        now: Millis,
        request: &GetQueueUrlRequest,
    ) -> Result<QueueUrlResult, ApiError> {
        self.advance(now);
        if request.queue_name.is_empty() {
            return Err(ApiError::missing("QueueName"));
        }
        let owner = request.queue_owner_aws_account_id.as_deref();
        let ours = owner.is_none_or(|account| account == self.account);
        if ours && self.queues.contains_key(request.queue_name.as_str()) {
            Ok(QueueUrlResult { queue_url: self.path(&request.queue_name) })
        } else {
            Err(ApiError::queue_does_not_exist())
        }
    }

    /// ListQueues, in the order of names.
    pub fn list_queues(
        &mut self,
        now: Millis,
        request: &ListQueuesRequest,
    ) -> Result<ListQueuesResult, ApiError> {
        self.advance(now);
        let prefix = request.queue_name_prefix.as_deref().unwrap_or_default();
        let names = self.queues.keys().filter(|name| name.starts_with(prefix));
        let (names, next_token) =
            page(names.cloned(), request.next_token.as_deref(), request.max_results)?;
        let queue_urls = names.iter().map(|name| self.path(name)).collect();
        Ok(ListQueuesResult { queue_urls, next_token })
    }

    /// ListDeadLetterSourceQueues, in the order of names.
    pub fn list_dead_letter_source_queues(
        &mut self,
        now: Millis,
        request: &ListDeadLetterSourceQueuesRequest,
    ) -> Result<ListDeadLetterSourceQueuesResult, ApiError> {
        let name = self.open(now, &request.queue_url)?;
        let sources = self.dead_letter_sources(&name).cloned();
        let (names, next_token) =
            page(sources, request.next_token.as_deref(), request.max_results)?;
        let queue_urls = names.iter().map(|name| self.path(name)).collect();
        Ok(ListDeadLetterSourceQueuesResult { queue_urls, next_token })
    }

    /// GetQueueAttributes. The counts are exact.
    pub fn get_queue_attributes(
        &mut self,
        now: Millis,
        request: &GetQueueAttributesRequest,
    ) -> Result<AttributesResult, ApiError> {
        let name = self.open(now, &request.queue_url)?;
        for wanted in &request.attribute_names {
            attributes::check_name(wanted)?;
        }
        let queue = self.queues.get(&name).ok_or_else(ApiError::queue_does_not_exist)?;
        let mut map = queue.attributes.to_map();
        map.extend(
            [
                ("ApproximateNumberOfMessages", queue.visible().to_string()),
                ("ApproximateNumberOfMessagesDelayed", queue.delayed().to_string()),
                ("ApproximateNumberOfMessagesNotVisible", queue.in_flight().to_string()),
                ("CreatedTimestamp", queue.created.seconds().to_string()),
                ("LastModifiedTimestamp", queue.modified.seconds().to_string()),
                ("QueueArn", self.arn(&name)),
            ]
            .map(|(name, value)| (name.to_owned(), value)),
        );
        let wanted = &request.attribute_names;
        let all = wanted.iter().any(|name| name == "All");
        map.retain(|name, _| all || wanted.contains(name));
        Ok(AttributesResult { attributes: map })
    }

    /// SetQueueAttributes. All of the changes are made, or none.
    pub fn set_queue_attributes(
        &mut self,
        now: Millis,
        request: &SetQueueAttributesRequest,
    ) -> Result<(), ApiError> {
        let name = self.open(now, &request.queue_url)?;
        if request.attributes.is_empty() {
            return Err(ApiError::missing("Attribute.Name"));
        }
        let queue = self.queues.get(&name).ok_or_else(ApiError::queue_does_not_exist)?;
        let changed = queue.attributes.with(&request.attributes)?;
        if request.attributes.contains_key("RedrivePolicy") {
            self.check_dead_letter_target(&name, &changed)?;
        }
        let (now, queue) = (self.now, self.queues.get_mut(&name));
        if let Some(queue) = queue {
            let delay_changed = changed.delay() != queue.attributes.delay();
            let scope = queue.deduplicates_per_group(now);
            if changed.deduplication_per_group != scope {
                queue.scope_until = Some((scope, now + self.limits.propagation_interval));
            }
            queue.attributes = changed;
            queue.modified = now;
            if delay_changed {
                queue.apply_changed_delay();
            }
            queue.advance(now);
        }
        self.close(&name);
        Ok(())
    }

    /// PurgeQueue, at most once in a minute.
    pub fn purge_queue(&mut self, now: Millis, queue_url: &str) -> Result<(), ApiError> {
        let name = self.open(now, queue_url)?;
        let (now, interval) = (self.now, self.limits.purge_interval);
        let queue = self.queues.get_mut(&name).ok_or_else(ApiError::queue_does_not_exist)?;
        if queue.purged.is_some_and(|at| at + interval > now) {
            return Err(ApiError::new(
                ErrorKind::PurgeQueueInProgress,
                format!("Only one PurgeQueue operation on {name} is allowed every 60 seconds."),
            ));
        }
        queue.purged = Some(now);
        queue.clear();
        self.close(&name);
        Ok(())
    }

    /// TagQueue. A tag with a known key is overwritten.
    pub fn tag_queue(&mut self, now: Millis, request: TagQueueRequest) -> Result<(), ApiError> {
        let name = self.open(now, &request.queue_url)?;
        if request.tags.is_empty() {
            return Err(ApiError::missing("Tags"));
        }
        let queue = self.queues.get_mut(&name).ok_or_else(ApiError::queue_does_not_exist)?;
        let others = queue.tags.keys().filter(|key| !request.tags.contains_key(*key)).count();
        check_tags(&name, &request.tags, others)?;
        queue.tags.extend(request.tags);
        Ok(())
    }

    /// UntagQueue. Keys that are not there are ignored.
    pub fn untag_queue(
        &mut self,
        now: Millis,
        request: &UntagQueueRequest,
    ) -> Result<(), ApiError> {
        let name = self.open(now, &request.queue_url)?;
        if request.tag_keys.is_empty() {
            // The texts of an empty list and of an empty key are the same.
            check_tag_key("")?;
        }
        request.tag_keys.iter().try_for_each(|key| check_tag_key(key))?;
        if let Some(queue) = self.queues.get_mut(&name) {
            queue.tags.retain(|key, _| !request.tag_keys.contains(key));
        }
        Ok(())
    }

    /// ListQueueTags.
    pub fn list_queue_tags(
        &mut self,
        now: Millis,
        queue_url: &str,
    ) -> Result<ListQueueTagsResult, ApiError> {
        let name = self.open(now, queue_url)?;
        let tags = self.queues.get(&name).map(|queue| queue.tags.clone());
        Ok(ListQueueTagsResult { tags: tags.unwrap_or_default() })
    }

    /// The queues whose dead letters go to this one.
    pub(super) fn dead_letter_sources(&self, target: &str) -> impl Iterator<Item = &Arc<str>> {
        let arn = self.arn(target);
        self.queues.iter().filter_map(move |(name, queue)| {
            let policy = queue.attributes.redrive.as_ref()?;
            (policy.dead_letter_target_arn == arn).then_some(name)
        })
    }

    /// A dead-letter queue must exist, be of the same type, and allow this source.
    fn check_dead_letter_target(&self, name: &str, wanted: &Attributes) -> Result<(), ApiError> {
        let Some(policy) = &wanted.redrive else {
            return Ok(());
        };
        let bad =
            |reason: &str| Err(ApiError::invalid_value(policy.to_json(), "RedrivePolicy", reason));
        let arn = &policy.dead_letter_target_arn;
        let target = queue_of_arn(arn).filter(|target| self.arn(target) == *arn);
        let Some(target) = target.and_then(|target| self.queues.get(target)) else {
            return bad("Dead letter target does not exist.");
        };
        if target.is_fifo() != wanted.fifo {
            return bad("Dead-letter queue must be same type of queue as the source..");
        }
        let source_arn = self.arn(name);
        if target.attributes.redrive_allow.as_ref().is_some_and(|allow| !allow.allows(&source_arn))
        {
            return bad(
                "The dead-letter queue's RedriveAllowPolicy does not permit this source queue.",
            );
        }
        Ok(())
    }
}

fn check_tags(queue: &str, tags: &BTreeMap<String, String>, others: usize) -> Result<(), ApiError> {
    if tags.len() + others > limits::TAGS {
        return Err(ApiError::invalid_parameter(format!("Too many tags added for queue {queue}.")));
    }
    for (key, value) in tags {
        check_tag_key(key)?;
        if value.chars().count() > 256 {
            return Err(ApiError::invalid_parameter(
                "Tag values must be between 0 and 256 characters in length.",
            ));
        }
        if !value.chars().all(is_tag_character) {
            return Err(ApiError::invalid_parameter(format!(
                "Tag values may only contain {TAG_CHARACTERS}"
            )));
        }
        if [key, value].into_iter().any(|text| text.to_ascii_lowercase().starts_with("aws:")) {
            return Err(ApiError::invalid_parameter(
                "Tag keys and values cannot start with the reserved prefix aws:.",
            ));
        }
    }
    Ok(())
}

const TAG_CHARACTERS: &str =
    "unicode letters, digits, whitespace, or one of these symbols: _ . : / = + - @";

fn check_tag_key(key: &str) -> Result<(), ApiError> {
    if !(1..=128).contains(&key.chars().count()) {
        return Err(ApiError::invalid_parameter(
            "Tag keys must be between 1 and 128 characters in length.",
        ));
    }
    if key.chars().all(is_tag_character) {
        return Ok(());
    }
    Err(ApiError::invalid_parameter(format!("Tag keys may only contain {TAG_CHARACTERS}")))
}

fn is_tag_character(c: char) -> bool {
    c.is_alphanumeric() || c.is_whitespace() || "_.:/=+-@".contains(c)
}

/// One page of names, and the token of the next one. As on AWS there is a token only when the number
/// of results was asked for.
fn page(
    names: impl Iterator<Item = Arc<str>>,
    token: Option<&str>,
    most: Option<i64>,
) -> Result<(Vec<Arc<str>>, Option<String>), ApiError> {
    if most.is_some_and(|most| !limits::LIST_RESULTS.contains(&most)) {
        return Err(ApiError::invalid_parameter(
            "Value for parameter MaxResults is invalid. Reason: MaxResults must be an integer between 1 and 1000.",
        ));
    }
    let after = match token.filter(|token| !token.is_empty()) {
        None => None,
        Some(token) => {
            let name = BASE64.decode(token).ok().and_then(|bytes| String::from_utf8(bytes).ok());
            Some(name.ok_or_else(|| ApiError::invalid_parameter("Invalid or expired next token."))?)
        }
    };
    let size = most.unwrap_or(*limits::LIST_RESULTS.end()) as usize;
    let mut rest = names.filter(|name| after.as_deref().is_none_or(|after| &**name > after));
    let names: Vec<Arc<str>> = rest.by_ref().take(size).collect();
    let more = most.is_some() && rest.next().is_some();
    let next = names.last().filter(|_| more).map(|name| BASE64.encode(name.as_bytes()));
    Ok((names, next))
}
