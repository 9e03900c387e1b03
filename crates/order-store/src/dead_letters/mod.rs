//! What a monitor has met in dead-letter queues: each message once, and what became of it.

pub(crate) mod filter;
pub(crate) mod left;
pub(crate) mod list;
pub(crate) mod overtaking;
pub(crate) mod write;

use std::collections::{BTreeMap, HashSet};

use jiff::Timestamp;
use uuid::Uuid;

pub use filter::{DeadLetterFilter, UNKNOWN_REASON};
pub use left::{DeadLetterCount, Left, Undeleted};
pub use list::{DeadLetterPage, LetterPosition};
pub use overtaking::{DeadOrder, Newer};

use crate::{
    Attempt, Reason, Store, StoreError,
    backend::{Change, Columns, Dialect, Parameters, Pool},
    reads::{self, needed, odd, read_time, read_uuid},
};

/// Where a dead letter is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DeadLetterState {
    /// It is in the dead-letter queue.
    Dead,
    /// Its copy is in its source queue; whether it is deleted from the dead-letter queue is not known.
    Sent,
    /// Its copy is in its source queue, and it is deleted.
    Redriven,
    /// It is in the archive; whether it is deleted from the dead-letter queue is not known.
    Archived,
    /// It is in the archive, and deleted.
    Discarded,
    /// It is not in the dead-letter queue any more, by no doing of a job: expired, or taken by others.
    Gone,
}

impl DeadLetterState {
    /// Every state.
    pub const ALL: [Self; 6] =
        [Self::Dead, Self::Sent, Self::Redriven, Self::Archived, Self::Discarded, Self::Gone];

    /// The spelling in the store and in answers.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Dead => "dead",
            Self::Sent => "sent",
            Self::Redriven => "redriven",
            Self::Archived => "archived",
            Self::Discarded => "discarded",
            Self::Gone => "gone",
        }
    }

    /// Whether it has its copy or its place in the archive, and is still to be deleted.
    pub fn is_undeleted(self) -> bool {
        matches!(self, Self::Sent | Self::Archived)
    }

    /// The state of this spelling.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }
}

/// A dead letter that is met for the first time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewDeadLetter {
    /// The dead-letter queue's name.
    pub queue: String,
    /// SQS's id of the message.
    pub message_id: String,
    /// `MessageGroupId`, when there is one.
    pub group: Option<String>,
    /// What makes two messages the same thing: the order's id, else a digest of the body.
    pub identity: String,
    /// The order in it; none when the body is no order.
    pub order_id: Option<Uuid>,
    /// The order's customer.
    pub customer_id: Option<String>,
    /// Why it died; none: unknown.
    pub reason: Option<Reason>,
    /// Free text beside the reason; cut to 1 KiB.
    pub detail: Option<String>,
    /// How many attempts it had; none: unknown.
    pub attempts: Option<u32>,
    /// The body, of any size.
    pub body: String,
    /// The message's attributes, as the caller writes them.
    pub attributes: String,
    /// When SQS took it, from which its retention counts.
    pub sent_at: Option<Timestamp>,
    /// When it was met.
    pub seen_at: Timestamp,
}

/// A dead letter as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// Rises in the order in which dead letters were met.
    pub id: i64,
    /// The dead-letter queue's name.
    pub queue: String,
    /// SQS's id of the message.
    pub message_id: String,
    /// `MessageGroupId`.
    pub group: Option<String>,
    /// What makes two messages the same thing.
    pub identity: String,
    /// The order in it.
    pub order_id: Option<Uuid>,
    /// The order's customer.
    pub customer_id: Option<String>,
    /// Why it died: a [`Reason`]'s spelling, or [`UNKNOWN_REASON`].
    pub reason: String,
    /// Free text beside the reason.
    pub detail: Option<String>,
    /// How many attempts it had.
    pub attempts: Option<u32>,
    /// When SQS took it.
    pub sent_at: Option<Timestamp>,
    /// When it was first met.
    pub seen_at: Timestamp,
    /// When it was last noted that it is there; a look that comes soon after another notes nothing.
    pub last_seen_at: Timestamp,
    /// Where it is.
    pub state: DeadLetterState,
    /// When it got there, unless it is dead.
    pub settled_at: Option<Timestamp>,
    /// Whether its source queue has confirmed its copy: it is not to be sent again.
    pub copied: bool,
    /// The last job that dealt with it.
    pub job: Option<JobMark>,
    /// In small letters, of what people search for.
    pub(crate) search: String,
}

/// What a job came to at a dead letter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobMark {
    /// The job.
    pub job_id: Uuid,
    /// `redriven`, `discarded`, `refused` or `failed`.
    pub outcome: String,
    /// Why it was refused or failed.
    pub detail: Option<String>,
}

/// A dead letter's content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetterContent {
    /// The body.
    pub body: String,
    /// The attributes, as they were written.
    pub attributes: String,
}

/// The columns of a [`DeadLetter`].
pub(crate) fn columns(Dialect { as_text, .. }: &Dialect) -> String {
    format!(
        "id, queue, message_id, message_group, identity, order_id{as_text} AS order_id, customer_id,
            reason, detail, attempts, search, sent_at_ms, seen_at_ms, last_seen_ms, state, settled_at_ms,
            copied, job_id{as_text} AS job_id, job_outcome, job_detail"
    )
}

pub(crate) fn read(row: &dyn Columns) -> Result<DeadLetter, StoreError> {
    let state = needed(row, "state")?;
    let attempts = row.optional_number("attempts")?;
    let attempts = attempts
        .map(|number| u32::try_from(number).map_err(|_| odd("attempts", &number.to_string())))
        .transpose()?;
    let uuid = |column: &str| row.text(column)?.map(|id| read_uuid(column, &id)).transpose();
    let job = match (uuid("job_id")?, row.text("job_outcome")?) {
        (Some(job_id), Some(outcome)) => {
            Some(JobMark { job_id, outcome, detail: row.text("job_detail")? })
        }
        _ => None,
    };
    Ok(DeadLetter {
        id: row.number("id")?,
        queue: needed(row, "queue")?,
        message_id: needed(row, "message_id")?,
        group: row.text("message_group")?,
        identity: needed(row, "identity")?,
        order_id: uuid("order_id")?,
        customer_id: row.text("customer_id")?,
        reason: needed(row, "reason")?,
        detail: row.text("detail")?,
        attempts,
        sent_at: optional_time(row, "sent_at_ms")?,
        seen_at: read_time(row, "seen_at_ms")?,
        last_seen_at: read_time(row, "last_seen_ms")?,
        state: DeadLetterState::parse(&state).ok_or_else(|| odd("state", &state))?,
        settled_at: optional_time(row, "settled_at_ms")?,
        copied: row.number("copied")? != 0,
        job,
        search: needed(row, "search")?,
    })
}

pub(crate) fn optional_time(
    row: &dyn Columns,
    column: &str,
) -> Result<Option<Timestamp>, StoreError> {
    row.optional_number(column)?.map(|_| read_time(row, column)).transpose()
}

/// Dead letters. A monitor writes them; nothing here is asked of by workers.
impl Store {
    /// Keeps dead letters that were met for the first time, and gives the ids of those that were not
    /// kept before: of several monitors that meet the same message, exactly one is given its id.
    pub async fn keep_dead_letters(
        &self,
        letters: &[NewDeadLetter],
    ) -> Result<HashSet<String>, StoreError> {
        if letters.is_empty() {
            return Ok(HashSet::new());
        }
        let changed = self.change(write::keep(letters, self.backend.dialect())).await?;
        let rows = changed.and_then(|mut rows| (!rows.is_empty()).then(|| rows.remove(0)));
        rows.unwrap_or_default().iter().map(|row| needed(&**row, "message_id")).collect()
    }

    /// What is kept of these messages of a queue.
    pub async fn dead_letters_of(
        &self,
        queue: &str,
        message_ids: &[&str],
    ) -> Result<Vec<DeadLetter>, StoreError> {
        if message_ids.is_empty() {
            return Ok(Vec::new());
        }
        let mut parameters = Parameters::default();
        let queue = parameters.text(queue);
        let ids = parameters.texts(message_ids.iter().copied());
        let columns = columns(self.backend.dialect());
        let sql = format!(
            "SELECT {columns} FROM dead_letters WHERE queue = {queue} AND message_id IN ({ids})"
        );
        let rows = self.rows_by_key(sql, parameters).await?;
        rows.iter().map(|row| read(&**row)).collect()
    }

    /// Notes that these are there, at this time. What was taken for redriven, discarded or gone before
    /// `settled_before` is what [`DeadLetter::when_seen_again`] says.
    pub async fn see_dead_letters(
        &self,
        queue: &str,
        message_ids: &[&str],
        at: Timestamp,
        settled_before: Timestamp,
    ) -> Result<(), StoreError> {
        if message_ids.is_empty() {
            return Ok(());
        }
        let dialect = self.backend.dialect();
        let change = write::see(queue, message_ids, at, settled_before, dialect);
        self.change(change).await.map(drop)
    }

    /// Settles what has not been seen since this time, which two complete looks must be younger than:
    /// what was sent is redriven, what was archived is discarded, the rest is gone. Some hundreds at a
    /// time; gives how many.
    pub async fn settle_unseen_dead_letters(
        &self,
        queue: &str,
        unseen_since: Timestamp,
        now: Timestamp,
    ) -> Result<u64, StoreError> {
        let changed = self.change(write::settle_unseen(queue, unseen_since, now)).await?;
        Ok(changed.map_or(0, |rows| rows.iter().map(Vec::len).sum::<usize>() as u64))
    }

    /// Forgets what was redriven or gone before this time, the oldest first, so many at most. Gives how
    /// many.
    pub async fn forget_dead_letters_before(
        &self,
        before: Timestamp,
        at_most: u32,
    ) -> Result<u64, StoreError> {
        let changed = self.change(write::forget(before, at_most)).await?;
        Ok(changed.and_then(|rows| rows.last().map(Vec::len)).unwrap_or(0) as u64)
    }

    /// The content of a dead letter, from the archive where it was discarded.
    pub async fn dead_letter_content(
        &self,
        queue: &str,
        message_id: &str,
    ) -> Result<Option<DeadLetterContent>, StoreError> {
        for table in ["dead_letter_contents", "dead_letter_archive"] {
            let mut parameters = Parameters::default();
            let (queue, id) = (parameters.text(queue), parameters.text(message_id));
            let sql = format!(
                "SELECT body, attributes FROM {table} WHERE queue = {queue} AND message_id = {id}"
            );
            let rows = self.rows(sql, parameters).await?;
            if let Some(row) = rows.first() {
                let body = String::from_utf8_lossy(&row.bytes("body")?).into_owned();
                let attributes = needed(&**row, "attributes")?;
                return Ok(Some(DeadLetterContent { body, attributes }));
            }
        }
        Ok(None)
    }

    /// Of these identities, those of which a dead letter was redriven, or went away, before this time.
    pub async fn were_dead_before(
        &self,
        identities: &[&str],
        before: Timestamp,
    ) -> Result<HashSet<String>, StoreError> {
        if identities.is_empty() {
            return Ok(HashSet::new());
        }
        let mut parameters = Parameters::default();
        let identities = parameters.texts(identities.iter().copied());
        let before = parameters.number(before.as_millisecond());
        let sql = format!(
            "SELECT DISTINCT identity FROM dead_letters WHERE identity IN ({identities})
                AND state IN ('sent', 'redriven', 'gone') AND settled_at_ms <= {before}"
        );
        let rows = self.rows_by_key(sql, parameters).await?;
        rows.iter().map(|row| needed(&**row, "identity")).collect()
    }

    /// The newest attempt at each of these orders, of those that were attempted.
    pub async fn last_attempts(
        &self,
        order_ids: &[Uuid],
    ) -> Result<BTreeMap<Uuid, Attempt>, StoreError> {
        let mut attempts = BTreeMap::new();
        if order_ids.is_empty() {
            return Ok(attempts);
        }
        let dialect = self.backend.dialect();
        let mut parameters = Parameters::default();
        let columns = reads::attempt_columns(dialect);
        let as_uuid = dialect.as_uuid;
        let newest = order_ids.iter().enumerate().map(|(i, order_id)| {
            let order_id = parameters.text(&order_id.to_string());
            format!(
                "SELECT * FROM (SELECT {columns} FROM attempts WHERE order_id = {order_id}{as_uuid}
                 ORDER BY id DESC LIMIT 1) AS newest_{i}"
            )
        });
        let sql = newest.collect::<Vec<_>>().join(" UNION ALL ");
        for row in self.rows_by_key(sql, parameters).await? {
            let attempt = reads::read_attempt(&*row)?;
            attempts.extend(attempt.order_id.map(|order_id| (order_id, attempt)));
        }
        Ok(attempts)
    }

    pub(crate) async fn change(
        &self,
        change: Change,
    ) -> Result<crate::backend::Changed, StoreError> {
        self.ask(|answer| crate::writer::Job::Change(change, answer)).await
    }

    /// Rows that are found by their keys: whoever deals with messages waits for no question.
    pub(crate) async fn rows_by_key(
        &self,
        sql: String,
        parameters: Parameters,
    ) -> Result<Vec<crate::backend::Row>, StoreError> {
        self.read(self.backend.select(Pool::Handlers, sql, parameters.0)).await
    }

    pub(crate) async fn rows(
        &self,
        sql: String,
        parameters: Parameters,
    ) -> Result<Vec<crate::backend::Row>, StoreError> {
        self.question(self.backend.select(Pool::Questions, sql, parameters.0)).await
    }

    async fn letters(
        &self,
        sql: String,
        parameters: Parameters,
    ) -> Result<Vec<DeadLetter>, StoreError> {
        self.rows(sql, parameters).await?.iter().map(|row| read(&**row)).collect()
    }
}
