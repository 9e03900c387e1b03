//! Lists and counts of dead letters, whose cost is bounded.

use std::fmt::Write as _;

use jiff::Timestamp;
use uuid::Uuid;

use super::{DeadLetter, DeadLetterFilter, DeadLetterState, columns, read};
use crate::{
    Store, StoreError,
    backend::{Dialect, Parameters, Value},
    reads::read_time,
};

/// Letters that one page of a search for a text goes through.
const LOOKED_THROUGH: u32 = 5_000;

/// A place in a list: behind the letter that was first met at this time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LetterPosition {
    /// When it was first met, to the millisecond.
    pub seen_at: Timestamp,
    /// Its [`DeadLetter::id`].
    pub id: i64,
}

/// A part of a list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeadLetterPage {
    /// The letters.
    pub letters: Vec<DeadLetter>,
    /// Where the next page begins; none: this is the last. A search for a text may have found nothing
    /// in what it went through, and go on there.
    pub next: Option<LetterPosition>,
}

impl DeadLetter {
    /// The place behind this letter.
    pub fn position(&self) -> LetterPosition {
        LetterPosition { seen_at: self.seen_at, id: self.id }
    }
}

/// The letters of these queues in one range of an index for each, cut to a length, merged. `outside`
/// is a condition that each of these rows is then looked at for.
fn merged(
    queues: &[&str],
    state: DeadLetterState,
    filter: &DeadLetterFilter,
    after: Option<LetterPosition>,
    longest: u32,
    dialect: &Dialect,
) -> (String, Parameters) {
    let mut parameters = Parameters::default();
    // Writing to a string does not fail.
    let mut ranges = filter.ranges(&mut parameters);
    if let Some(LetterPosition { seen_at, id }) = after {
        let (time, id) = (parameters.number(seen_at.as_millisecond()), parameters.number(id));
        _ = write!(ranges, " AND (seen_at_ms, id) < ({time}, {id})");
    }
    let longest = parameters.number(i64::from(longest));
    let (index, state) = (filter.index(dialect), state.as_str());
    let parts = queues.iter().enumerate().map(|(i, queue)| {
        let queue = parameters.text(queue);
        format!(
            "SELECT * FROM (SELECT * FROM dead_letters{index}
             WHERE queue = {queue} AND state = '{state}'{ranges}
             ORDER BY seen_at_ms DESC, id DESC LIMIT {longest}) AS queue_{i}"
        )
    });
    let parts = parts.collect::<Vec<_>>().join(" UNION ALL ");
    let sql = format!(
        "SELECT * FROM ({parts}) AS found ORDER BY seen_at_ms DESC, id DESC LIMIT {longest}"
    );
    (sql, parameters)
}

/// A page where no text is searched for.
pub(crate) fn page(
    queues: &[&str],
    state: DeadLetterState,
    filter: &DeadLetterFilter,
    after: Option<LetterPosition>,
    longest: u32,
    dialect: &Dialect,
) -> (String, Vec<Value>) {
    let (merged, parameters) = merged(queues, state, filter, after, longest, dialect);
    let columns = columns(dialect);
    let sql = format!(
        "SELECT {columns} FROM ({merged}) AS page ORDER BY page.seen_at_ms DESC, page.id DESC"
    );
    (sql, parameters.0)
}

impl Store {
    /// A page of the dead letters of these queues in this state, those that were met last in front, so
    /// many at most (200 are enough for one answer).
    pub async fn dead_letter_page(
        &self,
        queues: &[&str],
        state: DeadLetterState,
        filter: &DeadLetterFilter,
        after: Option<LetterPosition>,
        at_most: u32,
    ) -> Result<DeadLetterPage, StoreError> {
        if queues.is_empty() {
            return Ok(DeadLetterPage::default());
        }
        if filter.text.is_some() {
            return self.search_page(queues, state, filter, after, at_most).await;
        }
        let dialect = self.backend.dialect();
        // One more than is shown tells whether there are more.
        let (sql, values) = page(queues, state, filter, after, at_most + 1, dialect);
        let mut letters = self.letters(sql, Parameters(values)).await?;
        let more = letters.len() > at_most as usize;
        letters.truncate(at_most as usize);
        let next = letters.last().filter(|_| more).map(DeadLetter::position);
        Ok(DeadLetterPage { letters, next })
    }

    async fn search_page(
        &self,
        queues: &[&str],
        state: DeadLetterState,
        filter: &DeadLetterFilter,
        after: Option<LetterPosition>,
        at_most: u32,
    ) -> Result<DeadLetterPage, StoreError> {
        let dialect = self.backend.dialect();
        let (through, mut parameters) =
            merged(queues, state, filter, after, LOOKED_THROUGH, dialect);
        let columns = columns(dialect);
        let search = filter.search(&mut parameters).unwrap_or_else(|| "TRUE".to_owned());
        let limit = parameters.number(i64::from(at_most));
        let sql = format!(
            "SELECT {columns} FROM ({through}) AS page WHERE {search}
             ORDER BY page.seen_at_ms DESC, page.id DESC LIMIT {limit}"
        );
        let letters = self.letters(sql, parameters).await?;
        if let Some(last) = letters.last().filter(|_| letters.len() == at_most as usize) {
            let next = Some(last.position());
            return Ok(DeadLetterPage { letters, next });
        }
        // Where the end of what was gone through is, if that was not all.
        let (through, parameters) = merged(queues, state, filter, after, LOOKED_THROUGH, dialect);
        let sql = format!(
            "SELECT seen_at_ms, id, (SELECT COUNT(*) FROM ({through}) AS counted) AS letters
             FROM ({through}) AS page ORDER BY page.seen_at_ms, page.id LIMIT 1"
        );
        let rows = self.rows(sql, parameters).await?;
        let next = match rows.first() {
            Some(row) if row.number("letters")? >= i64::from(LOOKED_THROUGH) => {
                Some(LetterPosition {
                    seen_at: read_time(&**row, "seen_at_ms")?,
                    id: row.number("id")?,
                })
            }
            _ => None,
        };
        Ok(DeadLetterPage { letters, next })
    }

    /// What is dead of these message groups, in the order in which it was met, so many at most: what
    /// stands before others is among the first.
    pub async fn dead_letters_in_groups(
        &self,
        queue: &str,
        groups: &[&str],
        at_most: u32,
    ) -> Result<Vec<DeadLetter>, StoreError> {
        if groups.is_empty() {
            return Ok(Vec::new());
        }
        let mut parameters = Parameters::default();
        let queue = parameters.text(queue);
        let groups = parameters.texts(groups.iter().copied());
        let limit = parameters.number(i64::from(at_most));
        let columns = columns(self.backend.dialect());
        let sql = format!(
            "SELECT {columns} FROM dead_letters
             WHERE queue = {queue} AND state = 'dead' AND message_group IN ({groups})
             ORDER BY id LIMIT {limit}"
        );
        self.letters(sql, parameters).await
    }

    /// The letters that a job has dealt with, by id, behind this one, so many at most.
    pub async fn dead_letters_of_job(
        &self,
        job: Uuid,
        after: i64,
        at_most: u32,
    ) -> Result<Vec<DeadLetter>, StoreError> {
        let dialect = self.backend.dialect();
        let mut parameters = Parameters::default();
        let job = parameters.text(&job.to_string());
        let (after, limit) = (parameters.number(after), parameters.number(i64::from(at_most)));
        let (columns, as_uuid) = (columns(dialect), dialect.as_uuid);
        let sql = format!(
            "SELECT {columns} FROM dead_letters WHERE job_id = {job}{as_uuid} AND id > {after}
             ORDER BY id LIMIT {limit}"
        );
        let rows = self.rows(sql, parameters).await?;
        rows.iter().map(|row| read(&**row)).collect()
    }
}
