//! Which dead letters of a FIFO queue a redrive would refuse, as its plan does: those that newer messages
//! of their group have overtaken, and those behind one of their group that stays dead.

use std::collections::{HashMap, HashSet};

use jiff::Timestamp;
use order_store::{DeadLetter, DeadLetterFilter, Store, StoreError};

use crate::queues::DeadLetterQueue;

/// Groups that one question is about, and letters of them that are looked at.
const ASKED_AT_ONCE: usize = 200;
const LOOKED_AT: u32 = 10_000;

/// Where a letter is in its group: a FIFO queue gives what was sent to it first.
type Place = (Timestamp, i64);

fn place(letter: &DeadLetter) -> Place {
    (letter.sent_at.unwrap_or(letter.seen_at), letter.id)
}

/// Of these letters, which the filter means, those that would stay where they are.
pub(super) async fn refused<'a>(
    store: &Store,
    queue: &DeadLetterQueue,
    filter: &DeadLetterFilter,
    letters: &'a [DeadLetter],
) -> Result<Vec<&'a DeadLetter>, StoreError> {
    let mut stays = Stays::default();
    for letter in letters {
        if is_overtaken(store, queue, letter).await? {
            stays.note(letter);
        }
    }
    let groups: HashSet<&str> =
        letters.iter().filter_map(|letter| letter.group.as_deref()).collect();
    let groups: Vec<&str> = groups.into_iter().collect();
    for groups in groups.chunks(ASKED_AT_ONCE) {
        for letter in store.dead_letters_in_groups(queue.name(), groups, LOOKED_AT).await? {
            if !filter.matches(&letter) {
                stays.note(&letter);
            }
        }
    }
    Ok(letters.iter().filter(|letter| stays.holds(letter)).collect())
}

/// What stays dead.
#[derive(Default)]
struct Stays {
    ids: HashSet<i64>,
    /// The first one of each group.
    first: HashMap<String, Place>,
}

impl Stays {
    fn note(&mut self, letter: &DeadLetter) {
        self.ids.insert(letter.id);
        if let Some(group) = &letter.group {
            let place = place(letter);
            let first = self.first.entry(group.clone()).or_insert(place);
            *first = place.min(*first);
        }
    }

    /// Whether a letter is one of these, or behind one of them.
    fn holds(&self, letter: &DeadLetter) -> bool {
        let first = letter.group.as_ref().and_then(|group| self.first.get(group));
        self.ids.contains(&letter.id) || first.is_some_and(|first| *first < place(letter))
    }
}

async fn is_overtaken(
    store: &Store,
    queue: &DeadLetterQueue,
    letter: &DeadLetter,
) -> Result<bool, StoreError> {
    // The group of a message that is no order is its customer's id, unless that was mapped.
    let group = letter.group.as_deref().filter(|group| !group.starts_with('~'));
    let customer = letter.customer_id.as_deref().or(group);
    let (Some(source), Some(customer)) = (queue.source_name(), customer) else {
        return Ok(false);
    };
    let otherwise = letter.sent_at.unwrap_or(letter.seen_at);
    store.is_overtaken(customer, source, letter.order_id, otherwise).await
}
