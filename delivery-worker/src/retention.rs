//! Forgetting old attempts: in small steps, by one worker at a time.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::time::sleep;
use tracing::{info, warn};

use crate::store::{Store, StoreError, Swept, Turn};

/// How the work is cut up.
struct Pace {
    /// From the end of a round to the next.
    every: Duration,
    /// Attempts in a step: some milliseconds of the writer's time, for which records wait.
    step: u32,
    /// From one step to the next, when records are written.
    pause: Duration,
    /// How long the turn stays this worker's after a step: another takes over what it leaves undone.
    turn: Duration,
}

const PACE: Pace = Pace {
    every: Duration::from_mins(1),
    step: 500,
    pause: Duration::from_millis(50),
    turn: Duration::from_mins(3),
};

/// Forgets attempts that ended longer ago than `keep`, for as long as it is polled.
pub(crate) async fn forget_old_attempts(store: Store, worker: String, keep: Duration) {
    loop {
        match round(&store, &worker, keep, Timestamp::now).await {
            Ok(0) => {}
            Ok(attempts) => info!(attempts, "old attempts are forgotten"),
            Err(error) => warn!(%error, "old attempts are not forgotten this time"),
        }
        sleep(PACE.every).await;
    }
}

/// Steps until nothing old is left or another worker has the turn. Returns how many attempts are gone.
async fn round(
    store: &Store,
    worker: &str,
    keep: Duration,
    clock: impl Fn() -> Timestamp,
) -> Result<u64, StoreError> {
    let keep = SignedDuration::try_from(keep).unwrap_or(SignedDuration::MAX);
    let mut gone = 0;
    loop {
        let now = clock();
        let before = now.checked_sub(keep).unwrap_or(Timestamp::MIN);
        let turn = Turn { holder: worker.to_owned(), now, lasts: PACE.turn };
        match store.forget_attempts_before(before, PACE.step, turn).await? {
            Swept::NotOurTurn => return Ok(gone),
            Swept::Deleted(attempts) => {
                gone += attempts;
                if attempts < u64::from(PACE.step) {
                    return Ok(gone);
                }
            }
        }
        sleep(PACE.pause).await;
    }
}

#[cfg(test)]
mod tests {
    use futures_util::future::join_all;
    use order_events::DeliveryStatus;
    use uuid::Uuid;

    use super::*;
    use crate::store::{Attempt, Attempts, DatabaseUrl, DeliveryChange, Outcome, Record};

    const DAY: Duration = Duration::from_hours(24);

    fn at(days: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + days * 86_400).expect("a time")
    }

    fn attempt(order_id: Uuid, at: Timestamp) -> Record {
        let attempt = Attempt {
            message_id: "message-1".to_owned(),
            order_id: Some(order_id),
            queue: "orders".to_owned(),
            group: None,
            number: 1,
            outcome: Outcome::Delivered,
            reason: None,
            error: None,
            worker: "worker-1".to_owned(),
            started_at: at,
            finished_at: at,
        };
        let (customer_id, status) = ("customer-001".to_owned(), DeliveryStatus::Delivered);
        Record { attempt, delivery: Some(DeliveryChange { order_id, customer_id, status }) }
    }

    #[tokio::test]
    async fn attempts_are_kept_for_their_time_and_deliveries_for_ever() {
        let directory = tempfile::tempdir().expect("a directory");
        let url = DatabaseUrl::Sqlite(directory.path().join("deliveries.db"));
        let store = Store::open(&url).await.expect("it opens");
        // More old ones than go in one step.
        let (old, many) = (Uuid::from_u128(1), u64::from(2 * PACE.step + 1));
        join_all((0..many).map(|_| store.write(attempt(old, at(0))))).await;
        let young = Uuid::from_u128(2);
        store.write(attempt(young, at(1))).await.expect("it is written");
        assert_eq!(round(&store, "w-1", 30 * DAY, || at(30)).await, Ok(0), "not older than that");
        let just_after = at(30).checked_add(SignedDuration::from_millis(1)).expect("a time");
        assert_eq!(round(&store, "w-2", 30 * DAY, || just_after).await, Ok(0), "another's turn");
        assert_eq!(round(&store, "w-1", 30 * DAY, || just_after).await, Ok(many));
        assert_eq!(store.attempts(old, 10).await, Ok(Attempts::default()));
        assert_eq!(store.attempts(young, 10).await.map(|attempts| attempts.total), Ok(1));
        assert_eq!(store.status(old).await, Ok(Some(DeliveryStatus::Delivered)));
    }
}
