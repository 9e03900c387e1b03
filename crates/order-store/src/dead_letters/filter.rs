//! Which dead letters are meant: the same question for the database and for a letter in hand.

use jiff::Timestamp;

use super::DeadLetter;
use crate::{
    backend::{Dialect, Parameters},
    record::bounded,
};

/// The reason of dead letters whose reason nobody knows.
pub const UNKNOWN_REASON: &str = "unknown";

/// Which dead letters are meant; what is not set does not matter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeadLetterFilter {
    /// A reason's spelling, or [`UNKNOWN_REASON`].
    pub reason: Option<String>,
    /// Whose order it is.
    pub customer_id: Option<String>,
    /// Somewhere in its ids, its customer, its reason's detail or the first KiB of its body, in small
    /// or capital letters.
    pub text: Option<String>,
    /// First met at this time or later, to the millisecond.
    pub from: Option<Timestamp>,
    /// First met before this time, to the millisecond.
    pub to: Option<Timestamp>,
    /// One of these messages.
    pub message_ids: Option<Vec<String>>,
}

impl DeadLetterFilter {
    /// Whether everything is meant.
    pub fn is_everything(&self) -> bool {
        *self == Self::default()
    }

    /// Whether this letter is meant.
    pub fn matches(&self, letter: &DeadLetter) -> bool {
        let ms = Timestamp::as_millisecond;
        self.reason.as_ref().is_none_or(|reason| bounded(reason) == letter.reason)
            && self.customer_id.as_ref().is_none_or(|customer| {
                letter.customer_id.as_ref().is_some_and(|of| bounded(customer) == *of)
            })
            && self.text.as_ref().is_none_or(|text| letter.search.contains(&searched(text)))
            && self.from.is_none_or(|from| ms(letter.seen_at) >= ms(from))
            && self.to.is_none_or(|to| ms(letter.seen_at) < ms(to))
            && self.message_ids.as_ref().is_none_or(|ids| ids.contains(&letter.message_id))
    }

    /// The conditions that are ranges of an index, each with `AND` before it.
    pub(super) fn ranges(&self, parameters: &mut Parameters) -> String {
        let mut sql = String::new();
        let mut add = |column: &str, value: String| {
            sql.push_str(" AND ");
            sql.push_str(column);
            sql.push_str(&value);
        };
        if let Some(customer) = &self.customer_id {
            add("customer_id = ", parameters.text(customer));
        }
        if let Some(reason) = &self.reason {
            add("reason = ", parameters.text(reason));
        }
        if let Some(from) = self.from {
            add("seen_at_ms >= ", parameters.number(from.as_millisecond()));
        }
        if let Some(to) = self.to {
            add("seen_at_ms < ", parameters.number(to.as_millisecond()));
        }
        if let Some(ids) = &self.message_ids {
            let ids = parameters.texts(ids.iter().map(String::as_str));
            add(
                "message_id IN ",
                if ids.is_empty() { "(NULL)".to_owned() } else { format!("({ids})") },
            );
        }
        sql
    }

    /// The condition that each row is looked at for, when there is one.
    pub(super) fn search(&self, parameters: &mut Parameters) -> Option<String> {
        let text = self.text.as_ref()?;
        let mut pattern = String::from("%");
        for character in searched(text).chars() {
            if matches!(character, '%' | '_' | '\\') {
                pattern.push('\\');
            }
            pattern.push(character);
        }
        pattern.push('%');
        let pattern = parameters.bind(crate::backend::Value::Text(pattern));
        Some(format!("search LIKE {pattern} ESCAPE '\\'"))
    }

    /// The index that these conditions are ranges of, for a database that is to be told.
    pub(super) fn index(&self, dialect: &Dialect) -> &'static str {
        if !dialect.names_index || self.message_ids.is_some() {
            return by_message(dialect);
        }
        match (&self.customer_id, &self.reason) {
            (Some(_), _) => " INDEXED BY dead_letters_by_customer",
            (None, Some(_)) => " INDEXED BY dead_letters_by_reason",
            (None, None) => " INDEXED BY dead_letters_by_time",
        }
    }
}

/// The index of letters by their queue and message id, for a database that is to be told: SQLite would
/// take ten ids and a state for more rows than all of a queue in that state.
pub(crate) fn by_message(dialect: &Dialect) -> &'static str {
    // What SQLite calls the index that `UNIQUE (queue, message_id)` makes.
    if dialect.names_index { " INDEXED BY sqlite_autoindex_dead_letters_1" } else { "" }
}

/// A text as it is searched for: what is kept for that is bounded and in small letters as well.
pub(super) fn searched(text: &str) -> String {
    bounded(text).to_lowercase()
}
