//! What is written of dead letters, the same for each database.
//!
//! Rows are taken in the order of their message ids, so that no two writers wait for each other.

use jiff::Timestamp;

use super::{
    NewDeadLetter, UNKNOWN_REASON,
    filter::{by_message, searched},
};
use crate::{
    Reason,
    backend::{Change, Dialect, Parameters, Statement, Value},
    record::bounded,
};

/// Letters that one step settles or forgets.
const STEP: u32 = 500;

/// Keeps letters; the first statement returns the ids of those that are new.
pub(super) fn keep(letters: &[NewDeadLetter], dialect: &Dialect) -> Change {
    let mut letters: Vec<&NewDeadLetter> = letters.iter().collect();
    letters.sort_by(|one, other| {
        (&one.queue, &one.message_id).cmp(&(&other.queue, &other.message_id))
    });
    letters
        .dedup_by(|one, other| (&one.queue, &one.message_id) == (&other.queue, &other.message_id));
    let (mut rows, mut contents) = (Parameters::default(), Parameters::default());
    let row = |letter: &NewDeadLetter, rows: &mut Parameters| {
        let seen_at = letter.seen_at.as_millisecond();
        let optional = |text: &Option<String>| Value::from(text.as_deref().map(bounded));
        let order_id = letter.order_id.map(|id| id.to_string());
        let values = [
            Value::Text(bounded(&letter.queue)),
            Value::Text(bounded(&letter.message_id)),
            optional(&letter.group),
            Value::Text(bounded(&letter.identity)),
            Value::from(order_id),
            optional(&letter.customer_id),
            Value::Text(letter.reason.map_or(UNKNOWN_REASON, Reason::as_str).to_owned()),
            optional(&letter.detail),
            Value::from(letter.attempts.map(i64::from)),
            Value::Text(search_of(letter)),
            Value::from(letter.sent_at.map(Timestamp::as_millisecond)),
            Value::Number(seen_at),
            Value::Number(seen_at),
        ];
        let mut places = values.map(|value| rows.bind(value));
        places[4].push_str(dialect.as_uuid);
        format!("({}, 'dead')", places.join(", "))
    };
    let values: Vec<String> = letters.iter().map(|letter| row(letter, &mut rows)).collect();
    let insert = format!(
        "INSERT INTO dead_letters
            (queue, message_id, message_group, identity, order_id, customer_id, reason, detail, attempts,
             search, sent_at_ms, seen_at_ms, last_seen_ms, state)
         VALUES {} ON CONFLICT (queue, message_id) DO NOTHING RETURNING message_id",
        values.join(", ")
    );
    let content = |letter: &&NewDeadLetter| {
        let places = [
            contents.text(&letter.queue),
            contents.text(&letter.message_id),
            contents.bind(Value::Bytes(letter.body.clone().into_bytes())),
            contents.bind(Value::Text(without_nul(&letter.attributes))),
        ];
        format!("({})", places.join(", "))
    };
    let values: Vec<String> = letters.iter().map(content).collect();
    let insert_contents = format!(
        "INSERT INTO dead_letter_contents (queue, message_id, body, attributes)
         VALUES {} ON CONFLICT (queue, message_id) DO NOTHING",
        values.join(", ")
    );
    let statements = vec![(insert, rows.0), (insert_contents, contents.0)];
    Change { guarded: false, statements }
}

/// What people look for, in small letters.
fn search_of(letter: &NewDeadLetter) -> String {
    let order_id = letter.order_id.map(|id| id.to_string());
    let parts = [
        Some(letter.message_id.as_str()),
        order_id.as_deref(),
        letter.customer_id.as_deref(),
        letter.detail.as_deref(),
        Some(&letter.body),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().map(searched).collect();
    parts.join("\n")
}

/// PostgreSQL refuses it in texts.
pub(crate) fn without_nul(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

/// Notes that these are there.
pub(crate) fn see(
    queue: &str,
    message_ids: &[&str],
    at: Timestamp,
    settled_before: Timestamp,
    dialect: &Dialect,
) -> Change {
    let index = by_message(dialect);
    let mut seen = Parameters::default();
    let (of_these, at_ms) =
        (these(queue, message_ids, &mut seen), seen.number(at.as_millisecond()));
    let note = format!(
        "UPDATE dead_letters{index} SET last_seen_ms = {at_ms}
         WHERE {of_these} AND last_seen_ms < {at_ms}"
    );
    let mut back = Parameters::default();
    let of_these = these(queue, message_ids, &mut back);
    let before = back.number(settled_before.as_millisecond());
    // As `DeadLetterState::when_seen_again` has it.
    let revive = format!(
        "UPDATE dead_letters{index} SET
            state = CASE WHEN state = 'discarded' THEN 'archived'
                WHEN state = 'redriven' AND copied = 1 THEN 'sent' ELSE 'dead' END,
            settled_at_ms = CASE WHEN state = 'discarded' OR (state = 'redriven' AND copied = 1)
                THEN settled_at_ms END
         WHERE {of_these} AND state IN ('redriven', 'discarded', 'gone') AND settled_at_ms < {before}"
    );
    Change { guarded: false, statements: vec![(note, seen.0), (revive, back.0)] }
}

/// The condition for these messages of a queue.
pub(crate) fn these(queue: &str, message_ids: &[&str], parameters: &mut Parameters) -> String {
    let mut message_ids = message_ids.to_vec();
    message_ids.sort_unstable();
    let queue = parameters.text(queue);
    let ids = parameters.texts(message_ids);
    format!("queue = {queue} AND message_id IN ({ids})")
}

/// Settles what looks have missed, a step of each state; every statement returns what it settled.
pub(super) fn settle_unseen(queue: &str, unseen_since: Timestamp, now: Timestamp) -> Change {
    let ends = [("dead", "gone"), ("sent", "redriven"), ("archived", "discarded")];
    let settle = |ends| settle(queue, ends, ("last_seen_ms", unseen_since), now);
    Change { guarded: false, statements: ends.map(settle).into() }
}

/// Settles what is copied or archived and has expired, a step of each state; every statement returns what
/// it settled.
pub(crate) fn settle_expired(queue: &str, sent_before: Timestamp, now: Timestamp) -> Change {
    let ends = [("sent", "redriven"), ("archived", "discarded")];
    let settle = |ends| settle(queue, ends, ("sent_at_ms", sent_before), now);
    Change { guarded: false, statements: ends.map(settle).into() }
}

/// Settles a step of a queue's letters in one state whose time is before this one.
fn settle(
    queue: &str,
    (from, to): (&str, &str),
    (time, before): (&str, Timestamp),
    now: Timestamp,
) -> Statement {
    let mut parameters = Parameters::default();
    let (queue, now) = (parameters.text(queue), parameters.number(now.as_millisecond()));
    let before = parameters.number(before.as_millisecond());
    let sql = format!(
        "UPDATE dead_letters SET state = '{to}', settled_at_ms = COALESCE(settled_at_ms, {now})
         WHERE id IN (SELECT id FROM dead_letters
            WHERE queue = {queue} AND state = '{from}' AND {time} < {before}
            ORDER BY {time} LIMIT {STEP}) RETURNING id"
    );
    (sql, parameters.0)
}

/// Forgets what is over, with its content; the last statement returns the ids.
pub(super) fn forget(before: Timestamp, at_most: u32) -> Change {
    let oldest = |parameters: &mut Parameters, columns: &str| {
        let before = parameters.number(before.as_millisecond());
        let limit = parameters.number(i64::from(at_most.min(STEP)));
        format!(
            "SELECT {columns} FROM dead_letters
             WHERE state IN ('redriven', 'gone') AND settled_at_ms < {before}
             ORDER BY settled_at_ms, id LIMIT {limit}"
        )
    };
    let (mut contents, mut letters) = (Parameters::default(), Parameters::default());
    let of_contents = oldest(&mut contents, "queue, message_id");
    let of_letters = oldest(&mut letters, "id");
    let statements = vec![
        (
            format!(
                "DELETE FROM dead_letter_contents WHERE (queue, message_id) IN ({of_contents})"
            ),
            contents.0,
        ),
        (format!("DELETE FROM dead_letters WHERE id IN ({of_letters}) RETURNING id"), letters.0),
    ];
    Change { guarded: false, statements }
}
