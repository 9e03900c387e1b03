//! The shell around the scheduler: one task that turns answers into facts and actions into calls.

mod calls;
mod failing_copies;
mod pulse;
mod running;
mod settings;
mod slots;
mod start;

use std::{pin::pin, sync::Arc, time::Duration};

use tokio::{sync::watch, time::sleep};
use tracing::{error, warn};

use self::running::Running;
pub use self::{
    settings::{Activity, Settings},
    start::SettingsError,
};
use crate::{
    handler::Handler,
    metrics::Metrics,
    queue::{Queue, QueueAttributes},
};

/// Whether a consumer gets messages from its queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// Nothing is known of the queue yet.
    Starting,
    /// The queue answers.
    Receiving,
    /// The queue cannot be read, or something that every message needs is down.
    Failing(String),
}

/// What a shutdown left behind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Drained {
    /// Messages given back unfinished; others get them at once.
    pub released: u64,
    /// Messages that are still leased: nobody gets them before the visibility timeout.
    pub stranded: u64,
}

/// Consumes one queue with one handler. See the crate's documentation.
pub struct Consumer<Q, H> {
    queue: Arc<Q>,
    handler: Arc<H>,
    settings: Settings,
    metrics: Metrics,
    health: watch::Sender<Health>,
}

impl<Q: Queue, H: Handler> Consumer<Q, H> {
    /// A consumer that does nothing before [`Consumer::run`].
    ///
    /// Fails on settings that cannot be kept.
    pub fn new(
        queue: Q,
        handler: H,
        settings: Settings,
        metrics: Metrics,
    ) -> Result<Self, SettingsError> {
        settings.check()?;
        Ok(Self {
            queue: Arc::new(queue),
            handler: Arc::new(handler),
            settings,
            metrics,
            health: watch::Sender::new(Health::Starting),
        })
    }

    /// Follows the consumer's health.
    pub fn health(&self) -> watch::Receiver<Health> {
        self.health.subscribe()
    }

    /// Consumes until `shutdown` is ready, then drains: receives end, running handlers finish,
    /// everything else goes back to the queue.
    ///
    /// Waits for the queue if it cannot be read at the start, or is not what the settings expect.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> Drained {
        let mut shutdown = pin!(shutdown);
        let attributes = tokio::select! {
            biased;
            () = &mut shutdown => return Drained::default(),
            attributes = self.wait_for_queue() => attributes,
        };
        self.health.send_replace(Health::Receiving);
        Running::new(self, &attributes).until_drained(shutdown).await
    }

    /// Reads the queue's attributes, however long it takes for the queue to be there and to be one
    /// that can be consumed without losing anything.
    async fn wait_for_queue(&self) -> QueueAttributes {
        const BACKOFF: Duration = Duration::from_secs(1);
        const BACKOFF_MAX: Duration = Duration::from_secs(15);
        let mut backoff = BACKOFF;
        loop {
            let queue = self.queue.name();
            let pause = backoff.mul_f64(rand::random_range(0.5..=1.0));
            let problem = match self.queue.attributes().await {
                Ok(attributes) => {
                    let can_bury = self.queue.has_dead_letter_queue();
                    let Some(refusal) = self.settings.refusal(&attributes, can_bury) else {
                        return attributes;
                    };
                    error!(queue, retry_in = ?pause, "the queue is not consumed: {refusal}");
                    refusal
                }
                Err(error) => {
                    warn!(queue, %error, retry_in = ?pause, "the queue cannot be read");
                    error.to_string()
                }
            };
            self.health.send_replace(Health::Failing(problem));
            sleep(pause).await;
            backoff = (backoff * 2).min(BACKOFF_MAX);
        }
    }
}
