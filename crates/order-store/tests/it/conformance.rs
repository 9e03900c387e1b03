//! What every database behind the store must do with deliveries and attempts.

use futures_util::{FutureExt, future::join_all};
use order_events::DeliveryStatus::{Delivered, Failed, InTransit, Pending};
use order_store::{Attempts, Counts, Outcome, Reason, Record, Store, StoreError};
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::support::{TestDatabase, eventually, on_both, open, record};

async fn an_order_that_was_never_attempted_is_unknown(database: &impl TestDatabase) {
    let store = open(database).await;
    let order = Uuid::new_v4();
    assert_eq!(store.status(order).await, Ok(None));
    assert_eq!(store.find(order).await, Ok(None));
    assert_eq!(store.attempts(order, 10).await, Ok(Attempts::default()));
}

async fn attempts_are_read_back_as_written_in_the_order_of_their_commits(db: &impl TestDatabase) {
    let store = open(db).await;
    let order = Uuid::new_v4();
    let mut first = record(order, 1, InTransit);
    first.attempt.reason = Some(Reason::Timeout);
    first.attempt.error = Some("지연".to_owned());
    first.attempt.group = Some("customer-001".to_owned());
    // A clock that goes backwards does not change the order.
    let mut second = record(order, 2, Delivered);
    second.attempt.started_at = jiff::Timestamp::UNIX_EPOCH;
    store.write(first.clone()).await.unwrap();
    store.write(record(Uuid::new_v4(), 1, Failed)).await.unwrap();
    store.write(second.clone()).await.unwrap();
    let found = store.attempts(order, 10).await.unwrap().newest;
    assert_eq!(found, [first.attempt.clone(), second.attempt.clone()]);
    let delivery = store.find(order).await.unwrap().expect("it is there");
    assert_eq!((delivery.order_id, delivery.status), (order, Delivered));
    assert_eq!(delivery.delivery_id, second.delivery.unwrap().delivery_id());
    assert_eq!(delivery.created_at, first.attempt.started_at);
    assert_eq!(delivery.updated_at, second.attempt.finished_at);
    assert!(delivery.address.contains("customer-001"));
}

async fn of_many_attempts_the_newest_are_read_in_their_order_and_all_are_counted(
    database: &impl TestDatabase,
) {
    let store = open(database).await;
    let (order, other) = (Uuid::new_v4(), Uuid::new_v4());
    let writes = (1..=7)
        .flat_map(|number| [order, other].map(|order| store.write(record(order, number, Pending))));
    assert!(join_all(writes).await.into_iter().all(|fate| fate.is_ok()));
    for (at_most, expected) in [(1, 7..=7), (3, 5..=7), (7, 1..=7), (100, 1..=7)] {
        let attempts = store.attempts(order, at_most).await.unwrap();
        let numbers: Vec<u32> = attempts.newest.iter().map(|attempt| attempt.number).collect();
        assert_eq!(numbers, expected.collect::<Vec<u32>>(), "{at_most} at most");
        assert!(attempts.newest.iter().all(|attempt| attempt.order_id == Some(order)));
        assert_eq!(attempts.total, 7, "{at_most} at most");
    }
}

async fn a_delivered_order_stays_delivered_whatever_comes_later(database: &impl TestDatabase) {
    let store = open(database).await;
    let order = Uuid::new_v4();
    store.write(record(order, 1, Delivered)).await.unwrap();
    let before = store.find(order).await.unwrap();
    for status in [Pending, InTransit, Failed, Delivered] {
        store.write(record(order, 2, status)).await.unwrap();
        assert_eq!(store.find(order).await.unwrap(), before, "{status:?}");
    }
    assert_eq!(store.attempts(order, 10).await.unwrap().total, 5, "every attempt is kept");
}

async fn a_failed_order_can_still_be_delivered(database: &impl TestDatabase) {
    let store = open(database).await;
    let order = Uuid::new_v4();
    for status in [Pending, Failed, Pending, Delivered] {
        store.write(record(order, 1, status)).await.unwrap();
        assert_eq!(store.status(order).await, Ok(Some(status)));
    }
}

/// Hands all over before the writer runs, in this order: tasks of one thread begin in that of their
/// making.
async fn write_together(store: &Store, records: impl Iterator<Item = Record>) {
    let mut writes = JoinSet::new();
    for record in records {
        let store = store.clone();
        writes.spawn(async move { store.write(record).await });
    }
    while let Some(written) = writes.join_next().await {
        written.unwrap().unwrap();
    }
}

/// However many are committed together, each is written, in its order. 87 is a sum of all numbers of
/// rows that a statement of SQLite's takes.
async fn as_many_records_as_come_at_once_are_written_in_their_order(db: &impl TestDatabase) {
    let store = open(db).await;
    for count in [2, 3, 5, 16, 63, 87, 256] {
        let orders: Vec<Uuid> = (0..count).map(|_| Uuid::new_v4()).collect();
        write_together(&store, orders.iter().map(|order| record(*order, 1, Pending))).await;
        // Of one order: every second one is a failure, until the last delivers it.
        let order = Uuid::new_v4();
        let status = |number| match number {
            number if number == count => Delivered,
            number if number % 2 == 0 => Failed,
            _ => InTransit,
        };
        let records = (1..=count).map(|number| record(order, number, status(number)));
        write_together(&store, records).await;
        let attempts = store.attempts(order, 256).await.unwrap();
        let numbers = attempts.newest.iter().map(|attempt| attempt.number);
        assert_eq!(numbers.collect::<Vec<_>>(), (1..=count).collect::<Vec<_>>());
        assert_eq!(store.status(order).await, Ok(Some(Delivered)));
        for order in orders {
            assert_eq!(store.status(order).await, Ok(Some(Pending)), "of {count}");
        }
    }
}

async fn records_of_one_order_in_one_transaction_count_in_their_order(db: &impl TestDatabase) {
    let store = open(db).await;
    let (first, second) = (Uuid::new_v4(), Uuid::new_v4());
    // All are handed over before the writer runs, hence written together.
    let numbered = [
        (first, 1, Pending),
        (second, 1, Pending),
        (first, 2, Delivered),
        (second, 2, Failed),
        (first, 3, Failed),
        (second, 3, InTransit),
    ];
    let writes = numbered.map(|(order, number, status)| store.write(record(order, number, status)));
    assert!(join_all(writes).await.into_iter().all(|fate| fate.is_ok()));
    for (order, status, last) in [(first, Delivered, 2), (second, InTransit, 3)] {
        let delivery = store.find(order).await.unwrap().expect("it is there");
        let of = |number| record(order, number, status).attempt;
        assert_eq!((delivery.status, delivery.created_at), (status, of(1).started_at));
        assert_eq!(delivery.updated_at, of(last).finished_at);
        let attempts = store.attempts(order, 10).await.unwrap().newest;
        assert_eq!(attempts.iter().map(|one| one.number).collect::<Vec<_>>(), [1, 2, 3]);
    }
}

async fn a_refused_record_fails_alone(database: &impl TestDatabase) {
    let store = open(database).await;
    let orders: Vec<Uuid> = (0..20).map(|_| Uuid::new_v4()).collect();
    // Attempts count from 1, and the database holds that. All are written at once, hence together.
    let number = |i: usize| u32::from(i % 7 != 3);
    let writes =
        orders.iter().enumerate().map(|(i, order)| store.write(record(*order, number(i), Pending)));
    for (i, fate) in join_all(writes).await.into_iter().enumerate() {
        match number(i) {
            0 => assert!(matches!(fate, Err(StoreError::Refused(_))), "{fate:?}"),
            _ => assert_eq!(fate, Ok(())),
        }
        let status = store.status(orders[i]).await.unwrap();
        assert_eq!(status.is_some(), number(i) == 1, "attempt and delivery are one");
    }
}

async fn records_of_many_callers_are_all_committed(database: &impl TestDatabase) {
    let store = open(database).await;
    let writes = (0..2000).map(|i| store.write(record(Uuid::from_u128(i), 1, Delivered)));
    assert!(join_all(writes).await.into_iter().all(|fate| fate.is_ok()));
    assert_eq!(store.counts().await.unwrap().delivered, 2000);
}

async fn orders_are_counted_by_status(database: &impl TestDatabase) {
    let store = open(database).await;
    assert_eq!(store.counts().await, Ok(Counts::default()));
    for (orders, status) in [(1, Pending), (2, InTransit), (3, Delivered), (4, Failed)] {
        for _ in 0..orders {
            store.write(record(Uuid::new_v4(), 1, status)).await.unwrap();
        }
    }
    let counts = store.counts().await.unwrap();
    let counted = [counts.pending, counts.in_transit, counts.delivered, counts.failed];
    assert_eq!(counted, [1, 2, 3, 4]);
}

async fn a_message_without_a_readable_order_is_found_by_its_own_id(database: &impl TestDatabase) {
    let store = open(database).await;
    let mut garbage = record(Uuid::new_v4(), 1, Failed);
    garbage.delivery = None;
    garbage.attempt.order_id = None;
    garbage.attempt.outcome = Outcome::Rejected;
    garbage.attempt.reason = Some(Reason::Unparseable);
    store.write(garbage.clone()).await.unwrap();
    assert_eq!(store.attempts_without_order("message-1").await.unwrap(), [garbage.attempt]);
    assert_eq!(store.attempts_without_order("message-2").await.unwrap(), []);
    assert_eq!(store.counts().await, Ok(Counts::default()));
}

async fn any_text_is_kept_within_bounds(database: &impl TestDatabase) {
    let store = open(database).await;
    let order = Uuid::new_v4();
    let mut odd = record(order, 1, Failed);
    odd.attempt.error = Some("a\0b".repeat(100_000));
    odd.attempt.group = Some("'); DROP TABLE attempts; --".to_owned());
    odd.delivery.as_mut().unwrap().customer_id = "고객 🚚\0".repeat(10_000);
    store.write(odd).await.unwrap();
    let attempts = store.attempts(order, 10).await.unwrap().newest;
    assert_eq!(attempts[0].group.as_deref(), Some("'); DROP TABLE attempts; --"));
    let error = attempts[0].error.as_deref().unwrap();
    assert!(error.starts_with("a\u{fffd}b") && error.len() < 4096, "{}", error.len());
    assert!(store.find(order).await.unwrap().unwrap().customer_id.starts_with("고객 🚚"));
}

async fn workers_that_start_at_once_share_one_database(database: &impl TestDatabase) {
    let opened = join_all((0..6).map(|_| open(database))).await;
    let writes = opened.iter().enumerate().flat_map(|(worker, store)| {
        (0..20).map(move |i| {
            store.write(record(Uuid::from_u128(100 * worker as u128 + i), 1, Delivered))
        })
    });
    assert!(join_all(writes).await.into_iter().all(|fate| fate.is_ok()));
    for store in &opened {
        assert_eq!(store.counts().await.unwrap().delivered, 120);
    }
}

async fn workers_that_write_the_same_orders_do_not_stand_in_each_others_way(
    database: &impl TestDatabase,
) {
    let stores = join_all((0..4).map(|_| open(database))).await;
    // Each begins elsewhere and goes the other way than its neighbour.
    let writes = stores.iter().enumerate().flat_map(|(worker, store)| {
        (0..400).map(move |i| {
            let i = if worker % 2 == 0 { i } else { 400 - i };
            store.write(record(Uuid::from_u128((i + 100 * worker as u128) % 400), 1, Pending))
        })
    });
    let fates = join_all(writes).await;
    assert!(fates.iter().all(Result::is_ok), "{:?}", fates.iter().find(|fate| fate.is_err()));
    assert_eq!(stores[0].counts().await.unwrap().pending, 400);
}

async fn what_was_handed_over_survives_its_caller_and_the_close(database: &impl TestDatabase) {
    let store = open(database).await;
    let order = Uuid::new_v4();
    assert!(store.write(record(order, 1, Delivered)).now_or_never().is_none(), "handed over");
    store.close().await;
    let refused = store.write(record(order, 2, Delivered)).await;
    assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
    assert!(matches!(store.status(order).await, Err(StoreError::Unavailable(_))));
    store.close().await;
    let again = open(database).await;
    assert_eq!(again.status(order).await, Ok(Some(Delivered)));
    eventually("the health of a closed store ends", || async {
        store.health().has_changed().is_err().then_some(())
    })
    .await;
}

on_both! {
    an_order_that_was_never_attempted_is_unknown,
    attempts_are_read_back_as_written_in_the_order_of_their_commits,
    of_many_attempts_the_newest_are_read_in_their_order_and_all_are_counted,
    a_delivered_order_stays_delivered_whatever_comes_later,
    a_failed_order_can_still_be_delivered,
    as_many_records_as_come_at_once_are_written_in_their_order,
    records_of_one_order_in_one_transaction_count_in_their_order,
    a_refused_record_fails_alone,
    records_of_many_callers_are_all_committed,
    orders_are_counted_by_status,
    a_message_without_a_readable_order_is_found_by_its_own_id,
    any_text_is_kept_within_bounds,
    workers_that_start_at_once_share_one_database,
    workers_that_write_the_same_orders_do_not_stand_in_each_others_way,
    what_was_handed_over_survives_its_caller_and_the_close,
}
