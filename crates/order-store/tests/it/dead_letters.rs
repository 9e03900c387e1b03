//! What every database behind the store must do with dead letters.

use std::collections::HashSet;

use futures_util::future::join_all;
use jiff::Timestamp;
use order_events::DeliveryStatus::{Delivered, Failed};
use order_store::{
    DeadLetter, DeadLetterFilter, DeadLetterState, NewDeadLetter, Reason, Store, UNKNOWN_REASON,
};
use uuid::Uuid;

use crate::support::{TestDatabase, on_both, open, record};

pub(crate) const DLQ: &str = "orders-dlq";

pub(crate) fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + second).expect("a time")
}

/// A dead letter that was met in that second.
pub(crate) fn letter(number: u32, second: i64) -> NewDeadLetter {
    let order_id = Uuid::from_u128(u128::from(number));
    NewDeadLetter {
        queue: DLQ.to_owned(),
        message_id: format!("message-{number}"),
        group: Some("customer-001".to_owned()),
        identity: order_id.to_string(),
        order_id: Some(order_id),
        customer_id: Some("customer-001".to_owned()),
        reason: Some(Reason::Forced),
        detail: Some("a test product".to_owned()),
        attempts: Some(3),
        body: format!("{{\"number\":{number}}}"),
        attributes: "{}".to_owned(),
        sent_at: Some(at(second - 10)),
        seen_at: at(second),
    }
}

pub(crate) async fn one(store: &Store, message_id: &str) -> DeadLetter {
    let mut found = store.dead_letters_of(DLQ, &[message_id]).await.expect("it is read");
    found.pop().expect("it is kept")
}

async fn listed(store: &Store, filter: &DeadLetterFilter) -> Vec<String> {
    let page = store.dead_letter_page(&[DLQ], DeadLetterState::Dead, filter, None, 200).await;
    page.expect("a page").letters.into_iter().map(|letter| letter.message_id).collect()
}

async fn a_dead_letter_is_new_once_whoever_meets_it(database: &impl TestDatabase) {
    let stores = join_all((0..3).map(|_| open(database))).await;
    let letters: Vec<NewDeadLetter> = (0..40).map(|number| letter(number, 0)).collect();
    let kept = join_all(stores.iter().map(|store| store.keep_dead_letters(&letters))).await;
    let mut new = HashSet::new();
    for ids in kept {
        for id in ids.expect("they are kept") {
            assert!(new.insert(id), "it is new to one of them");
        }
    }
    assert_eq!(new.len(), 40);
    let again = stores[0].keep_dead_letters(&letters).await.expect("nothing is wrong with them");
    assert_eq!(again, HashSet::new());
    let found = one(&stores[1], "message-7").await;
    assert_eq!((found.state, found.reason.as_str()), (DeadLetterState::Dead, "forced"));
    assert_eq!((found.attempts, found.order_id), (Some(3), Some(Uuid::from_u128(7))));
    assert_eq!((found.seen_at, found.sent_at), (at(0), Some(at(-10))));
}

async fn any_content_is_kept_whole(database: &impl TestDatabase) {
    let store = open(database).await;
    let body = format!("\0<script>\u{202e}{}", "상".repeat(349_000));
    let odd = NewDeadLetter {
        group: None,
        identity: "sha256:00".to_owned(),
        order_id: None,
        customer_id: None,
        reason: None,
        detail: Some("a\0b".repeat(10_000)),
        attempts: None,
        body: body.clone(),
        attributes: "{\"a\":\"\0\"}".to_owned(),
        sent_at: None,
        ..letter(1, 0)
    };
    store.keep_dead_letters(&[odd]).await.expect("it is kept");
    let found = one(&store, "message-1").await;
    assert_eq!((found.reason.as_str(), found.attempts), (UNKNOWN_REASON, None));
    assert!(found.detail.is_some_and(|detail| detail.len() < 4096));
    let content = store.dead_letter_content(DLQ, "message-1").await.expect("it is read");
    let content = content.expect("it is there");
    assert_eq!(content.body, body, "byte for byte");
    assert_eq!(content.attributes, "{\"a\":\"\u{fffd}\"}");
    assert_eq!(store.dead_letter_content(DLQ, "message-2").await, Ok(None));
}

async fn a_list_is_narrowed_down_and_paged(database: &impl TestDatabase) {
    let store = open(database).await;
    let mut letters: Vec<NewDeadLetter> =
        (0..25).map(|number| letter(number, i64::from(number / 2))).collect();
    letters[3].reason = None;
    letters[4].customer_id = Some("고객 100%_\\".to_owned());
    "Something ELSE 상품".clone_into(&mut letters[5].body);
    store.keep_dead_letters(&letters).await.expect("they are kept");
    let everything = listed(&store, &DeadLetterFilter::default()).await;
    let newest_first: Vec<String> = (0..25).rev().map(|n| format!("message-{n}")).collect();
    assert_eq!(everything, newest_first);
    let text = |text: &str| DeadLetterFilter { text: Some(text.to_owned()), ..Default::default() };
    for (filter, expected) in [
        (
            DeadLetterFilter { reason: Some(UNKNOWN_REASON.to_owned()), ..Default::default() },
            vec!["message-3"],
        ),
        (
            DeadLetterFilter {
                customer_id: Some("고객 100%_\\".to_owned()), ..Default::default()
            },
            vec!["message-4"],
        ),
        (text("something else"), vec!["message-5"]),
        (text("상품"), vec!["message-5"]),
        (text("100%_\\"), vec!["message-4"]),
        (text("message-2%"), vec![]),
        (text("'; DROP TABLE dead_letters; --"), vec![]),
        (
            DeadLetterFilter { from: Some(at(11)), to: Some(at(12)), ..Default::default() },
            vec!["message-23", "message-22"],
        ),
        (
            DeadLetterFilter {
                message_ids: Some(vec!["message-9".to_owned(), "message-99".to_owned()]),
                ..Default::default()
            },
            vec!["message-9"],
        ),
        (DeadLetterFilter { message_ids: Some(Vec::new()), ..Default::default() }, vec![]),
    ] {
        assert_eq!(listed(&store, &filter).await, expected, "{filter:?}");
        // A letter in hand is judged as the database judges.
        for number in 0..25 {
            let letter = one(&store, &format!("message-{number}")).await;
            let expected = expected.contains(&letter.message_id.as_str());
            assert_eq!(filter.matches(&letter), expected, "{filter:?} {number}");
        }
        let count = store.count_dead_letters(DLQ, &filter).await.expect("a count");
        assert_eq!(count.letters, expected.len() as u64, "{filter:?}");
    }
    for filter in [DeadLetterFilter::default(), text("message")] {
        let (mut paged, mut after) = (Vec::new(), None);
        loop {
            let page =
                store.dead_letter_page(&[DLQ, "other"], DeadLetterState::Dead, &filter, after, 7);
            let page = page.await.expect("a page");
            paged.extend(page.letters.into_iter().map(|letter| letter.message_id));
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(paged, newest_first, "{filter:?}");
    }
}

async fn a_search_that_finds_nothing_in_what_it_went_through_goes_on_behind_it(
    database: &impl TestDatabase,
) {
    let store = open(database).await;
    for part in 0..11 {
        let letters: Vec<_> =
            (0..500).map(|i| letter(1 + part * 500 + i, i64::from(part))).collect();
        store.keep_dead_letters(&letters).await.expect("they are kept");
    }
    let filter =
        DeadLetterFilter { text: Some("message-1\n".to_owned()), ..DeadLetterFilter::default() };
    let page = |after| store.dead_letter_page(&[DLQ], DeadLetterState::Dead, &filter, after, 10);
    let first = page(None).await.expect("a page");
    assert_eq!(first.letters, []);
    let second = page(Some(first.next.expect("it goes on"))).await.expect("a page");
    assert_eq!((second.letters.len(), second.next), (1, None));
    assert_eq!(second.letters[0].message_id, "message-1");
}

async fn what_looks_have_missed_is_settled_and_what_comes_back_is_dead_again(
    database: &impl TestDatabase,
) {
    let store = open(database).await;
    let letters: Vec<NewDeadLetter> = (0..3).map(|number| letter(number, 0)).collect();
    store.keep_dead_letters(&letters).await.expect("they are kept");
    store.see_dead_letters(DLQ, &["message-1"], at(100), at(40)).await.expect("it is noted");
    assert_eq!(store.settle_unseen_dead_letters(DLQ, at(50), at(110)).await, Ok(2));
    assert_eq!(one(&store, "message-1").await.state, DeadLetterState::Dead);
    let gone = one(&store, "message-0").await;
    assert_eq!((gone.state, gone.settled_at), (DeadLetterState::Gone, Some(at(110))));
    assert_eq!(listed(&store, &DeadLetterFilter::default()).await, ["message-1"]);
    // It may have been received before it went.
    store.see_dead_letters(DLQ, &["message-0"], at(111), at(51)).await.expect("it is noted");
    assert_eq!(one(&store, "message-0").await.state, DeadLetterState::Gone);
    store.see_dead_letters(DLQ, &["message-0"], at(180), at(120)).await.expect("it is noted");
    let back = one(&store, "message-0").await;
    assert_eq!((back.state, back.settled_at), (DeadLetterState::Dead, None));
    let before =
        |second| store.were_dead_before(&["00000000-0000-0000-0000-000000000002"], at(second));
    assert_eq!(before(109).await.map(|found| found.len()), Ok(0));
    assert_eq!(before(110).await.map(|found| found.len()), Ok(1));
}

async fn what_is_over_is_forgotten_the_oldest_first(database: &impl TestDatabase) {
    let store = open(database).await;
    for number in 0..5 {
        store.keep_dead_letters(&[letter(number, 0)]).await.expect("it is kept");
        if number < 4 {
            let now = at(100 + i64::from(number));
            store.settle_unseen_dead_letters(DLQ, at(50), now).await.expect("it is settled");
        }
    }
    assert_eq!(store.forget_dead_letters_before(at(103), 2).await, Ok(2));
    assert_eq!(store.dead_letter_content(DLQ, "message-0").await, Ok(None));
    assert_eq!(store.dead_letters_of(DLQ, &["message-0", "message-1"]).await, Ok(Vec::new()));
    assert_eq!(store.forget_dead_letters_before(at(103), 2).await, Ok(1));
    assert_eq!(one(&store, "message-3").await.state, DeadLetterState::Gone);
    assert_eq!(one(&store, "message-4").await.state, DeadLetterState::Dead);
}

async fn the_last_attempts_at_orders_are_found_at_once(database: &impl TestDatabase) {
    let store = open(database).await;
    let (first, second) = (Uuid::from_u128(1), Uuid::from_u128(2));
    for number in 1..=3 {
        let mut attempt = record(first, number, Failed);
        attempt.attempt.reason = Some(Reason::Timeout);
        store.write(attempt).await.expect("it is written");
    }
    store.write(record(second, 1, Delivered)).await.expect("it is written");
    let found = store.last_attempts(&[first, second, Uuid::from_u128(3)]).await.expect("attempts");
    assert_eq!(found.len(), 2);
    assert_eq!((found[&first].number, found[&first].reason), (3, Some(Reason::Timeout)));
    assert_eq!(found[&second].number, 1);
}

async fn dead_letters_are_counted_by_reason(database: &impl TestDatabase) {
    let store = open(database).await;
    let mut letters: Vec<NewDeadLetter> = (0..5).map(|number| letter(number, 0)).collect();
    letters[0].reason = None;
    letters[1].reason = Some(Reason::Crash);
    store.keep_dead_letters(&letters).await.expect("they are kept");
    let reasons = store.dead_letter_reasons(DLQ).await.expect("reasons");
    let reasons: Vec<_> = reasons.iter().map(|(reason, count)| (reason.as_str(), *count)).collect();
    assert_eq!(reasons, [("crash", 1), ("forced", 3), ("unknown", 1)]);
}

on_both! {
    a_dead_letter_is_new_once_whoever_meets_it,
    any_content_is_kept_whole,
    a_list_is_narrowed_down_and_paged,
    a_search_that_finds_nothing_in_what_it_went_through_goes_on_behind_it,
    what_looks_have_missed_is_settled_and_what_comes_back_is_dead_again,
    what_is_over_is_forgotten_the_oldest_first,
    the_last_attempts_at_orders_are_found_at_once,
    dead_letters_are_counted_by_reason,
}
