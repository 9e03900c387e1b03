//! How many messages can share a call, by how many come a second and by how long one waits for others.

use std::time::Duration;

use sqs_consumer::{MAX_BATCH, Settings, scheduler::Timing};

/// Calls per message below which none comes that lets a finished message wait no longer for its delete than
/// this one: a receive of ten, and a delete of the first message and those that end while it waits.
pub(super) fn least_calls(per_second: f64) -> f64 {
    1.0 / MAX_BATCH as f64 + 1.0 / deleted_with(per_second, timing().acknowledge_linger)
}

/// About how many calls per message the consumer's lingers make of so many messages a second, in words.
pub(super) fn calls(per_second: f64, fifo: bool, round_trip: Duration) -> String {
    let receives = 1.0 / received_with(per_second, round_trip);
    let deletes = 1.0 / deleted_with(per_second, delete_linger(fifo));
    format!("{:.2}: {receives:.2} + {deletes:.2}", receives + deletes)
}

/// Why there are rows that miss the bound, and some that are not held to it.
pub(super) fn explanation(bound: f64) -> String {
    let Timing { acknowledge_linger, idle_linger, receive_linger, .. } = timing();
    format!(
        "What limits it is how many messages come in the time for which one may wait. By the lingers: receives and \
         deletes for a message at the arrivals of the row, by arithmetic. A receive is put off by at most \
         {receive_linger:?} after one that was not full, and not at all when fewer than two would come meanwhile; it \
         brings what has come by then and in the round trip, or waits for one message. Free handlers bound it too, but not \
         here: what can start within a second is received ahead. A finished message waits at most {acknowledge_linger:?} \
         for nine others to share its delete: at r a second it shares it with r times that. The last message that is \
         held of a FIFO group, while handlers are idle, waits only {idle_linger:?}, since its group may have more that are \
         given out only when it is deleted; with arrivals of {bound_groups} groups nearly each message is that. Longer \
         lingers would make fewer calls, and later messages.\n\n\
         Not held to the bound are rows that cannot keep it by arithmetic: a receive of ten messages makes 0.1, and \
         one delete for each message and those that end within {acknowledge_linger:?} after it makes more than the \
         {left:.2} that are left.",
        bound_groups = super::GROUPS,
        left = bound - 1.0 / MAX_BATCH as f64,
    )
}

fn timing() -> Timing {
    Settings::default().timing
}

/// How long a finished message waits for others while handlers are idle, as they mostly are at load.
fn delete_linger(fifo: bool) -> Duration {
    if fifo { timing().idle_linger } else { timing().acknowledge_linger }
}

/// The first, and those that end while it waits.
fn deleted_with(per_second: f64, linger: Duration) -> f64 {
    (1.0 + per_second * linger.as_secs_f64()).min(MAX_BATCH as f64)
}

/// Those that have come since the last receive was answered; where there are none it waits for one.
fn received_with(per_second: f64, round_trip: Duration) -> f64 {
    let linger = timing().receive_linger;
    let is_put_off = per_second * linger.as_secs_f64() >= 2.0;
    let time = if is_put_off { linger + round_trip } else { round_trip };
    let come = per_second * time.as_secs_f64();
    (come + (-come).exp()).min(MAX_BATCH as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::w4::{CALLS, cells};

    #[test]
    fn only_what_cannot_reach_the_bound_is_not_held_to_it() {
        let beyond = cells().into_iter().filter(|cell| cell.is_beyond_reach());
        let beyond: Vec<f64> = beyond.map(|cell| cell.handler_ms).collect();
        assert_eq!(beyond, [2_000.0, 2_000.0]);
    }

    #[test]
    fn ten_messages_a_call_are_the_fewest_calls() {
        assert!((least_calls(1e6) - 0.2).abs() < 1e-9);
        // A hundred ms of thirty a second are three, and with the first four.
        assert!((least_calls(30.0) - 0.35).abs() < 1e-9 && least_calls(30.0) > CALLS);
    }

    #[test]
    fn a_receive_brings_what_has_come_or_waits_for_one() {
        let round_trip = Duration::from_millis(10);
        assert!((received_with(1e-6, round_trip) - 1.0).abs() < 1e-6);
        assert!((received_with(200.0, round_trip) - 6.0).abs() < 0.01);
        assert!((received_with(1e4, round_trip) - 10.0).abs() < 1e-9);
    }
}
