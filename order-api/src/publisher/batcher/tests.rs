use super::*;
use rand::SeedableRng;
use sqs_consumer::MAX_BATCH;
use std::{cell::Cell, collections::BTreeSet, rc::Rc};

const MS: Duration = Duration::from_millis(1);

/// An order that is known by its number.
#[derive(Clone, Debug)]
struct Numbered {
    number: usize,
    group: Option<Arc<str>>,
    size: usize,
    given_up: Rc<Cell<bool>>,
    repeated: bool,
}

impl Outgoing for Numbered {
    fn group(&self) -> Option<&Arc<str>> {
        self.group.as_ref()
    }

    fn size(&self) -> usize {
        self.size
    }

    fn is_repeated(&self) -> bool {
        self.repeated
    }

    fn take(&self, _: Instant) -> bool {
        !self.given_up.get()
    }
}

fn order(number: usize, group: Option<&str>, size: usize) -> Numbered {
    let group = group.map(Into::into);
    Numbered { number, group, size, given_up: Rc::default(), repeated: false }
}

fn bounds(calls: usize) -> Bounds {
    Bounds { calls, batch: MAX_BATCH, linger: MS }
}

fn batcher(most_calls: usize) -> Batcher<Numbered> {
    Batcher::new(bounds(most_calls), SmallRng::seed_from_u64(1))
}

fn numbers(entries: &[Entry<Numbered>]) -> Vec<usize> {
    entries.iter().map(|entry| entry.order.number).collect()
}

#[expect(clippy::unnecessary_wraps, reason = "as SQS's answers are told")]
fn accepted(sequence: u128) -> Result<Confirmed, PublishError> {
    Ok(Confirmed { message_id: sequence.to_string(), sequence: Some(sequence) })
}

fn rejected() -> PublishError {
    PublishError::Refused(QueueError::Rejected("no".to_owned()))
}

fn unavailable() -> PublishError {
    PublishError::Refused(QueueError::Unavailable("busy".to_owned()))
}

fn all_accepted(count: usize) -> Answer {
    Answer::Each((0..count).map(|sequence| accepted(sequence as u128)).collect())
}

#[test]
fn an_order_is_sent_at_once_when_no_call_is_under_way() {
    let (mut batcher, now) = (batcher(4), Instant::now());
    batcher.push(now, order(1, None, 10));
    assert_eq!(numbers(&batcher.next_call(now).expect("a call")), [1]);
    assert!(batcher.next_call(now).is_none());
    assert_eq!(batcher.next_wakeup(), None);
}

#[test]
fn while_a_call_is_under_way_orders_gather_until_it_ends_or_they_are_ten_or_the_linger_is_over() {
    let (mut batcher, now) = (batcher(4), Instant::now());
    let push = |batcher: &mut Batcher<Numbered>, numbers: std::ops::Range<usize>| {
        for number in numbers {
            batcher.push(now, order(number, None, 10));
        }
    };
    push(&mut batcher, 0..1);
    let first = batcher.next_call(now).expect("a call");
    push(&mut batcher, 1..4);
    assert!(batcher.next_call(now).is_none());
    assert_eq!(batcher.next_wakeup(), Some(now + MS));
    batcher.ended(now, first, all_accepted(1));
    let second = batcher.next_call(now).expect("the first one has ended");
    assert_eq!(numbers(&second), [1, 2, 3]);
    push(&mut batcher, 4..14);
    assert_eq!(batcher.next_call(now).expect("ten").len(), 10);
    push(&mut batcher, 14..16);
    assert!(batcher.next_call(now).is_none());
    assert_eq!(batcher.next_call(now + MS).expect("the linger is over").len(), 2);
}

#[test]
fn an_order_that_comes_a_linger_after_a_call_began_does_not_wait_for_it_to_end() {
    let (mut batcher, now) = (batcher(4), Instant::now());
    batcher.push(now, order(0, None, 10));
    let _slow = batcher.next_call(now).expect("a call");
    batcher.push(now + MS / 4, order(1, None, 10));
    assert!(batcher.next_call(now + MS / 4).is_none());
    assert_eq!(batcher.next_wakeup(), Some(now + MS), "counted from the last call's beginning");
    assert_eq!(numbers(&batcher.next_call(now + MS).expect("a call")), [1]);
    batcher.push(now + 3 * MS, order(2, None, 10));
    assert_eq!(numbers(&batcher.next_call(now + 3 * MS).expect("at once")), [2]);
}

#[test]
fn what_a_full_call_had_no_room_for_waits_for_a_linger_at_most() {
    let (mut batcher, now) = (batcher(4), Instant::now());
    batcher.push(now, order(0, None, 10));
    let _slow = batcher.next_call(now).expect("a call");
    for number in 1..11 {
        batcher.push(now + MS / 4, order(number, None, 10));
    }
    batcher.push(now + MS / 4, order(11, None, 10));
    assert_eq!(batcher.next_call(now + MS / 2).expect("ten").len(), 10);
    assert!(batcher.next_call(now + MS / 2).is_none());
    assert_eq!(batcher.next_wakeup(), Some(now + MS / 4 + MS));
}

#[test]
fn no_more_calls_are_under_way_than_may_be() {
    let (mut batcher, now) = (batcher(2), Instant::now());
    for number in 0..30 {
        batcher.push(now, order(number, None, 10));
    }
    let first = batcher.next_call(now).expect("a call");
    let _second = batcher.next_call(now).expect("a call");
    assert!(batcher.next_call(now + MS).is_none());
    assert_eq!(batcher.next_wakeup(), None, "only the end of a call changes anything");
    batcher.ended(now, first, all_accepted(10));
    assert_eq!(numbers(&batcher.next_call(now).expect("a call")), (20..30).collect::<Vec<_>>());
}

#[test]
fn a_call_takes_a_mebibyte_at_most() {
    let (mut batcher, now) = (batcher(4), Instant::now());
    for (number, size) in [LARGEST / 2, LARGEST / 2, 1, LARGEST].into_iter().enumerate() {
        batcher.push(now, order(number, None, size));
    }
    assert_eq!(numbers(&batcher.next_call(now).expect("a call")), [0, 1]);
    assert_eq!(numbers(&batcher.next_call(now).expect("it is full")), [2]);
    assert_eq!(numbers(&batcher.next_call(now).expect("it is full")), [3]);
}

#[test]
fn a_group_has_one_call_under_way_and_does_not_make_others_wait() {
    let (mut batcher, now) = (batcher(4), Instant::now());
    batcher.push(now, order(0, Some("a"), 10));
    let first = batcher.next_call(now).expect("a call");
    batcher.push(now, order(1, Some("a"), 10));
    batcher.push(now, order(2, Some("b"), 10));
    batcher.push(now, order(3, Some("a"), 10));
    assert_eq!(numbers(&batcher.next_call(now + MS).expect("b need not wait")), [2]);
    assert!(batcher.next_call(now + 10 * MS).is_none());
    batcher.ended(now, first, all_accepted(1));
    assert_eq!(numbers(&batcher.next_call(now + MS).expect("a's turn")), [1, 3]);
}

#[test]
fn what_nobody_waits_for_is_not_sent() {
    let (mut batcher, now) = (batcher(4), Instant::now());
    for group in [None, Some("a")] {
        let orders: Vec<_> = (0..3).map(|number| order(number, group, 10)).collect();
        orders[0].given_up.set(true);
        orders[2].given_up.set(true);
        for order in orders {
            batcher.push(now, order);
        }
        let call = batcher.next_call(now).expect("a call");
        assert_eq!(numbers(&call), [1]);
        batcher.ended(now, call, all_accepted(1));
        let alone = order(4, group, 10);
        alone.given_up.set(true);
        batcher.push(now, alone);
        assert!(batcher.next_call(now).is_none());
    }
    assert!(batcher.lanes.is_empty());
    assert_eq!(batcher.waiting, Load::default());
}

#[test]
fn a_batch_that_is_refused_as_a_whole_is_sent_again_one_by_one() {
    let (mut batcher, now) = (batcher(4), Instant::now());
    for number in 0..3 {
        batcher.push(now, order(number, Some("a"), 10));
    }
    let call = batcher.next_call(now).expect("a call");
    assert!(batcher.ended(now, call, Answer::Failed(rejected())).is_empty());
    for number in 0..3 {
        let call = batcher.next_call(now).expect("one of them");
        assert_eq!(numbers(&call), [number]);
        assert!(batcher.next_call(now + MS).is_none(), "the group has a call under way");
        let answer = if number == 1 { Answer::Failed(rejected()) } else { all_accepted(1) };
        let fates = batcher.ended(now, call, answer);
        assert_eq!(fates[0].1.is_err(), number == 1);
    }
    assert!(batcher.lanes.is_empty());
}

#[test]
fn one_that_is_refused_by_name_is_not_sent_again() {
    let (mut batcher, now) = (batcher(4), Instant::now());
    for (number, group) in [(0, None), (1, None), (2, Some("a")), (3, Some("a"))] {
        batcher.push(now, order(number, group, 10));
    }
    let call = batcher.next_call(now).expect("a call");
    let answer = Answer::Each(vec![accepted(1), Err(rejected()), accepted(2), Err(rejected())]);
    let fates: Vec<_> = batcher.ended(now, call, answer).into_iter().map(|fate| fate.1).collect();
    assert_eq!(fates, [accepted(1), Err(rejected()), accepted(2), Err(rejected())]);
    assert!(batcher.next_call(now).is_none() && batcher.next_wakeup().is_none());
}

#[test]
fn a_call_without_an_answer_fails_its_orders_and_the_group_goes_on() {
    let (mut batcher, now) = (batcher(4), Instant::now());
    for number in 0..11 {
        batcher.push(now, order(number, Some("a"), 10));
    }
    let call = batcher.next_call(now).expect("a call");
    let fates = batcher.ended(now, call, Answer::Failed(PublishError::Unconfirmed));
    assert!(fates.iter().all(|(_, fate)| *fate == Err(PublishError::Unconfirmed)));
    assert_eq!(fates.len(), 10);
    assert_eq!(numbers(&batcher.next_call(now).expect("the rest")), [10]);
}

#[test]
fn one_that_fails_for_a_moment_is_tried_again_after_a_pause_and_before_the_rest_of_its_group() {
    let (mut batcher, now) = (batcher(4), Instant::now());
    for number in 0..2 {
        batcher.push(now, order(number, Some("a"), 10));
    }
    let call = batcher.next_call(now).expect("a call");
    batcher.push(now, order(2, Some("a"), 10));
    let answer = Answer::Each(vec![accepted(1), Err(unavailable())]);
    let fates = batcher.ended(now, call, answer);
    assert_eq!(fates.len(), 1);
    assert!(batcher.next_call(now).is_none(), "a pause");
    let again = batcher.next_wakeup().expect("a wakeup");
    assert!(again >= now + PAUSE / 2 && again <= now + PAUSE);
    assert_eq!(numbers(&batcher.next_call(again).expect("again")), [1, 2]);
}

#[test]
fn one_that_a_later_one_of_its_group_has_overtaken_is_not_tried_again() {
    let (mut batcher, now) = (batcher(4), Instant::now());
    for number in 0..2 {
        batcher.push(now, order(number, Some("a"), 10));
    }
    for error in [unavailable(), rejected()] {
        let call = batcher.next_call(now).expect("a call");
        let answer = Answer::Each(vec![Err(error.clone()), accepted(1)]);
        let fates: Vec<_> = batcher.ended(now, call, answer).into_iter().map(|f| f.1).collect();
        assert_eq!(fates, [Err(error), accepted(1)]);
        assert!(batcher.next_call(now + 10 * PAUSE).is_none());
        for number in 0..2 {
            batcher.push(now, order(number, Some("a"), 10));
        }
    }
}

#[test]
fn a_new_order_before_one_that_is_in_the_queue_already_is_confirmed() {
    let (mut batcher, now) = (batcher(4), Instant::now());
    batcher.push(now, order(0, Some("a"), 10));
    batcher.push(now, Numbered { repeated: true, ..order(1, Some("a"), 10) });
    let call = batcher.next_call(now).expect("a call");
    // SQS knows the second one's id, and answers with the place that it got then.
    let answer = Answer::Each(vec![accepted(8), accepted(5)]);
    let fates: Vec<_> = batcher.ended(now, call, answer).into_iter().map(|fate| fate.1).collect();
    assert_eq!(fates, [accepted(8), accepted(5)]);
    // Nor does it hide that another one is out of place.
    for number in 0..2 {
        batcher.push(now, order(number, Some("a"), 10));
        batcher.push(now, Numbered { repeated: true, ..order(9, Some("a"), 10) });
    }
    let call = batcher.next_call(now).expect("a call");
    let answer = Answer::Each(vec![accepted(12), accepted(5), accepted(11), accepted(5)]);
    let fates: Vec<_> = batcher.ended(now, call, answer).into_iter().map(|fate| fate.1).collect();
    assert_eq!(fates[0], Err(PublishError::Unconfirmed));
    assert!(fates[1..].iter().all(Result::is_ok), "{fates:?}");
}

#[test]
fn one_that_a_repeated_call_has_put_behind_a_later_one_is_not_confirmed() {
    let (mut batcher, now) = (batcher(4), Instant::now());
    for number in 0..3 {
        batcher.push(now, order(number, Some("a"), 10));
    }
    let call = batcher.next_call(now).expect("a call");
    let answer = Answer::Each(vec![accepted(9), accepted(2), accepted(4)]);
    let fates: Vec<_> = batcher.ended(now, call, answer).into_iter().map(|fate| fate.1).collect();
    assert_eq!(fates, [Err(PublishError::Unconfirmed), accepted(2), accepted(4)]);
}

#[test]
fn tries_are_bounded() {
    let (mut batcher, mut now) = (batcher(4), Instant::now());
    for number in 0..2 {
        batcher.push(now, order(number, None, 10));
    }
    let mut calls = 0;
    let fates = loop {
        let call = batcher.next_call(now).expect("a call");
        calls += 1;
        let answer = Answer::Each(vec![Err(unavailable()); call.len()]);
        let fates = batcher.ended(now, call, answer);
        if !fates.is_empty() {
            break fates;
        }
        now += 10 * PAUSE;
    };
    assert_eq!((calls, fates.len()), (MOST_TRIES, 2));
}

/// What an observer of a random run knows.
struct Seen {
    queue: Vec<usize>,
    told: BTreeSet<usize>,
    confirmed: BTreeSet<usize>,
}

#[test]
fn by_chance_each_order_has_one_fate_and_the_confirmed_ones_of_a_group_are_in_order() {
    for seed in 0..2_000 {
        random_run(seed);
    }
}

fn random_run(seed: u64) {
    let mut random = SmallRng::seed_from_u64(seed);
    let (most_calls, ordered) = (random.random_range(1..5), random.random_bool(0.7));
    let mut batcher = Batcher::new(bounds(most_calls), SmallRng::seed_from_u64(seed));
    let mut now = Instant::now();
    let mut calls: Vec<Vec<Entry<Numbered>>> = Vec::new();
    let mut orders: Vec<Numbered> = Vec::new();
    let mut seen = Seen { queue: Vec::new(), told: BTreeSet::new(), confirmed: BTreeSet::new() };
    let troubles = random.random_bool(0.8);
    for step in 0.. {
        if step < 150 && random.random_bool(0.6) {
            for _ in 0..random.random_range(1..20) {
                let group = ordered.then(|| random.random_range(0..4).to_string());
                let size = if random.random_bool(0.1) { LARGEST / 3 } else { 100 };
                let order = order(orders.len(), group.as_deref(), size);
                batcher.push(now, order.clone());
                orders.push(order);
            }
        }
        if random.random_bool(0.05) && !orders.is_empty() {
            orders[random.random_range(0..orders.len())].given_up.set(true);
        }
        while let Some(call) = batcher.next_call(now) {
            check_call(seed, &call, &calls);
            calls.push(call);
            assert!(calls.len() <= most_calls, "seed {seed}");
        }
        if !calls.is_empty() && random.random_bool(0.7) {
            let call = calls.swap_remove(random.random_range(0..calls.len()));
            let answer = answer(&mut random, troubles, &call, &mut seen.queue);
            for (order, fate) in batcher.ended(now, call, answer) {
                assert!(seen.told.insert(order.number), "seed {seed}: {order:?} has two fates");
                if fate.is_ok() {
                    seen.confirmed.insert(order.number);
                }
            }
        }
        if calls.is_empty() && step >= 150 {
            match batcher.next_wakeup() {
                None => break,
                Some(wakeup) => now = now.max(wakeup),
            }
        }
        now += MS.mul_f64(random.random_range(0.0..1.0));
    }
    for order in &orders {
        let told = seen.told.contains(&order.number);
        assert!(told || order.given_up.get(), "seed {seed}: {order:?} has no fate");
    }
    let mut last: HashMap<&str, usize> = HashMap::default();
    for number in seen.queue.iter().filter(|number| seen.confirmed.contains(number)) {
        let Some(group) = orders[*number].group.as_deref() else { continue };
        let before = last.insert(group, *number);
        assert!(
            before < Some(*number),
            "seed {seed}: {number} of group {group} is after {before:?}"
        );
    }
    let held = (batcher.lanes.len(), batcher.ready.len(), batcher.resting.len());
    assert_eq!((held, batcher.waiting), ((0, 0, 0), Load::default()), "seed {seed}");
}

fn check_call(seed: u64, call: &[Entry<Numbered>], others: &[Vec<Entry<Numbered>>]) {
    let size: usize = call.iter().map(|entry| entry.order.size).sum();
    assert!((1..=MAX_BATCH).contains(&call.len()) && size <= LARGEST, "seed {seed}");
    for entry in call.iter().filter(|entry| entry.order.group.is_some()) {
        let same = |other: &&Entry<Numbered>| other.order.group == entry.order.group;
        assert_eq!(others.iter().flatten().find(same).map(|e| e.order.number), None, "seed {seed}");
    }
}

/// What the queue does with a call: deduplicates, refuses some messages for good or for a moment, or
/// all of them; the answer of a first try may get lost, so that the call is made again.
fn answer(
    random: &mut SmallRng,
    troubles: bool,
    call: &[Entry<Numbered>],
    queue: &mut Vec<usize>,
) -> Answer {
    let poisoned = |entry: &Entry<Numbered>| troubles && entry.order.number.is_multiple_of(37);
    if call.iter().any(poisoned) {
        return Answer::Failed(rejected());
    }
    if troubles && random.random_bool(0.05) {
        return Answer::Failed(unavailable());
    }
    let mut results = Vec::new();
    for _ in 0..=usize::from(troubles && random.random_bool(0.2)) {
        results.clear();
        for entry in call {
            let number = entry.order.number;
            if let Some(place) = queue.iter().position(|other| *other == number) {
                results.push(accepted(place as u128));
            } else if troubles && random.random_bool(0.1) {
                results.push(Err(unavailable()));
            } else {
                results.push(accepted(queue.len() as u128));
                queue.push(number);
            }
        }
    }
    if troubles && random.random_bool(0.05) {
        return Answer::Failed(PublishError::Unconfirmed);
    }
    Answer::Each(results)
}
