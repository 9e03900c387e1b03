//! Which dead letters of a FIFO queue a redrive would refuse, and why, as its plan does: those that would
//! come behind newer messages of their group, and those behind one of their group that stays dead.

use std::collections::{HashMap, HashSet};

use jiff::Timestamp;
use order_store::{DeadLetter, DeadLetterFilter, Newer, Store, StoreError};
use serde::Serialize;

use crate::{
    overtaken::{newer_than, place},
    queues::DeadLetterQueue,
};

/// Groups that one question is about, and letters of them that are looked at.
const ASKED_AT_ONCE: usize = 200;
const LOOKED_AT: u32 = 10_000;

/// Why a redrive leaves letters where they are: how many for each reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Refusals {
    /// A newer message of their group is delivered.
    pub(crate) newer_delivered: u64,
    /// One is in the source queue or being delivered.
    pub(crate) newer_on_the_way: u64,
    /// One is dead before them, and goes first.
    pub(crate) newer_ahead: u64,
    /// An earlier dead letter of their group stays.
    pub(crate) earlier_stays: u64,
}

/// The letters that would stay where they are, and why.
#[derive(Debug, Default)]
pub(super) struct Refused<'a> {
    pub(super) letters: Vec<&'a DeadLetter>,
    pub(super) why: Refusals,
}

/// Of these letters, which the filter means, those that would stay where they are.
pub(super) async fn refused<'a>(
    store: &Store,
    queue: &DeadLetterQueue,
    filter: &DeadLetterFilter,
    letters: &'a [DeadLetter],
) -> Result<Refused<'a>, StoreError> {
    let mut stays = Stays::default();
    for letter in letters {
        if let Some(newer) = newer_than(store, queue, letter, None).await? {
            stays.note(letter, Some(newer));
        }
    }
    let groups: HashSet<&str> =
        letters.iter().filter_map(|letter| letter.group.as_deref()).collect();
    let groups: Vec<&str> = groups.into_iter().collect();
    for groups in groups.chunks(ASKED_AT_ONCE) {
        for letter in store.dead_letters_in_groups(queue.name(), groups, LOOKED_AT).await? {
            if !filter.matches(&letter) {
                stays.note(&letter, None);
            }
        }
    }
    Ok(stays.of(letters))
}

/// What stays dead.
#[derive(Default)]
struct Stays {
    /// By its id, with what newer message is in its way; none: it is not meant.
    ids: HashMap<i64, Option<Newer>>,
    /// The first one of each group.
    first: HashMap<String, (Timestamp, i64)>,
}

impl Stays {
    fn note(&mut self, letter: &DeadLetter, newer: Option<Newer>) {
        self.ids.insert(letter.id, newer);
        if let Some(group) = &letter.group {
            let place = place(letter);
            let first = self.first.entry(group.clone()).or_insert(place);
            *first = place.min(*first);
        }
    }

    /// Those of the letters that are among these, or behind one of them.
    fn of<'a>(&self, letters: &'a [DeadLetter]) -> Refused<'a> {
        let mut refused = Refused::default();
        for letter in letters {
            let first = letter.group.as_ref().and_then(|group| self.first.get(group));
            let Refusals { newer_delivered, newer_on_the_way, newer_ahead, earlier_stays } =
                &mut refused.why;
            let count = match self.ids.get(&letter.id) {
                Some(Some(Newer::Delivered)) => newer_delivered,
                Some(Some(Newer::OnTheWay)) => newer_on_the_way,
                Some(Some(Newer::Ahead)) => newer_ahead,
                Some(None) => earlier_stays,
                None if first.is_some_and(|first| *first < place(letter)) => earlier_stays,
                None => continue,
            };
            *count += 1;
            refused.letters.push(letter);
        }
        refused
    }
}
