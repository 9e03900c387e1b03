//! Old attempts are forgotten, deliveries are not.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use order_events::DeliveryStatus::{Delivered, Failed};
use order_store::{Swept, Turn};
use uuid::Uuid;

use crate::support::{TestDatabase, on_both, open, record};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + second).expect("a time")
}

fn turn_of(holder: &str, now: Timestamp) -> Turn {
    Turn { holder: holder.to_owned(), now, lasts: Duration::from_mins(1) }
}

async fn old_attempts_go_in_steps_while_deliveries_stay(database: &impl TestDatabase) {
    let store = open(database).await;
    let (old, young) = (Uuid::new_v4(), Uuid::new_v4());
    for number in 1..=7 {
        let mut attempt = record(old, number, Failed);
        attempt.attempt.finished_at = at(i64::from(number));
        store.write(attempt).await.unwrap();
    }
    let mut attempt = record(young, 1, Delivered);
    attempt.attempt.finished_at = at(6);
    store.write(attempt).await.unwrap();
    let step = || store.forget_attempts_before(at(6), 3, turn_of("w-1", at(1000)));
    assert_eq!(step().await, Ok(Swept::Deleted(3)));
    let left = store.attempts(old, 10).await.unwrap().newest;
    assert_eq!(left.iter().map(|one| one.number).collect::<Vec<_>>(), [4, 5, 6, 7]);
    assert_eq!(step().await, Ok(Swept::Deleted(2)), "fewer: no older ones are left");
    assert_eq!(step().await, Ok(Swept::Deleted(0)));
    assert_eq!(store.attempts(old, 10).await.unwrap().total, 2);
    assert_eq!(store.attempts(young, 10).await.unwrap().total, 1);
    assert_eq!(store.status(old).await, Ok(Some(Failed)), "an order is unique for ever");
}

async fn one_worker_at_a_time_has_the_turn(database: &impl TestDatabase) {
    let (first, second) = (open(database).await, open(database).await);
    let sweep = |store: &order_store::Store, holder: &str, now| {
        let (store, turn) = (store.clone(), turn_of(holder, now));
        async move { store.forget_attempts_before(at(0), 10, turn).await }
    };
    let (ours, not_ours) = (Ok(Swept::Deleted(0)), Ok(Swept::NotOurTurn));
    assert_eq!(sweep(&first, "w-1", at(0)).await, ours);
    assert_eq!(sweep(&second, "w-2", at(59)).await, not_ours);
    // Whoever has the turn keeps it by going on.
    assert_eq!(sweep(&first, "w-1", at(59)).await, ours);
    assert_eq!(sweep(&second, "w-2", at(118)).await, not_ours);
    let over = at(59).checked_add(SignedDuration::from_mins(1)).unwrap();
    assert_eq!(sweep(&second, "w-2", over).await, ours);
    assert_eq!(sweep(&first, "w-1", over).await, not_ours);
}

on_both! {
    old_attempts_go_in_steps_while_deliveries_stay,
    one_worker_at_a_time_has_the_turn,
}
