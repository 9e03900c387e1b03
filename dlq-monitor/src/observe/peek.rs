//! A look at the messages of one dead-letter queue, and what it says of those that were met before.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use order_store::StoreError;
use service_kit::Shutdown;
use tokio::time::Instant;
use tracing::{debug, warn};

use super::{Attributes, Coverage, Watched};
use crate::{
    keeper::{Keeper, NOTED_EVERY, before},
    queues::DeadLetterQueue,
    scan::{ScanError, Scanned, scan},
};

/// Scans take at most this share of the time: after one the next is put off for as many times its
/// duration, once everything was seen.
const SCANS: u32 = 4;
/// As long as not everything is seen.
const FIRST_SCANS: u32 = 1;

/// What a look begins with: a copy, so that the queue can be read meanwhile.
pub(super) struct Peek {
    /// The dead-letter queue, by its place in the list of those.
    dead_letters: Option<(Arc<[DeadLetterQueue]>, usize)>,
    name: String,
    attributes: Attributes,
    /// When the last scan began, if it was complete.
    complete_since: Option<Timestamp>,
}

/// What came of it.
pub(super) struct Peeked {
    pub(super) coverage: Coverage,
    /// When it began, if it was complete.
    pub(super) complete_since: Option<Timestamp>,
    /// When the queue is next scanned.
    pub(super) next_scan: Instant,
}

impl Peek {
    pub(super) fn at(watched: &Watched) -> Self {
        Self {
            dead_letters: watched.dead_letters.clone(),
            name: watched.look.queue.clone(),
            attributes: watched.attributes,
            complete_since: watched.complete_since,
        }
    }

    /// Scans the queue. None while SQS moves its messages, be it for a job that nobody has in hand, and
    /// while another process does a job of it, which looks at it meanwhile: what was seen before still
    /// stands.
    pub(super) async fn look(
        &self,
        keeper: &Keeper,
        shutdown: &Shutdown,
    ) -> Result<Option<Peeked>, ScanError> {
        let began = Instant::now();
        let Some((coverage, complete_since)) = self.try_look(keeper, shutdown).await? else {
            return Ok(None);
        };
        let times = if coverage.complete { SCANS } else { FIRST_SCANS };
        // What is done within a moment may be done again at once.
        let took = began.elapsed().saturating_sub(Duration::from_secs(5));
        keeper.metrics.scanned(&self.name, coverage.complete);
        Ok(Some(Peeked { coverage, complete_since, next_scan: Instant::now() + took * times }))
    }

    async fn try_look(
        &self,
        keeper: &Keeper,
        shutdown: &Shutdown,
    ) -> Result<Option<(Coverage, Option<Timestamp>)>, ScanError> {
        let nothing = Coverage { complete: false, seen: 0, oldest_ms: None, at: Timestamp::now() };
        let nothing = (nothing, self.complete_since);
        let Some((queues, place)) = &self.dead_letters else { return Ok(Some(nothing)) };
        let (queue, counted) = (&queues[*place], self.attributes.counts.total());
        let name = queue.name();
        if self.attributes.has_redrive_policy {
            // Receives count: peeking would move the messages on.
            warn!(
                queue = name,
                "a dead-letter queue has a redrive policy of its own and is not peeked at"
            );
            return Ok(Some(nothing));
        }
        tokio::select! {
            // A job that is open is taken in hand first.
            () = queue.jobs_were_looked_for() => {}
            () = shutdown.requested() => return Ok(None),
        }
        if keeper.is_to_be_left_alone(name).await? {
            return Ok(None);
        }
        let Some(turn) = queue.turn_to_look().await else { return Ok(None) };
        let began = Timestamp::now();
        let scanned = scan(queue, keeper, counted, shutdown).await;
        drop(turn);
        let scanned = scanned?;
        keeper.metrics.not_released(name, scanned.not_released);
        let complete = scanned.exhausted && scanned.shown >= counted;
        let now = Timestamp::now();
        let settled = self.settle(keeper, &scanned, complete, now).await?;
        let oldest_ms = self.oldest_ms(keeper, &scanned, complete, now).await;
        keeper.metrics.oldest(name, oldest_ms, self.attributes.retention_seconds);
        let Scanned { shown, exhausted, .. } = scanned;
        debug!(queue = name, shown, counted, exhausted, complete, settled, "scanned");
        let coverage = Coverage { complete, seen: shown, oldest_ms, at: now };
        Ok(Some((coverage, complete.then_some(began))))
    }

    /// Settles what is not in the queue any more: what two complete scans in a row have not shown (SQS's
    /// counts, by which a scan is called complete, lag behind at times), and, whatever was shown, what was
    /// only to be deleted and has expired. Gives how many.
    async fn settle(
        &self,
        keeper: &Keeper,
        scanned: &Scanned,
        complete: bool,
        now: Timestamp,
    ) -> Result<u64, StoreError> {
        let (store, mut settled) = (&keeper.store, 0);
        if let Some(since) = self.complete_since.filter(|_| complete) {
            let unseen_since = before(since, NOTED_EVERY);
            settled += store.settle_unseen_dead_letters(&self.name, unseen_since, now).await?;
        }
        if let Some(expired) = self.expired(now).filter(|_| scanned.had_undeleted) {
            settled += store.settle_expired_dead_letters(&self.name, expired, now).await?;
        }
        Ok(settled)
    }

    /// When the oldest message was sent that was seen, or was not and may still be there: until it expires
    /// or a job has dealt with it. Where the store does not tell, of those that were seen.
    async fn oldest_ms(
        &self,
        keeper: &Keeper,
        scanned: &Scanned,
        complete: bool,
        now: Timestamp,
    ) -> Option<u64> {
        let known = match self.expired(now).filter(|_| !complete) {
            Some(expired) => keeper.store.oldest_dead_letter(&self.name, expired).await,
            None => Ok(None),
        };
        let known = known.unwrap_or_else(|error| {
            warn!(queue = self.name, %error, "the oldest dead letter is that of those seen now");
            None
        });
        let known = known.map(|sent_at| sent_at.as_millisecond().cast_unsigned());
        scanned.oldest_ms.into_iter().chain(known).min()
    }

    /// What SQS took before is not kept any more; none: for how long the queue keeps it is not known.
    fn expired(&self, now: Timestamp) -> Option<Timestamp> {
        let kept = self.attributes.retention_seconds.map(Duration::from_secs);
        kept.map(|kept| before(now, kept))
    }
}

#[cfg(test)]
mod tests {
    use order_store::{NewDeadLetter, Store};
    use prometheus::Registry;

    use super::*;
    use crate::metrics::Metrics;

    fn dead(sent_at: Timestamp) -> NewDeadLetter {
        NewDeadLetter {
            queue: "dlq".to_owned(),
            message_id: "a".to_owned(),
            group: None,
            identity: "a".to_owned(),
            order_id: None,
            customer_id: None,
            reason: None,
            detail: None,
            attempts: None,
            body: String::new(),
            attributes: String::new(),
            sent_at: Some(sent_at),
            seen_at: sent_at,
        }
    }

    #[tokio::test]
    async fn where_the_store_does_not_tell_the_oldest_message_is_that_of_those_that_were_seen() {
        let directory = tempfile::tempdir().expect("a directory");
        let url = format!("sqlite://{}", directory.path().join("d.db").display());
        let store = Store::open(&url.parse().expect("a URL")).await.expect("it opens");
        let metrics = Metrics::register(&Registry::new());
        let keeper = Keeper { store: store.clone(), metrics, holder: "me".into() };
        let (now, known) = (Timestamp::now(), before(Timestamp::now(), Duration::from_hours(2)));
        store.keep_dead_letters(&[dead(known)]).await.expect("it is kept");
        let attributes = Attributes { retention_seconds: Some(86_400), ..Attributes::default() };
        let name = "dlq".to_owned();
        let peek = Peek { dead_letters: None, name, attributes, complete_since: None };
        let ms = |at: Timestamp| at.as_millisecond().cast_unsigned();
        let scanned = Scanned { oldest_ms: Some(ms(now)), ..Scanned::default() };
        for (complete, oldest) in [(false, known), (true, now)] {
            let found = peek.oldest_ms(&keeper, &scanned, complete, now).await;
            assert_eq!(found, Some(ms(oldest)), "complete {complete}");
        }
        store.close().await;
        let found = peek.oldest_ms(&keeper, &scanned, false, now).await;
        assert_eq!(found, Some(ms(now)));
    }
}
