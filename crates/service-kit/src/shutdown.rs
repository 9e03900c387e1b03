//! A soft stop, as a value that is handed in.

use tokio::sync::watch;

/// Tells whoever holds a clone that it is time to finish. It never cancels anything by itself.
#[derive(Clone, Debug)]
pub struct Shutdown(watch::Receiver<bool>);

/// Requests the [`Shutdown`] that was made with it. Dropping it requests the shutdown as well: a
/// service whose owner is gone could never be told to stop.
#[derive(Debug)]
pub struct ShutdownTrigger(watch::Sender<bool>);

impl Shutdown {
    /// A shutdown that is not requested yet, and its trigger.
    pub fn new() -> (ShutdownTrigger, Shutdown) {
        let (sender, receiver) = watch::channel(false);
        (ShutdownTrigger(sender), Shutdown(receiver))
    }

    /// Waits until the shutdown is requested; at once when it has been. Safe to drop and call again.
    pub async fn requested(&self) {
        // The only error is that the trigger is gone, which counts as a request.
        let _ = self.0.clone().wait_for(|requested| *requested).await;
    }

    /// Whether the shutdown has been requested.
    pub fn is_requested(&self) -> bool {
        *self.0.borrow() || self.0.has_changed().is_err()
    }
}

impl ShutdownTrigger {
    /// Requests the shutdown. Further calls change nothing.
    pub fn request(&self) {
        self.0.send_replace(true);
    }
}
