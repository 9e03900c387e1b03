//! How many messages can share a call, by how many come a second and by how long one waits for others.

use std::time::Duration;

use sqs_consumer::{MAX_BATCH, Settings, scheduler::Timing};

/// About how many calls per message the consumer's lingers make of so many messages a second, in words.
pub(super) fn calls(
    per_second: f64,
    fifo: bool,
    handler: Duration,
    round_trip: Duration,
) -> String {
    let receives = 1.0 / received_with(per_second, handler, round_trip);
    let deletes = 1.0 / deleted_with(per_second, delete_linger(fifo, handler));
    format!("{:.2}: {receives:.2} + {deletes:.2}", receives + deletes)
}

/// What makes the calls, and what fewer would cost.
pub(super) fn explanation() -> String {
    let Timing { acknowledge_linger, idle_linger, receive_linger, longest_linger, .. } = timing();
    format!(
        "What limits it is how many messages come in the time for which one may wait. By the lingers: receives and \
         deletes for a message at the arrivals of the row, by arithmetic. A receive is put off by at most \
         {receive_linger:?} after one that was not full, and not at all when fewer than two would come meanwhile; it \
         brings what has come by then and in the round trip, or waits for one message. Free handlers bound it too, but not \
         here: what can start within a second is received ahead. A finished message waits at most {acknowledge_linger:?} \
         for nine others to share its delete: at r a second it shares it with r times that. The last message that is \
         held of a FIFO group, while handlers are idle, waits only {idle_linger:?}, since its group may have more that are \
         given out only when it is deleted; with arrivals of {groups} groups nearly each message is that. Where a \
         quarter of the handler's time is longer, each of these is as long as that, up to {longest_linger:?}. So what \
         few calls cost is time: at worst a message is received later by the first of these, and the next of its FIFO \
         group by the last one; and what has ended in the second one comes again if the process is killed. A full \
         receive while more than a quarter of the handlers are idle is followed by the next at once, so a burst is \
         not put off; with fewer handlers than forty, or less load, calls have fewer messages.",
        groups = super::GROUPS,
    )
}

fn timing() -> Timing {
    Settings::default().timing
}

/// How long a finished message waits for others while handlers are idle, as they mostly are at load.
fn delete_linger(fifo: bool, handler: Duration) -> Duration {
    let timing = timing();
    timing.linger(if fifo { timing.idle_linger } else { timing.acknowledge_linger }, handler)
}

/// The first, and those that end while it waits.
fn deleted_with(per_second: f64, linger: Duration) -> f64 {
    (1.0 + per_second * linger.as_secs_f64()).min(MAX_BATCH as f64)
}

/// Those that have come since the last receive was answered; where there are none it waits for one.
fn received_with(per_second: f64, handler: Duration, round_trip: Duration) -> f64 {
    let linger = timing().linger(timing().receive_linger, handler);
    let is_put_off = per_second * linger.as_secs_f64() >= 2.0;
    let time = if is_put_off { linger + round_trip } else { round_trip };
    let come = per_second * time.as_secs_f64();
    (come + (-come).exp()).min(MAX_BATCH as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUICK: Duration = Duration::from_millis(1);

    #[test]
    fn ten_messages_a_call_are_the_fewest_calls() {
        assert_eq!(calls(1e6, true, QUICK, Duration::ZERO), "0.20: 0.10 + 0.10");
    }

    #[test]
    fn a_receive_brings_what_has_come_or_waits_for_one() {
        let round_trip = Duration::from_millis(10);
        assert!((received_with(1e-6, QUICK, round_trip) - 1.0).abs() < 1e-6);
        assert!((received_with(200.0, QUICK, round_trip) - 6.0).abs() < 0.01);
        assert!((received_with(1e4, QUICK, round_trip) - 10.0).abs() < 1e-9);
    }

    #[test]
    fn slow_handlers_leave_more_time_for_others() {
        // A tenth of a second is a quarter of their time: five messages are with the first, and a receive
        // brings as many, by the time of its own round trip.
        let (handler, round_trip) = (Duration::from_millis(400), Duration::from_millis(10));
        assert!((deleted_with(50.0, delete_linger(true, handler)) - 6.0).abs() < 1e-9);
        assert!((received_with(50.0, handler, round_trip) - 5.5).abs() < 0.01);
    }
}
