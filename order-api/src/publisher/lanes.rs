//! Keeps the order of what is sent for one message group.
//!
//! SQS orders a group's messages as it gets them, and a send that is tried again, or that waits for a
//! free call, is overtaken by one that was admitted later. So of each group one order is sent at a
//! time: the next has its turn when the one before it is confirmed or has finally failed. Groups do not
//! wait for each other.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::sync::oneshot;

/// The groups that something is being sent for. Clones share them.
#[derive(Clone, Debug, Default)]
pub(super) struct Lanes(Arc<Mutex<HashMap<String, Waiting>>>);

/// Those behind the one whose turn it is, in the order in which they came.
type Waiting = VecDeque<oneshot::Sender<Turn>>;

/// A place in a group's lane.
#[derive(Debug)]
pub(super) enum Place {
    /// Nobody is ahead.
    First(Turn),
    /// The turn comes here when those ahead are done. To drop it is to give up the place.
    Behind(oneshot::Receiver<Turn>),
}

/// Leave to send for a group; dropped, it goes to the next in the lane.
#[derive(Debug)]
pub(super) struct Turn {
    lanes: Lanes,
    /// Empty once the turn has been passed on.
    group: Option<String>,
}

impl Lanes {
    /// Takes the last place of the group's lane, now: the order of these calls is the order of turns.
    pub(super) fn take_place(&self, group: &str) -> Place {
        let mut lanes = self.lock();
        if let Some(waiting) = lanes.get_mut(group) {
            let (turn, place) = oneshot::channel();
            waiting.push_back(turn);
            return Place::Behind(place);
        }
        lanes.insert(group.to_owned(), Waiting::new());
        Place::First(Turn { lanes: self.clone(), group: Some(group.to_owned()) })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Waiting>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next one of the group; nobody when there is none, and then the lane is gone.
    fn next(&self, group: &str) -> Option<oneshot::Sender<Turn>> {
        let mut lanes = self.lock();
        let next = lanes.get_mut(group)?.pop_front();
        if next.is_none() {
            lanes.remove(group);
        }
        next
    }
}

impl Place {
    /// Waits for the turn.
    pub(super) async fn turn(self) -> Turn {
        match self {
            Self::First(turn) => turn,
            // A turn is passed on whatever happens to its owner, so it comes.
            Self::Behind(turn) => turn.await.expect("a turn is never lost"),
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let Some(mut group) = self.group.take() else { return };
        while let Some(next) = self.lanes.next(&group) {
            let turn = Self { lanes: self.lanes.clone(), group: Some(group) };
            // Who has given up the place is passed over.
            let Err(mut refused) = next.send(turn) else { return };
            let Some(taken_back) = refused.group.take() else { return };
            group = taken_back;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::oneshot::error::TryRecvError;

    impl Lanes {
        fn behind(&self, group: &str) -> oneshot::Receiver<Turn> {
            match self.take_place(group) {
                Place::Behind(turn) => turn,
                Place::First(_) => panic!("somebody is ahead in {group}"),
            }
        }

        fn first(&self, group: &str) -> Turn {
            match self.take_place(group) {
                Place::First(turn) => turn,
                Place::Behind(_) => panic!("nobody is ahead in {group}"),
            }
        }

        fn len(&self) -> usize {
            self.lock().len()
        }
    }

    fn waits(place: &mut oneshot::Receiver<Turn>) -> bool {
        matches!(place.try_recv(), Err(TryRecvError::Empty))
    }

    #[test]
    fn turns_of_a_group_come_in_the_order_of_the_places_and_groups_do_not_wait_for_each_other() {
        let lanes = Lanes::default();
        let first = lanes.first("a");
        let (mut second, mut third) = (lanes.behind("a"), lanes.behind("a"));
        drop(lanes.first("b"));
        assert!(waits(&mut second) && waits(&mut third));
        drop(first);
        let turn = second.try_recv().expect("its turn");
        assert!(waits(&mut third));
        drop(turn);
        drop(third.try_recv().expect("its turn"));
        assert_eq!(lanes.len(), 0, "a lane is gone with its last turn");
        drop(lanes.first("a"));
    }

    #[test]
    fn who_gives_up_a_place_is_passed_over_and_does_not_let_later_ones_overtake() {
        let lanes = Lanes::default();
        let first = lanes.first("a");
        let (second, mut third) = (lanes.behind("a"), lanes.behind("a"));
        drop(second);
        assert!(waits(&mut third), "the first one is not done");
        drop(first);
        assert!(third.try_recv().is_ok());
        assert_eq!(lanes.len(), 0);
    }

    #[test]
    fn a_turn_that_nobody_fetches_goes_on() {
        let lanes = Lanes::default();
        let first = lanes.first("a");
        let (second, mut third) = (lanes.behind("a"), lanes.behind("a"));
        drop(first);
        drop(second);
        assert!(third.try_recv().is_ok(), "it lay in the second one's place");
    }

    #[test]
    fn a_hundred_thousand_given_up_places_are_passed_over_at_once() {
        let lanes = Lanes::default();
        let first = lanes.first("a");
        for _ in 0..100_000 {
            drop(lanes.behind("a"));
        }
        let mut last = lanes.behind("a");
        drop(first);
        assert!(last.try_recv().is_ok());
    }
}
