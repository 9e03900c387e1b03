//! What every database behind the store must know of newer orders.

use jiff::Timestamp;
use order_events::DeliveryStatus::{self, Delivered, Failed, InTransit, Pending};
use order_store::{DeadOrder, NewDeadLetter, Newer, Store};
use uuid::Uuid;

use crate::{
    dead_letters::{DLQ, letter},
    support::{TestDatabase, on_both, open, record},
};

const DEAD: Uuid = Uuid::from_u128(1);
const NEWER: Uuid = Uuid::from_u128(2);

/// Attempts at orders end with their numbers, which are milliseconds.
fn at(number: i64) -> Timestamp {
    Timestamp::from_millisecond(1_700_000_000_000 + number).expect("a time")
}

/// The dead order, first attempted at 100, whose letter is the second one and was sent at 400.
fn dead() -> DeadOrder<'static> {
    DeadOrder {
        customer_id: "customer-001",
        source: "orders",
        order_id: Some(DEAD),
        otherwise: Timestamp::UNIX_EPOCH,
        place: (at(400), 2),
        kept_since: at(-1_000),
    }
}

async fn attempted(store: &Store, order: Uuid, number: u32, status: DeliveryStatus) {
    store.write(record(order, number, status)).await.expect("it is written");
}

/// Keeps a dead letter of the newer order, sent and met at this time.
async fn dies(store: &Store, message: u32, number: i64) {
    let letter = NewDeadLetter {
        identity: NEWER.to_string(),
        order_id: Some(NEWER),
        sent_at: Some(at(number)),
        seen_at: at(number),
        ..letter(message, 0)
    };
    store.keep_dead_letters(&[letter]).await.expect("it is kept");
}

/// What stands for that they are not there any more.
async fn leave(store: &Store, number: i64) {
    let settled = store.settle_unseen_dead_letters(DLQ, at(number), at(number)).await;
    settled.expect("they are settled");
}

async fn a_newer_order_that_is_delivered_is_known(database: &impl TestDatabase) {
    let store = open(database).await;
    attempted(&store, DEAD, 100, Failed).await;
    assert_eq!(store.newer_than(&dead()).await, Ok(None), "it is not newer than itself");
    attempted(&store, Uuid::from_u128(3), 50, Delivered).await;
    assert_eq!(store.newer_than(&dead()).await, Ok(None), "that one was before it");
    attempted(&store, NEWER, 200, Failed).await;
    assert_eq!(store.newer_than(&dead()).await, Ok(None), "it is not delivered");
    attempted(&store, NEWER, 300, Delivered).await;
    assert_eq!(store.newer_than(&dead()).await, Ok(Some(Newer::Delivered)));
    for of_others in [
        DeadOrder { source: "other", ..dead() },
        DeadOrder { customer_id: "customer-002", ..dead() },
    ] {
        assert_eq!(store.newer_than(&of_others).await, Ok(None), "{of_others:?}");
    }
    // Of what was never attempted, the time is given.
    let never = DeadOrder { order_id: Some(Uuid::from_u128(9)), ..dead() };
    assert_eq!(store.newer_than(&never).await, Ok(Some(Newer::Delivered)));
    let late = DeadOrder { otherwise: at(900), ..never };
    assert_eq!(store.newer_than(&late).await, Ok(None));
    let no_order = DeadOrder { order_id: None, ..dead() };
    assert_eq!(store.newer_than(&no_order).await, Ok(Some(Newer::Delivered)));
}

async fn a_newer_order_that_is_attempted_is_on_the_way(database: &impl TestDatabase) {
    let store = open(database).await;
    attempted(&store, DEAD, 100, Failed).await;
    attempted(&store, Uuid::from_u128(3), 50, Pending).await;
    assert_eq!(store.newer_than(&dead()).await, Ok(None), "that one is older");
    for status in [Pending, InTransit] {
        attempted(&store, NEWER, 200, status).await;
        assert_eq!(store.newer_than(&dead()).await, Ok(Some(Newer::OnTheWay)), "{status:?}");
    }
    let long_after = DeadOrder { kept_since: at(201), ..dead() };
    assert_eq!(store.newer_than(&long_after).await, Ok(None), "no queue has it any more");
    attempted(&store, NEWER, 300, Failed).await;
    assert_eq!(store.newer_than(&dead()).await, Ok(None), "that was its last attempt");
}

async fn a_newer_order_that_is_dead_behind_it_is_not_in_its_way(database: &impl TestDatabase) {
    let store = open(database).await;
    attempted(&store, DEAD, 100, Failed).await;
    // SQS itself has moved it, so that its last attempt is not known to be that.
    attempted(&store, NEWER, 200, Pending).await;
    dies(&store, 2, 500).await;
    assert_eq!(store.newer_than(&dead()).await, Ok(None));
    let behind = DeadOrder { place: (at(600), 2), ..dead() };
    assert_eq!(store.newer_than(&behind).await, Ok(Some(Newer::Ahead)), "that one goes first");
}

async fn a_newer_order_that_left_the_dead_is_on_the_way_until_it_dies_again(
    database: &impl TestDatabase,
) {
    let store = open(database).await;
    attempted(&store, DEAD, 100, Failed).await;
    attempted(&store, NEWER, 200, Failed).await;
    dies(&store, 2, 500).await;
    leave(&store, 600).await;
    assert_eq!(store.newer_than(&dead()).await, Ok(Some(Newer::OnTheWay)));
    let long_after = DeadOrder { kept_since: at(601), ..dead() };
    assert_eq!(store.newer_than(&long_after).await, Ok(None), "no queue has it any more");
    attempted(&store, NEWER, 700, Pending).await;
    assert_eq!(store.newer_than(&dead()).await, Ok(Some(Newer::OnTheWay)));
    attempted(&store, NEWER, 800, Failed).await;
    assert_eq!(store.newer_than(&dead()).await, Ok(None), "its letter is still to be met");
    dies(&store, 3, 900).await;
    assert_eq!(store.newer_than(&dead()).await, Ok(None), "it is behind");
    attempted(&store, NEWER, 1_000, Delivered).await;
    assert_eq!(store.newer_than(&dead()).await, Ok(Some(Newer::Delivered)));
}

on_both! {
    a_newer_order_that_is_delivered_is_known,
    a_newer_order_that_is_attempted_is_on_the_way,
    a_newer_order_that_is_dead_behind_it_is_not_in_its_way,
    a_newer_order_that_left_the_dead_is_on_the_way_until_it_dies_again,
}
