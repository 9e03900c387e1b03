//! Messages that arrive while a consumer works.

use std::time::Duration;

use tokio::{
    task::JoinHandle,
    time::{Instant, interval},
};

use crate::{
    role::fraction,
    stage::{Groups, Stage},
};

/// A sender beside the consumer, until it is dropped.
pub(crate) struct Load(JoinHandle<anyhow::Result<()>>);

impl Load {
    /// So many messages a second, one by one, with exponential times between them. What has become due
    /// since the last millisecond goes in one call: it is the arrivals that matter, not their senders.
    pub(crate) async fn arrivals(
        stage: &mut Stage,
        groups: Groups,
        per_second: f64,
    ) -> anyhow::Result<Self> {
        let mut sender = stage.sender(groups).await?;
        Ok(Self(tokio::spawn(async move {
            let started = Instant::now();
            let mut tick = interval(Duration::from_millis(1));
            let (mut number, mut due) = (0, 0.0);
            loop {
                tick.tick().await;
                let now = started.elapsed().as_secs_f64();
                while due <= now {
                    let mut numbers = Vec::with_capacity(10);
                    while due <= now && numbers.len() < 10 {
                        numbers.push(number);
                        number += 1;
                        due -= (1.0 - fraction(number, 4)).ln() / per_second;
                    }
                    sender.send(&numbers).await?;
                }
            }
        })))
    }

    /// As many as are consumed: the queue keeps its length.
    pub(crate) async fn replacements(
        stage: &mut Stage,
        groups: Groups,
        length: usize,
    ) -> anyhow::Result<Self> {
        let mut sender = stage.sender(groups).await?;
        Ok(Self(tokio::spawn(async move {
            let mut tick = interval(Duration::from_millis(5));
            let mut number = 0;
            loop {
                tick.tick().await;
                let missing = length.saturating_sub(sender.length().await?);
                for _ in 0..missing / 10 {
                    let numbers: Vec<u64> = (number..number + 10).collect();
                    number += 10;
                    sender.send(&numbers).await?;
                }
            }
        })))
    }

    /// Ends it, and says what went wrong, if anything.
    pub(crate) async fn end(self) -> anyhow::Result<()> {
        if self.0.is_finished() {
            return self.0.await?;
        }
        self.0.abort();
        Ok(())
    }
}
