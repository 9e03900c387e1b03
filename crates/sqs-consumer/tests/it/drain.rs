//! The drain: nothing is started, nothing is stranded, the head goes back before its tail.

use sqs_consumer::scheduler::{Answer, Config, Ended, Fate};

use crate::fixture::{AT_ONCE, Call, Fixture, SECOND, fifo, standard};

#[test]
fn a_running_head_finishes_and_is_deleted_before_its_tail_goes_back() {
    let mut f = Fixture::new(Config { concurrency: 1, ..fifo() });
    f.receive(&["a/1", "a/2", "a/3"]);
    while !f.polls().is_empty() {
        f.receive(&[]);
    }
    f.drain();
    assert_eq!(f.calls(), []);
    f.done("a/1");
    assert_eq!(f.answer(Answer::Ok), Call::Delete(vec!["a/1".to_owned()]));
    assert_eq!(f.answer(Answer::Ok), Call::Return(vec![("a/2".to_owned(), AT_ONCE)]));
    assert_eq!(f.answer(Answer::Ok), Call::Return(vec![("a/3".to_owned(), AT_ONCE)]));
    assert!(f.is_drained());
    assert_eq!(f.started(), ["a/1"]);
}

#[test]
fn a_head_in_backoff_goes_back_with_what_is_left_of_it_before_its_tail() {
    let mut f = Fixture::new(Config { retry_backoff: 40 * SECOND, ..fifo() });
    f.receive(&["a/1", "a/2"]);
    f.fail("a/1");
    f.pass(SECOND);
    while !f.polls().is_empty() {
        f.receive(&[]);
    }
    f.drain();
    let Call::Return(head) = f.answer(Answer::Ok) else { panic!("a return") };
    assert!(head[0].0 == "a/1" && head[0].1 >= 19 * SECOND && head[0].1 < 40 * SECOND);
    assert_eq!(f.answer(Answer::Ok), Call::Return(vec![("a/2".to_owned(), AT_ONCE)]));
    assert!(f.is_drained());
}

#[test]
fn handlers_that_outlast_the_drain_timeout_are_stopped_and_their_messages_go_back() {
    let mut f = Fixture::new(Config { drain_timeout: 5 * SECOND, concurrency: 1, ..standard() });
    f.receive(&["m"]);
    f.drain();
    f.pass(4 * SECOND);
    assert_eq!(f.cancelled(), [""; 0]);
    f.pass(SECOND);
    assert_eq!(f.cancelled(), ["m"]);
    assert_eq!(f.answer(Answer::Ok), Call::Return(vec![("m".to_owned(), AT_ONCE)]));
    assert!(f.is_drained());
}

#[test]
fn what_cannot_be_given_back_is_reported_as_stranded() {
    let mut f = Fixture::new(Config { drain_timeout: SECOND, concurrency: 1, ..standard() });
    f.receive(&["m"]);
    f.drain();
    for _ in 0..40 {
        f.pass(SECOND / 4);
        f.answer_all(Answer::Failed);
    }
    assert_eq!(f.ended(), [("m".to_owned(), Fate::Stranded)]);
    assert!(f.is_drained());
}

#[test]
fn a_receive_that_outlasts_the_drain_timeout_is_awaited_and_its_messages_go_back() {
    let mut f = Fixture::new(Config { drain_timeout: SECOND, ..standard() });
    f.drain();
    f.pass(15 * SECOND);
    assert!(!f.is_drained(), "its messages would stay leased");
    f.receive(&["m"]);
    assert_eq!(f.answer(Answer::Ok), Call::Return(vec![("m".to_owned(), AT_ONCE)]));
    assert_eq!(f.ended(), [("m".to_owned(), Fate::Released)]);
    assert!(f.is_drained());
}

#[test]
fn copies_to_the_dead_letter_queue_take_turns_and_a_drain_waits_for_them_while_they_succeed() {
    let mut f = sixty_rejected();
    assert_eq!(f.calls().len(), 16);
    f.drain();
    f.end_receives();
    while !f.calls().is_empty() {
        let copies = f.calls().iter().filter(|call| matches!(call, Call::DeadLetter(_))).count();
        assert!(copies <= 16, "{copies} at once");
        f.answer(Answer::Ok);
    }
    assert!(f.is_drained());
    let ended = f.ended();
    assert_eq!(ended.len(), 60);
    assert!(ended.iter().all(|(_, fate)| *fate == Fate::DeadLettered), "{ended:?}");
}

#[test]
fn a_drain_gives_back_what_waits_for_its_copy_once_copies_fail() {
    for fifo in [true, false] {
        let mut f = if fifo { rejected(fifo_with(64)) } else { sixty_rejected() };
        f.drain();
        f.end_receives();
        // They hang for as long as a call may.
        f.pass(10 * SECOND);
        let mut copies = 0;
        while let Some(call) = f.call() {
            let is_copy = matches!(call, Call::DeadLetter(_));
            copies += u32::from(is_copy);
            f.answer(if is_copy { Answer::Failed } else { Answer::Ok });
        }
        assert_eq!(copies, 16, "none is begun after that");
        // What has failed waits a little and goes back with what is left of that.
        assert!(f.is_drained());
        let ended = f.ended();
        assert_eq!(ended.len(), 60);
        assert!(ended.iter().all(|(_, fate)| *fate == Fate::Released), "{ended:?}");
    }
}

#[test]
fn what_sqs_refuses_for_good_to_give_back_in_a_drain_is_stranded_and_its_lane_goes_back() {
    let mut f = Fixture::new(Config { concurrency: 1, ..fifo() });
    f.receive(&["a/1", "a/2", "a/3", "b/1"]);
    f.end_receives();
    f.drain();
    f.done("a/1");
    f.answer_all_each(|name| if name == "a/2" { Answer::Refused } else { Answer::Ok });
    assert!(f.is_drained());
    let ended = [
        ("a/1", Fate::Deleted),
        ("a/2", Fate::Stranded),
        ("a/3", Fate::Released),
        ("b/1", Fate::Released),
    ];
    let mut told = f.ended();
    told.sort_by(|a, b| a.0.cmp(&b.0));
    assert_eq!(told, ended.map(|(name, fate)| (name.to_owned(), fate)));
}

#[test]
fn nothing_starts_behind_what_sqs_refuses_to_give_back_in_a_drain() {
    let mut f = Fixture::new(fifo());
    f.receive(&["a/1"]);
    f.pass(20 * SECOND);
    // SQS extends the lease no further: the lane goes back in time.
    f.answer_each(|_| Answer::Refused);
    f.receive(&[]);
    f.pass(9 * SECOND);
    assert!(matches!(f.call(), Some(Call::Return(_))));
    f.started();
    f.drain();
    // It had gone back, and comes again with one that is here on its last receive.
    f.receive_each(&[("a/1", 2), ("a/2", 3)]);
    f.answer(Answer::Ok);
    assert!(matches!(f.call(), Some(Call::Return(_))), "with the newer handle");
    f.answer(Answer::Refused);
    assert_eq!(f.started(), Vec::<String>::new(), "a/1 is leased and has not had its effect");
    f.answer_all(Answer::Ok);
    assert!(f.is_drained());
    let ended = [("a/1", Fate::Stranded), ("a/2", Fate::Released)];
    assert_eq!(f.ended(), ended.map(|(name, fate)| (name.to_owned(), fate)));
}

fn fifo_with(concurrency: usize) -> Config {
    Config { concurrency, ..fifo() }
}

fn sixty_rejected() -> Fixture {
    rejected(Config { fifo: false, group_concurrency: 64, ..fifo_with(64) })
}

/// Sixty messages whose handlers have said that they can never succeed.
fn rejected(config: Config) -> Fixture {
    let mut f = Fixture::new(config);
    let names: Vec<String> = (0..60).map(|number| format!("{number}/1")).collect();
    for names in names.chunks(10) {
        f.receive(&names.iter().map(String::as_str).collect::<Vec<_>>());
    }
    assert_eq!(f.started(), names);
    for name in &names {
        f.finish(name, Ended::DeadLetter);
    }
    f
}
