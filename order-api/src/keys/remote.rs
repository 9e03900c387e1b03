//! The keys that outlive this process, in the store.

use jiff::{SignedDuration, Timestamp};
use order_store::{DatabaseUrl, KeyedRequest, Remembered, Store, StoreError, traced};
use service_kit::Shutdown;
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::watch,
    time::{sleep, timeout},
};

/// Times and sizes.
struct Timing {
    /// For the store to answer; then the client is told to come back.
    answer: Duration,
    /// Between two tries to open the store.
    reopen: Duration,
    /// Between two looks for keys that are too old.
    sweep: Duration,
    /// Keys that are deleted in one step, so that what is written does not wait long.
    at_once: u32,
}

const TIMING: Timing = Timing {
    answer: Duration::from_secs(2),
    reopen: Duration::from_secs(2),
    sweep: Duration::from_mins(1),
    at_once: 500,
};

/// The store, as soon as it is open. Clones share it.
#[derive(Clone)]
pub(super) struct Remote {
    url: DatabaseUrl,
    retention: Duration,
    store: Arc<watch::Sender<Option<Store>>>,
}

impl std::fmt::Debug for Remote {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Remote").field("url", &self.url).finish_non_exhaustive()
    }
}

impl Remote {
    pub(super) fn new(url: DatabaseUrl, retention: Duration) -> Self {
        Self { url, retention, store: Arc::new(watch::Sender::new(None)) }
    }

    /// Whether the request is the first with its key. Waits for the store, but not for long. The
    /// store has the request, and with it `held`, for longer where it is slow.
    pub(super) async fn remember(
        &self,
        request: KeyedRequest,
        held: impl Send + 'static,
    ) -> Result<Remembered, StoreError> {
        let mut opened = self.store.subscribe();
        let asked = async {
            let gone = || StoreError::Unavailable("it is closed".to_owned());
            let store = opened.wait_for(Option::is_some).await.map_err(|_| gone())?.clone();
            store.ok_or_else(gone)?.remember_request_holding(request, held).await
        };
        let in_time = async {
            timeout(TIMING.answer, asked).await.unwrap_or_else(|_| {
                Err(StoreError::Unavailable(format!("no answer within {:?}", TIMING.answer)))
            })
        };
        traced(self.url.system(), "write", "keyed_requests", in_time).await
    }

    /// From before this time the store may forget what it keeps.
    pub(super) fn keeps_from(&self, now: Timestamp) -> Option<Timestamp> {
        let retention = SignedDuration::try_from(self.retention).unwrap_or(SignedDuration::MAX);
        now.checked_sub(retention).ok()
    }

    /// Opens the store, however long it takes, then deletes what is too old, until the shutdown.
    pub(super) async fn run(self, shutdown: Shutdown) {
        tokio::select! {
            () = shutdown.requested() => {}
            () = self.open_and_sweep() => {}
        }
    }

    /// Closes the store, if it is open: to be called when nobody asks any more.
    pub(super) async fn close(&self) {
        let store = self.store.borrow().clone();
        if let Some(store) = store {
            store.close().await;
        }
    }

    async fn open_and_sweep(&self) {
        let mut told = false;
        let store = loop {
            match Store::open(&self.url).await {
                Ok(store) => break store,
                Err(error) => {
                    if !told {
                        tracing::error!(%error, "the store of idempotency keys cannot be opened; orders with a key are refused until it can");
                    }
                    told = true;
                    sleep(TIMING.reopen).await;
                }
            }
        };
        tracing::info!(database = ?self.url, "idempotency keys are kept in the store");
        self.store.send_replace(Some(store.clone()));
        loop {
            let deleted = self.sweep(&store, Timestamp::now()).await;
            if deleted < u64::from(TIMING.at_once) {
                sleep(TIMING.sweep).await;
            }
        }
    }

    /// Deletes some of the keys that are too old. Returns how many.
    async fn sweep(&self, store: &Store, now: Timestamp) -> u64 {
        let Some(before) = self.keeps_from(now) else { return 0 };
        match store.forget_requests_before(before, TIMING.at_once).await {
            Ok(deleted) => deleted,
            Err(error) => {
                tracing::debug!(%error, "old idempotency keys were not deleted");
                0
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_key_is_kept_for_its_time_and_then_free_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let url = DatabaseUrl::Sqlite(folder.path().join("keys.db"));
        let store = Store::open(&url).await.expect("it opens");
        let day = SignedDuration::from_hours(24);
        let remote = Remote::new(url, Duration::from_hours(24));
        let at = Timestamp::from_second(1_700_000_000).expect("a time");
        let request = KeyedRequest {
            customer_id: "customer-001".to_owned(),
            key: "key".to_owned(),
            fingerprint: [1; 32],
            answer: "{}".to_owned(),
            at,
        };
        let remember = async |request: &KeyedRequest| store.remember_request(request.clone()).await;
        assert_eq!(remember(&request).await, Ok(Remembered::First));
        let expiry = at.checked_add(day).expect("a time");
        assert_eq!(remote.sweep(&store, expiry).await, 0, "not older than that");
        let other = KeyedRequest { fingerprint: [2; 32], ..request };
        assert_eq!(remember(&other).await, Ok(Remembered::Other));
        let later = expiry.checked_add(SignedDuration::from_millis(1)).expect("a time");
        assert_eq!(remote.sweep(&store, later).await, 1);
        assert_eq!(remember(&other).await, Ok(Remembered::First));
    }
}
