//! Holds the store and the dead letters against the book of accepted orders.

use std::{
    collections::{HashMap, HashSet},
    path::Path,
};

use futures_util::TryStreamExt;
use serde::Deserialize;
use sqlx::{Connection, Row, SqliteConnection};
use uuid::Uuid;

use super::{
    attempt::{Attempt, read_attempt},
    findings::{
        DOUBLE, FAILING_DELIVERED, Findings, INNOCENT, LOST, OUT_OF_ORDER, TWO_AT_ONCE, UNKNOWN,
        WRONG_LETTER,
    },
    fleet::{ATTEMPTS, FIFO, MOST_RECEIVES, STANDARD},
    load::garbage_body,
    orders::{Book, customer_name},
    queues::Letter,
};

/// A record may be committed so long after the attempt's end: a paused worker may hold the store's lock.
const COMMIT_MS: u64 = 10_000;
/// What is audited.
pub(super) struct Evidence<'a> {
    pub(super) seed: u64,
    pub(super) book: &'a Book,
    pub(super) garbage: usize,
    pub(super) letters: &'a [Letter],
    /// When each worker, by its process's id, was paused: milliseconds since 1970.
    pub(super) pauses: &'a HashMap<u32, Vec<(u64, u64)>>,
}

/// What is known of an order.
#[derive(Clone, Copy, Default)]
struct Known {
    delivered_attempts: u8,
    failed_attempts: u8,
    is_delivered: bool,
    letters: u8,
}

pub(super) async fn audit(
    database: &Path,
    evidence: Evidence<'_>,
    findings: &mut Findings,
) -> anyhow::Result<()> {
    let mut store = SqliteConnection::connect(&format!("sqlite://{}", database.display())).await?;
    let known = vec![Known::default(); evidence.book.len()];
    let mut audit = Audit {
        evidence,
        findings,
        known,
        highest: HashMap::new(),
        ended: HashMap::new(),
        repeated: Vec::new(),
        messages: HashMap::new(),
        late_records: 0,
        garbage_messages: HashSet::new(),
    };
    audit.attempts(&mut store).await?;
    audit.deliveries(&mut store).await?;
    audit.repeated(&mut store).await?;
    audit.letters();
    audit.orders();
    Ok(())
}

struct Audit<'a, 'f> {
    evidence: Evidence<'a>,
    findings: &'f mut Findings,
    known: Vec<Known>,
    /// By customer, the number of the latest FIFO order that was attempted.
    highest: HashMap<u32, u32>,
    /// By customer, when the latest attempt at a FIFO order ended whose worker had not been paused.
    ended: HashMap<u32, u64>,
    /// Deliveries of orders that were delivered before.
    repeated: Vec<(usize, Attempt)>,
    /// By the place of an order that is made to fail: its messages, each with the number of its latest
    /// attempt.
    messages: HashMap<usize, HashMap<String, u32>>,
    late_records: u64,
    garbage_messages: HashSet<String>,
}

impl Audit<'_, '_> {
    /// Reads the attempts in the order of their commits.
    async fn attempts(&mut self, store: &mut SqliteConnection) -> anyhow::Result<()> {
        let mut rows = sqlx::query("SELECT * FROM attempts ORDER BY id").fetch(store);
        while let Some(row) = rows.try_next().await? {
            let attempt = read_attempt(&row)?;
            let order_id: Option<&str> = row.try_get("order_id")?;
            let Some(order_id) = order_id else {
                self.attempt_at_garbage(attempt);
                continue;
            };
            let Some(place) = order_id.parse().ok().and_then(|id| self.evidence.book.find(id))
            else {
                self.findings.add(UNKNOWN, || format!("an attempt at order {order_id}"));
                continue;
            };
            let (id, order) = self.evidence.book.get(place);
            let (queue, group): (&str, Option<&str>) =
                (row.try_get("queue")?, row.try_get("message_group")?);
            let expected = if order.fifo { FIFO } else { STANDARD };
            if queue != expected || group != Some(customer_name(order.customer).as_str()) {
                self.findings.add(UNKNOWN, || format!("{id} came from {queue}, group {group:?}"));
            }
            self.attempt(place, attempt);
        }
        Ok(())
    }

    fn attempt(&mut self, place: usize, attempt: Attempt) {
        let (id, order) = self.evidence.book.get(place);
        let is_failing = order.is_failing(self.evidence.seed);
        let was_delivered = self.known[place].delivered_attempts > 0;
        if order.fifo && !self.was_paused(&attempt) {
            let ended = self.ended.entry(order.customer).or_default();
            if attempt.started_ms < *ended {
                let (ended, customer) = (*ended, customer_name(order.customer));
                self.findings.add(TWO_AT_ONCE, || {
                    format!("{customer}: one ended at {ended} only, {id}: {attempt}")
                });
            } else {
                *ended = attempt.finished_ms;
            }
        }
        if order.fifo && !was_delivered {
            let highest = self.highest.entry(order.customer).or_insert(order.number);
            if order.number < *highest {
                let highest = *highest;
                // What a paused worker finishes late has no effect if the order is made to fail.
                if is_failing && self.was_paused(&attempt) {
                    self.late_records += 1;
                } else {
                    let customer = customer_name(order.customer);
                    self.findings.add(OUT_OF_ORDER, || {
                        format!(
                            "{customer}'s order {} ({id}) after its order {highest}, {attempt}",
                            order.number
                        )
                    });
                }
            } else {
                *highest = order.number;
            }
        }
        let known = &mut self.known[place];
        if attempt.outcome == "delivered" {
            known.delivered_attempts = known.delivered_attempts.saturating_add(1);
            if is_failing {
                self.findings.add(FAILING_DELIVERED, || format!("{id}: {attempt}"));
            }
            if was_delivered {
                self.repeated.push((place, attempt));
            }
            return;
        }
        known.failed_attempts = known.failed_attempts.saturating_add(1);
        if is_failing {
            // A paused process finds that the handler's time is up.
            let is_late = attempt.reason.as_deref() == Some("timeout") && self.was_paused(&attempt);
            if attempt.reason.as_deref() != Some("forced") && !is_late {
                self.findings.add(WRONG_LETTER, || format!("{id} failed otherwise: {attempt}"));
            }
            let latest = self.messages.entry(place).or_default().entry(attempt.message_id);
            let latest = latest.or_default();
            *latest = attempt.number.max(*latest);
        }
    }

    fn attempt_at_garbage(&mut self, attempt: Attempt) {
        if attempt.reason.as_deref() != Some("unparseable") {
            self.findings.add(UNKNOWN, || format!("an attempt without order: {attempt}"));
        }
        self.garbage_messages.insert(attempt.message_id);
    }

    async fn deliveries(&mut self, store: &mut SqliteConnection) -> anyhow::Result<()> {
        let mut rows = sqlx::query("SELECT order_id, status FROM deliveries").fetch(store);
        while let Some(row) = rows.try_next().await? {
            let (order_id, status): (&str, &str) =
                (row.try_get("order_id")?, row.try_get("status")?);
            match order_id.parse().ok().and_then(|id| self.evidence.book.find(id)) {
                Some(place) => self.known[place].is_delivered = status == "DELIVERED",
                None => {
                    self.findings.add(UNKNOWN, || format!("a delivery of {order_id}, {status}"));
                }
            }
        }
        Ok(())
    }

    /// An order may be handed over again by a worker that was paused between asking the store and telling
    /// it, and by two messages that the API sent because an answer was lost. The store keeps the
    /// first delivery. Everything else is a double effect.
    async fn repeated(&mut self, store: &mut SqliteConnection) -> anyhow::Result<()> {
        const FIRST: &str = "SELECT * FROM attempts WHERE order_id = ?1 AND outcome = 'delivered' ORDER BY id LIMIT 1";
        let (mut by_pause, mut by_message) = (0, 0);
        for (place, attempt) in std::mem::take(&mut self.repeated) {
            let (id, order) = self.evidence.book.get(place);
            let first = sqlx::query(FIRST).bind(id.to_string()).fetch_one(&mut *store).await?;
            let first = read_attempt(&first)?;
            // While a process stands still, with the store's lock perhaps, its leases end, and its record
            // comes only after the next worker has begun.
            if self.was_paused(&attempt) || self.stood_still(&first, attempt.started_ms) {
                by_pause += 1;
            } else if !order.fifo && first.message_id != attempt.message_id {
                by_message += 1;
            } else {
                self.findings
                    .add(DOUBLE, || format!("{id} ({order:?}): first {first}, then {attempt}"));
            }
        }
        self.findings.note("orders handed over again since a worker had been paused", by_pause);
        self.findings.note(
            "orders handed over again because they were sent twice (standard queue)",
            by_message,
        );
        self.findings.note(
            "late records of failing orders by a worker that had been paused",
            self.late_records,
        );
        Ok(())
    }

    fn letters(&mut self) {
        let mut garbage: HashMap<&str, u64> = HashMap::new();
        let (mut by_worker, mut by_sqs) = (0, 0);
        for letter in self.evidence.letters {
            if letter.reason.is_some() {
                by_worker += 1;
            } else {
                by_sqs += 1;
            }
            let Ok(Identity { order_id }) = serde_json::from_str(&letter.body) else {
                *garbage.entry(&letter.body).or_default() += 1;
                // Without a reason SQS has moved it, after workers had been killed with it.
                if letter.reason.as_deref().is_some_and(|reason| reason != "unparseable") {
                    self.findings.add(WRONG_LETTER, || format!("{letter:?}"));
                }
                continue;
            };
            match self.evidence.book.find(order_id) {
                Some(place) => self.letter_of_order(place, letter),
                None => self.findings.add(UNKNOWN, || format!("{letter:?}")),
            }
        }
        for n in 0..self.evidence.garbage {
            let copies = garbage.remove(garbage_body(n).as_str()).unwrap_or_default();
            // Odd ones are for the FIFO queue, whose deduplication leaves one; an answer to the other ones may be lost.
            if copies == 0 || (copies > 1 && n % 2 == 1) {
                self.findings
                    .add(WRONG_LETTER, || format!("{} has {copies} dead letters", garbage_body(n)));
            }
        }
        for (body, _) in garbage {
            self.findings.add(UNKNOWN, || format!("a dead letter {body:?}"));
        }
        self.findings.note("dead letters written by workers, with a reason", by_worker);
        self.findings.note("dead letters moved by SQS's redrive", by_sqs);
        self.findings.note("messages that were no orders", self.evidence.garbage as u64);
    }

    fn letter_of_order(&mut self, place: usize, letter: &Letter) {
        let (id, order) = self.evidence.book.get(place);
        let known = &mut self.known[place];
        known.letters = known.letters.saturating_add(1);
        let known = *known;
        if !order.is_failing(self.evidence.seed) {
            self.findings.add(INNOCENT, || {
                format!(
                    "{id} ({order:?}), delivered: {}, {} failed attempts, {letter:?}",
                    known.is_delivered, known.failed_attempts
                )
            });
            return;
        }
        let wrong_queue = letter.fifo != order.fifo;
        let wrong_reason = letter.reason.as_deref().is_some_and(|reason| reason != "forced");
        // A worker gives an order up at its last attempt; on the FIFO queue it may be past that, if it was
        // received more often than it was attempted.
        let most = if order.fifo { MOST_RECEIVES } else { ATTEMPTS };
        let allowed = ATTEMPTS..=most;
        let wrong_attempts = letter.attempts.is_some_and(|attempts| !allowed.contains(&attempts));
        // SQS counts receives: those by workers that were killed or paused are no attempts.
        let messages = self.messages.get(&place);
        let latest = messages.and_then(|messages| messages.get(&letter.source_id)).copied();
        if wrong_queue
            || wrong_reason
            || wrong_attempts
            || u64::from(latest.unwrap_or_default()) > most
        {
            self.findings
                .add(WRONG_LETTER, || format!("{id}, latest attempt {latest:?}: {letter:?}"));
        }
    }

    fn orders(&mut self) {
        let (mut failing, mut fewer_attempts) = (0, 0);
        for place in 0..self.evidence.book.len() {
            let (id, order) = self.evidence.book.get(place);
            let known = self.known[place];
            if !order.is_failing(self.evidence.seed) {
                if !known.is_delivered || known.delivered_attempts == 0 {
                    self.findings.add(LOST, || {
                        format!(
                            "{id} ({order:?}), {} attempts failed, {} dead letters",
                            known.failed_attempts, known.letters
                        )
                    });
                }
                continue;
            }
            failing += 1;
            let messages = self.messages.get(&place).map_or(0, HashMap::len);
            if known.letters == 0 {
                self.findings
                    .add(LOST, || format!("{id} ({order:?}), made to fail, has no dead letter"));
            }
            // One letter for each message; the order may have been sent twice to the standard queue.
            if usize::from(known.letters) > messages.max(1) {
                self.findings.add(WRONG_LETTER, || {
                    format!(
                        "{id} ({order:?}) has {} dead letters of {messages} messages",
                        known.letters
                    )
                });
            }
            fewer_attempts += u64::from(u64::from(known.failed_attempts) < ATTEMPTS);
        }
        if self.evidence.book.taken_twice > 0 {
            let count = self.evidence.book.taken_twice;
            self.findings.add(LOST, || format!("{count} orders got the id of another"));
        }
        self.findings.note("orders made to fail", failing);
        self.findings.note("of these with fewer than 3 recorded attempts", fewer_attempts);
    }

    /// Whether the attempt's worker was paused between the attempt's start and its commit.
    fn was_paused(&self, attempt: &Attempt) -> bool {
        self.pauses(attempt).next().is_some()
    }

    /// Whether its worker was paused, and not long since on its way again at that time.
    fn stood_still(&self, attempt: &Attempt, at_ms: u64) -> bool {
        self.pauses(attempt).any(|(from, to)| from <= at_ms && at_ms <= to + COMMIT_MS)
    }

    /// The pauses of its worker, from its beginning until it was recorded.
    fn pauses(&self, attempt: &Attempt) -> impl Iterator<Item = (u64, u64)> {
        let worker = attempt.worker.rsplit('-').next().and_then(|id| id.parse().ok());
        let pauses = worker.and_then(|id: u32| self.evidence.pauses.get(&id));
        let (first, last) = (attempt.started_ms, attempt.finished_ms + COMMIT_MS);
        let pauses = pauses.map_or(&[][..], Vec::as_slice).iter().copied();
        pauses.filter(move |(from, to)| *from <= last && *to >= first)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Identity {
    order_id: Uuid,
}
