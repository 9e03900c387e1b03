//! Idempotency keys: of each customer and key exactly one request is the first.

use futures_util::future::join_all;
use jiff::Timestamp;
use order_store::{KeyedRequest, Remembered, StoreError};

use crate::support::{TestDatabase, on_both, open, record};

fn request(customer: &str, key: &str, asks: u8) -> KeyedRequest {
    KeyedRequest {
        customer_id: customer.to_owned(),
        key: key.to_owned(),
        fingerprint: [asks; 32],
        answer: format!("the order of {customer}, {asks}"),
        at: Timestamp::from_millisecond(1_700_000_000_000 + i64::from(asks)).expect("a time"),
    }
}

fn same(request: &KeyedRequest) -> Remembered {
    Remembered::Same { answer: request.answer.clone(), at: request.at }
}

async fn a_repeated_request_is_told_what_the_first_was(database: &impl TestDatabase) {
    let store = open(database).await;
    let first = request("customer", "key", 1);
    assert_eq!(store.remember_request(first.clone()).await, Ok(Remembered::First));
    let later =
        KeyedRequest { answer: "another".to_owned(), at: Timestamp::now(), ..first.clone() };
    assert_eq!(store.remember_request(later).await, Ok(same(&first)));
    store.close().await;
    assert_eq!(open(database).await.remember_request(first.clone()).await, Ok(same(&first)));
}

async fn a_key_that_is_used_for_another_request_is_told_so(database: &impl TestDatabase) {
    let store = open(database).await;
    assert_eq!(store.remember_request(request("c", "key", 1)).await, Ok(Remembered::First));
    assert_eq!(store.remember_request(request("c", "key", 2)).await, Ok(Remembered::Other));
    assert_eq!(store.remember_request(request("d", "key", 2)).await, Ok(Remembered::First));
    assert_eq!(store.remember_request(request("c", "key2", 2)).await, Ok(Remembered::First));
}

async fn of_concurrent_requests_exactly_one_is_the_first(database: &impl TestDatabase) {
    let stores = join_all((0..4).map(|_| open(database))).await;
    for round in 0..5 {
        let key = format!("key {round}");
        let asks = |store: usize, i: usize| request("c", &key, ((store + i) % 2) as u8);
        let asked = stores
            .iter()
            .enumerate()
            .flat_map(|(number, store)| (0..50).map(move |i| (number, store, i)));
        let asked =
            asked.map(|(number, store, i)| {
                let request = asks(number, i);
                async move {
                    (request.clone(), store.remember_request(request).await.expect("an answer"))
                }
            });
        let told = join_all(asked).await;
        let firsts: Vec<_> = told.iter().filter(|(_, told)| *told == Remembered::First).collect();
        let [(first, _)] = firsts[..] else { panic!("{} are the first", firsts.len()) };
        for (request, told) in &told {
            match told {
                Remembered::First => {}
                Remembered::Same { .. } => assert_eq!(*told, same(first)),
                Remembered::Other => assert_ne!(request.fingerprint, first.fingerprint),
            }
        }
        let same = told.iter().filter(|(_, told)| matches!(told, Remembered::Same { .. })).count();
        assert_eq!(same, 99, "all with the same fingerprint but the first itself");
    }
}

async fn any_key_and_answer_is_kept_as_it_is(database: &impl TestDatabase) {
    let store = open(database).await;
    let long = "k".repeat(5_000);
    // Cut or cleaned, some of these would be one.
    let keys =
        ["", "\0", "\u{fffd}", "'); DROP TABLE keyed_requests; --", &long, &long[1..], "고객 🚚"];
    for (i, key) in keys.iter().enumerate() {
        let mut request = request("\0", key, i as u8);
        request.answer = format!("{key}\0{}", "상".repeat(100_000));
        assert_eq!(store.remember_request(request.clone()).await, Ok(Remembered::First), "{key}");
        assert_eq!(store.remember_request(request.clone()).await, Ok(same(&request)), "{key}");
    }
    let mut oversized = request("c", "oversized", 0);
    oversized.answer = "a".repeat((4 << 20) + 1);
    let fate = store.remember_request(oversized).await;
    assert!(matches!(fate, Err(StoreError::Refused(_))), "{fate:?}");
}

async fn old_requests_are_forgotten_the_oldest_first_and_so_many_at_most(db: &impl TestDatabase) {
    let store = open(db).await;
    let all: Vec<_> = (0..10).map(|i| request("c", &format!("key {i}"), i)).collect();
    for request in all.iter().rev() {
        store.remember_request(request.clone()).await.unwrap();
    }
    assert_eq!(store.forget_requests_before(all[8].at, 5).await, Ok(5));
    assert_eq!(store.remember_request(all[5].clone()).await, Ok(same(&all[5])));
    assert_eq!(store.forget_requests_before(all[8].at, 5).await, Ok(3));
    assert_eq!(store.forget_requests_before(all[8].at, 5).await, Ok(0));
    assert_eq!(store.remember_request(all[8].clone()).await, Ok(same(&all[8])));
    assert_eq!(store.remember_request(all[0].clone()).await, Ok(Remembered::First));
}

async fn requests_and_records_share_transactions_and_fail_apart(database: &impl TestDatabase) {
    use order_events::DeliveryStatus::Delivered;
    let store = open(database).await;
    let order = uuid::Uuid::new_v4();
    // Attempts count from 1.
    let (bad, request) = (store.write(record(order, 0, Delivered)), request("c", "key", 1));
    let (bad, first, good) = tokio::join!(
        bad,
        store.remember_request(request.clone()),
        store.write(record(order, 1, Delivered)),
    );
    assert!(matches!(bad, Err(StoreError::Refused(_))), "{bad:?}");
    assert_eq!((first, good), (Ok(Remembered::First), Ok(())));
    assert_eq!(store.remember_request(request.clone()).await, Ok(same(&request)));
}

on_both! {
    a_repeated_request_is_told_what_the_first_was,
    a_key_that_is_used_for_another_request_is_told_so,
    of_concurrent_requests_exactly_one_is_the_first,
    any_key_and_answer_is_kept_as_it_is,
    old_requests_are_forgotten_the_oldest_first_and_so_many_at_most,
    requests_and_records_share_transactions_and_fail_apart,
}
