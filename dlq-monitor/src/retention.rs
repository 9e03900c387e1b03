//! Forgetting dead letters that are over, in small steps.

use std::time::Duration;

use jiff::Timestamp;
use order_store::Store;
use tokio::time::sleep;
use tracing::{info, warn};

use crate::keeper::before;

/// From the end of a round to the next.
const EVERY: Duration = Duration::from_mins(10);
/// Letters in a step, and the time between steps for what else is written.
const STEP: u32 = 200;
const PAUSE: Duration = Duration::from_millis(100);

/// Forgets what was redriven or gone longer ago than `keep`, for as long as it is polled. Several
/// monitors may do that at once.
pub(crate) async fn forget_what_is_over(store: Store, keep: Duration) {
    loop {
        let mut forgotten = 0;
        loop {
            let before = before(Timestamp::now(), keep);
            match store.forget_dead_letters_before(before, STEP).await {
                Ok(letters) => {
                    forgotten += letters;
                    if letters < u64::from(STEP) {
                        break;
                    }
                }
                Err(error) => {
                    warn!(%error, "old dead letters are not forgotten this time");
                    break;
                }
            }
            sleep(PAUSE).await;
        }
        if forgotten > 0 {
            info!(forgotten, "dead letters that are over are forgotten");
        }
        sleep(EVERY).await;
    }
}
