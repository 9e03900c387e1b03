//! Waiting for what a fleet does in its own time.

use std::time::Duration;

use anyhow::bail;
use service_kit::Shutdown;
use tokio::time::{Instant, sleep};

/// From one look to the next.
const PAUSE: Duration = Duration::from_millis(250);

/// How long is waited, and who may end it.
#[derive(Clone, Debug)]
pub(crate) struct Patience {
    pub(crate) timeout: Duration,
    pub(crate) shutdown: Shutdown,
}

impl Patience {
    /// Looks until there is what is wanted. The error names it, with why the last look did not find it.
    pub(crate) async fn until<T>(
        &self,
        wanted: &str,
        mut look: impl AsyncFnMut() -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        let end = Instant::now() + self.timeout;
        loop {
            let missing = match look().await {
                Ok(found) => return Ok(found),
                Err(missing) => missing,
            };
            if self.shutdown.is_requested() {
                bail!("stopped while waiting for {wanted}: {missing:#}");
            }
            if Instant::now() >= end {
                let seconds = self.timeout.as_secs();
                bail!("no {wanted} within {seconds} s; at last: {missing:#}");
            }
            sleep(PAUSE).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::{anyhow, ensure};

    #[tokio::test(start_paused = true)]
    async fn what_comes_late_is_waited_for() {
        let (_stop, shutdown) = Shutdown::new();
        let patience = Patience { timeout: Duration::from_mins(1), shutdown };
        let mut looks = 0;
        let found = patience.until("third look", async || {
            looks += 1;
            ensure!(looks == 3, "this is look {looks}");
            Ok(looks)
        });
        assert_eq!(found.await.expect("it comes"), 3);
    }

    #[tokio::test]
    async fn what_does_not_come_is_told_with_the_last_look() {
        let (_stop, shutdown) = Shutdown::new();
        let patience = Patience { timeout: Duration::ZERO, shutdown };
        let error = patience.until("delivery", async || Err::<(), _>(anyhow!("status PENDING")));
        let error = error.await.expect_err("it does not come").to_string();
        assert_eq!(error, "no delivery within 0 s; at last: status PENDING");
    }

    #[tokio::test]
    async fn a_stop_ends_the_waiting() {
        let (stop, shutdown) = Shutdown::new();
        stop.request();
        let patience = Patience { timeout: Duration::from_hours(1), shutdown };
        let error = patience.until("delivery", async || Err::<(), _>(anyhow!("none yet")));
        let error = error.await.expect_err("it was stopped").to_string();
        assert!(error.starts_with("stopped while waiting for delivery"), "{error}");
    }
}
