//! What an empty queue costs, on a clock that is moved by hand.

use std::time::Duration;

use sqs_consumer::{
    Settings, Time,
    scheduler::{Action, Config, PollId, Scheduler},
};

/// Empty receives in the second hour of an idle consumer, as a sentence.
pub(super) fn calls_per_hour() -> String {
    let hour = Duration::from_hours(1);
    let first = receives(hour);
    let both = receives(2 * hour);
    format!(
        "An idle consumer makes {first} receives in its first hour and {} in each later one (its scheduler, on a \
         virtual clock); one every 20 s would be 180.",
        both - first
    )
}

fn receives(time: Duration) -> usize {
    let end = Time::ZERO + time;
    let mut scheduler = Scheduler::new(config(), Time::ZERO);
    let mut polls: Vec<(Time, PollId, Time)> = Vec::new();
    let (mut now, mut receives) = (Time::ZERO, 0);
    while now < end {
        for action in scheduler.advance(now) {
            if let Action::Receive { poll, request } = action {
                receives += 1;
                polls.push((now + request.wait, poll, now));
            }
        }
        polls.sort_unstable();
        let answered = polls.first().map(|&(at, ..)| at);
        let next = answered.into_iter().chain(scheduler.next_wakeup(now)).min();
        now = next.unwrap_or(end).max(now);
        if answered.is_some_and(|at| at <= now) {
            let (_, poll, requested_at) = polls.remove(0);
            scheduler.received(now, poll, requested_at, Vec::new());
        }
    }
    receives
}

/// As the consumer makes it of its default settings and a queue like the fleet's.
fn config() -> Config {
    let settings = Settings::default();
    Config {
        fifo: false,
        visibility: Duration::from_secs(30),
        concurrency: settings.concurrency,
        group_concurrency: settings.concurrency,
        max_attempts: 3,
        max_receive_count: Some(3),
        dead_letter_queue: true,
        wait: settings.wait,
        retry_backoff: settings.retry_backoff,
        retry_backoff_max: settings.retry_backoff_max,
        drain_timeout: settings.drain_timeout,
        seed: 1,
        timing: settings.timing,
    }
}
