//! What is still in a dead-letter queue, in numbers: dead, or copied and not deleted.

use std::{collections::BTreeMap, fmt::Write as _};

use jiff::Timestamp;
use uuid::Uuid;

use super::{
    DeadLetter, DeadLetterFilter, DeadLetterState,
    filter::by_message,
    write::{settle_expired, these},
};
use crate::{
    Store, StoreError,
    backend::{Change, Columns, Dialect, Parameters, Statement},
    reads::{needed, odd},
};

/// How many are meant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeadLetterCount {
    /// So many.
    pub letters: u64,
    /// The greatest id among them.
    pub through: i64,
}

/// Which dead letters are part of a job, and still to be dealt with by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Left {
    /// Those up to this id.
    pub through: i64,
    /// Those too that SQS took by this time, whenever they were met.
    pub sent_by: Option<Timestamp>,
    /// But for those that this job has dealt with.
    pub job: Uuid,
}

impl Left {
    /// Whether a letter is part of the job, if its filter means it.
    pub fn has(&self, letter: &DeadLetter) -> bool {
        let by = |by: Timestamp| letter.sent_at.is_some_and(|sent_at| sent_at <= by);
        letter.id <= self.through || self.sent_by.is_some_and(by)
    }
}

/// How many messages of a queue have their copies, or their places in the archive, and are still to be
/// deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Undeleted {
    /// They are back in their source queue.
    pub sent: u64,
    /// They are in the archive.
    pub archived: u64,
}

impl Undeleted {
    /// All of them.
    pub fn total(self) -> u64 {
        self.sent + self.archived
    }
}

impl DeadLetter {
    /// What it is when it is met again long after it came to its state. What was copied or archived is
    /// to be deleted, and nothing else: it is never sent again, nor delivered after it was discarded.
    pub fn when_seen_again(&self) -> DeadLetterState {
        match self.state {
            DeadLetterState::Redriven if self.copied => DeadLetterState::Sent,
            DeadLetterState::Discarded => DeadLetterState::Archived,
            DeadLetterState::Redriven | DeadLetterState::Gone => DeadLetterState::Dead,
            state => state,
        }
    }
}

/// What a letter is when it is deleted from its dead-letter queue.
const DELETED: &str =
    "CASE state WHEN 'sent' THEN 'redriven' WHEN 'archived' THEN 'discarded' ELSE state END";

/// Notes that these are deleted from their dead-letter queue.
pub(crate) fn delete(queue: &str, message_ids: &[&str], dialect: &Dialect) -> Statement {
    let mut parameters = Parameters::default();
    let (index, these) = (by_message(dialect), these(queue, message_ids, &mut parameters));
    let sql = format!("UPDATE dead_letters{index} SET state = {DELETED} WHERE {these}");
    (sql, parameters.0)
}

/// When SQS took the oldest letter of each state in which it may be in its queue, each from the old end of
/// a range of an index, and of these the oldest.
pub(crate) fn oldest(queue: &str, after: Timestamp, dialect: &Dialect) -> Statement {
    let mut parameters = Parameters::default();
    let queue = parameters.text(queue);
    let after = parameters.number(after.as_millisecond());
    let index = if dialect.names_index { " INDEXED BY dead_letters_by_age" } else { "" };
    let of_state = |state| {
        format!(
            "SELECT * FROM (SELECT sent_at_ms FROM dead_letters{index}
             WHERE queue = {queue} AND state = '{state}' AND sent_at_ms > {after}
             ORDER BY sent_at_ms LIMIT 1) AS oldest_{state}"
        )
    };
    let parts = ["dead", "sent", "archived"].map(of_state).join(" UNION ALL ");
    let sql = format!("SELECT MIN(sent_at_ms) AS oldest_ms FROM ({parts}) AS oldest");
    (sql, parameters.0)
}

/// Counts of dead letters.
impl Store {
    /// How many dead letters of a queue are meant.
    pub async fn count_dead_letters(
        &self,
        queue: &str,
        filter: &DeadLetterFilter,
    ) -> Result<DeadLetterCount, StoreError> {
        self.count_of(queue, filter, None).await
    }

    /// How many of those are left of a job.
    pub async fn count_left(
        &self,
        queue: &str,
        filter: &DeadLetterFilter,
        left: &Left,
    ) -> Result<u64, StoreError> {
        self.count_of(queue, filter, Some(left)).await.map(|count| count.letters)
    }

    async fn count_of(
        &self,
        queue: &str,
        filter: &DeadLetterFilter,
        left: Option<&Left>,
    ) -> Result<DeadLetterCount, StoreError> {
        let dialect = self.backend.dialect();
        let mut parameters = Parameters::default();
        let queue = parameters.text(queue);
        let mut conditions = filter.ranges(&mut parameters);
        // Writing to a string does not fail.
        if let Some(Left { through, sent_by, job }) = left {
            let (through, as_uuid) = (parameters.number(*through), dialect.as_uuid);
            let sent_by = sent_by.map_or(i64::MIN, Timestamp::as_millisecond);
            let sent_by = parameters.number(sent_by);
            let job = parameters.text(&job.to_string());
            _ = write!(
                conditions,
                " AND (id <= {through} OR sent_at_ms <= {sent_by})
                  AND (job_id IS NULL OR job_id <> {job}{as_uuid})"
            );
        }
        if let Some(search) = filter.search(&mut parameters) {
            _ = write!(conditions, " AND {search}");
        }
        let index = filter.index(dialect);
        let sql = format!(
            "SELECT COUNT(*) AS letters, COALESCE(MAX(id), 0) AS through FROM dead_letters{index}
             WHERE queue = {queue} AND state = 'dead'{conditions}"
        );
        let rows = self.rows(sql, parameters).await?;
        let row = rows.first().ok_or_else(|| odd("letters", "nothing"))?;
        let letters = row.number("letters")?.cast_unsigned();
        Ok(DeadLetterCount { letters, through: row.number("through")? })
    }

    /// How many letters this job has dealt with whose deletion is not known.
    pub async fn count_undeleted(&self, job: Uuid) -> Result<u64, StoreError> {
        let as_uuid = self.backend.dialect().as_uuid;
        let mut parameters = Parameters::default();
        let job = parameters.text(&job.to_string());
        let sql = format!(
            "SELECT COUNT(*) AS letters FROM dead_letters
             WHERE job_id = {job}{as_uuid} AND state IN ('sent', 'archived')"
        );
        let rows = self.rows(sql, parameters).await?;
        rows.first().map_or(Ok(0), |row| Ok(row.number("letters")?.cast_unsigned()))
    }

    /// How many dead letters of a queue there are, by reason.
    pub async fn dead_letter_reasons(
        &self,
        queue: &str,
    ) -> Result<BTreeMap<String, u64>, StoreError> {
        let mut parameters = Parameters::default();
        let queue = parameters.text(queue);
        let sql = format!(
            "SELECT reason, COUNT(*) AS letters FROM dead_letters
             WHERE queue = {queue} AND state = 'dead' GROUP BY reason"
        );
        let rows = self.rows(sql, parameters).await?;
        let count = |row: &dyn Columns| {
            Ok((needed(row, "reason")?, row.number("letters")?.cast_unsigned()))
        };
        rows.iter().map(|row| count(&**row)).collect()
    }

    /// How many messages of a queue are still to be deleted, and nothing else. For whoever deals with
    /// messages too: it waits for no question.
    pub async fn undeleted(&self, queue: &str) -> Result<Undeleted, StoreError> {
        let mut parameters = Parameters::default();
        let queue = parameters.text(queue);
        let sql = format!(
            "SELECT state, COUNT(*) AS letters FROM dead_letters
             WHERE queue = {queue} AND state IN ('sent', 'archived') GROUP BY state"
        );
        let mut undeleted = Undeleted::default();
        for row in self.rows_by_key(sql, parameters).await? {
            let letters = row.number("letters")?.cast_unsigned();
            match DeadLetterState::parse(&needed(&*row, "state")?) {
                Some(DeadLetterState::Sent) => undeleted.sent = letters,
                _ => undeleted.archived = letters,
            }
        }
        Ok(undeleted)
    }

    /// Notes that these messages are deleted from their dead-letter queue: what was sent is redriven, and
    /// what was archived is discarded.
    pub async fn delete_dead_letters(
        &self,
        queue: &str,
        message_ids: &[&str],
    ) -> Result<(), StoreError> {
        if message_ids.is_empty() {
            return Ok(());
        }
        let statements = vec![delete(queue, message_ids, self.backend.dialect())];
        self.change(Change { guarded: false, statements }).await.map(drop)
    }

    /// Settles what was sent or archived and SQS took before this time: it keeps nothing for so long, so
    /// that it is in no dead-letter queue, whoever deleted it. Some hundreds at a time; gives how many.
    pub async fn settle_expired_dead_letters(
        &self,
        queue: &str,
        sent_before: Timestamp,
        now: Timestamp,
    ) -> Result<u64, StoreError> {
        let changed = self.change(settle_expired(queue, sent_before, now)).await?;
        Ok(changed.map_or(0, |rows| rows.iter().map(Vec::len).sum::<usize>() as u64))
    }

    /// When SQS took the oldest message that may be in a queue, as far as is known, of those that it took
    /// after this time.
    pub async fn oldest_dead_letter(
        &self,
        queue: &str,
        after: Timestamp,
    ) -> Result<Option<Timestamp>, StoreError> {
        let (sql, values) = oldest(queue, after, self.backend.dialect());
        let rows = self.rows_by_key(sql, Parameters(values)).await?;
        rows.first().map_or(Ok(None), |row| super::optional_time(&**row, "oldest_ms"))
    }
}
