//! Lists of deliveries, page by page.

use jiff::{SignedDuration, Timestamp};
use order_events::DeliveryStatus::{self, Delivered, Failed, InTransit, Pending};
use order_store::{Delivery, DeliveryFilter, Store};
use uuid::Uuid;

use crate::support::{TestDatabase, on_both, open, record};

const CUSTOMERS: [&str; 3] = ["customer-1", "고객 2", ""];
const QUEUES: [&str; 2] = ["orders", "orders.fifo"];
const STATUSES: [DeliveryStatus; 4] = [Pending, InTransit, Delivered, Failed];

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + second).expect("a time")
}

/// Deliveries of every kind, several of which were first attempted at the same time.
async fn filled(store: &Store) -> Vec<Delivery> {
    let numbers = 0..180_u32;
    let writes = numbers.clone().map(|number| {
        let pick = |of: usize, by: u32| (number / by) as usize % of;
        let order = Uuid::from_u128(u128::from(number * 7919 % 1009));
        let mut record = record(order, 1, STATUSES[pick(4, 1)]);
        QUEUES[pick(2, 4)].clone_into(&mut record.attempt.queue);
        record.attempt.started_at = at(i64::from(number / 6));
        let delivery = record.delivery.as_mut().expect("an order");
        CUSTOMERS[pick(3, 8)].clone_into(&mut delivery.customer_id);
        store.write(record)
    });
    for fate in futures_util::future::join_all(writes).await {
        fate.expect("it is written");
    }
    let mut all = Vec::new();
    for number in numbers {
        let order = Uuid::from_u128(u128::from(number * 7919 % 1009));
        all.push(store.find(order).await.expect("an answer").expect("it is there"));
    }
    all.sort_by_key(|delivery| std::cmp::Reverse((delivery.created_at, delivery.order_id)));
    all
}

/// All pages of so many, put together.
async fn listed(store: &Store, filter: &DeliveryFilter, at_most: u32) -> Vec<Delivery> {
    let mut all: Vec<Delivery> = Vec::new();
    loop {
        let after = all.last().map(Delivery::position);
        let page = store.page(filter, after, at_most).await.expect("a page");
        if page.is_empty() {
            return all;
        }
        assert!(page.len() <= at_most as usize);
        all.extend(page);
    }
}

async fn every_combination_of_filters_lists_what_it_names_newest_first(db: &impl TestDatabase) {
    let store = open(db).await;
    let all = filled(&store).await;
    let statuses = [None, Some(Pending), Some(Delivered)];
    let customers = [None, Some(CUSTOMERS[1]), Some(""), Some("nobody")];
    let queues = [None, Some(QUEUES[1])];
    let times =
        [(None, None), (Some(at(7)), None), (None, Some(at(20))), (Some(at(7)), Some(at(20)))];
    for status in statuses {
        for customer in customers {
            for queue in queues {
                for (from, to) in times {
                    let customer_id = customer.map(str::to_owned);
                    let queue = queue.map(str::to_owned);
                    let filter = DeliveryFilter { status, customer_id, queue, from, to };
                    let matches = |one: &&Delivery| {
                        status.is_none_or(|status| one.status == status)
                            && customer.is_none_or(|customer| one.customer_id == customer)
                            && filter.queue.as_ref().is_none_or(|queue| one.queue == *queue)
                            && from.is_none_or(|from| one.created_at >= from)
                            && to.is_none_or(|to| one.created_at < to)
                    };
                    let expected: Vec<_> = all.iter().filter(matches).cloned().collect();
                    for at_most in [7, 200] {
                        assert_eq!(listed(&store, &filter, at_most).await, expected, "{filter:?}");
                    }
                }
            }
        }
    }
}

async fn a_place_in_the_list_does_not_move_when_deliveries_come_and_change(db: &impl TestDatabase) {
    let store = open(db).await;
    let all = filled(&store).await;
    let first = store.page(&DeliveryFilter::default(), None, 50).await.unwrap();
    assert_eq!(first, all[..50]);
    // Newer ones come, and one of the first page changes.
    let mut newer = record(Uuid::from_u128(5000), 1, Delivered);
    newer.attempt.started_at = at(0).checked_add(SignedDuration::from_hours(1)).unwrap();
    store.write(newer).await.unwrap();
    let pending = first.iter().find(|delivery| delivery.status == Pending).unwrap();
    store.write(record(pending.order_id, 2, Delivered)).await.unwrap();
    let after = first.last().map(Delivery::position);
    let second = store.page(&DeliveryFilter::default(), after, 50).await.unwrap();
    assert_eq!(second, all[50..100]);
}

on_both! {
    every_combination_of_filters_lists_what_it_names_newest_first,
    a_place_in_the_list_does_not_move_when_deliveries_come_and_change,
}
