//! What is left of a job: counted in the store, and in the queue where the store has not met everything.

use order_store::{DeadLetterFilter, JobState, Left, StoreError};
use tracing::warn;

use super::{
    known::{self, moved_of},
    plan::{self, NotCounted},
    shell::Shell,
};
use crate::{metrics::Counts, observe};

impl Shell<'_> {
    /// Which letters are part of the job, as far as its filter means them.
    pub(super) fn part(&self) -> Left {
        let Self { job, goes_behind, .. } = self;
        let sent_by = goes_behind.then_some(job.created_at);
        Left { through: job.through, sent_by, job: job.id }
    }

    /// What is part of the job and not dealt with, and what is not known to be deleted.
    pub(super) async fn count(&self) -> Result<plan::Left, NotCounted> {
        let name = self.queue.name();
        let letters = self.store().count_left(name, &self.filter, &self.part()).await?;
        let undeleted = self.store().count_undeleted(self.job.id).await?;
        let moved = moved_of(&self.job).is_some();
        let left = plan::Left { unhandled: letters, undeleted };
        if !moved && !self.goes_behind && undeleted == 0 {
            return Ok(left);
        }
        let in_queue = match self.count_queue().await {
            Ok(in_queue) => in_queue,
            Err(why) if moved || self.goes_behind => return Err(NotCounted::Queue(why)),
            Err(_) => return Ok(left),
        };
        // Who had the job before may have been killed when SQS had deleted them, and before that was written.
        // That is written by two complete scans: SQS's count lags behind at times, and what is taken for
        // deleted SQS may be asked to move.
        let undeleted = undeleted.min(in_queue);
        let unhandled = if moved {
            let others = self.staying.len() as u64 + undeleted;
            known::left_after_move(&self.job, letters, in_queue.saturating_sub(others))
        } else if self.goes_behind {
            // Behind the first ones of a FIFO group SQS shows the others as these are deleted.
            letters + in_queue.saturating_sub(self.count_met().await?)
        } else {
            letters
        };
        Ok(plan::Left { unhandled, undeleted })
    }

    /// What is not known to be deleted when the job ends: no more than there is in the queue, when SQS tells
    /// that. It may have deleted some for a process that was killed before it wrote that down.
    pub(super) async fn count_undeleted(&self) -> Result<u64, StoreError> {
        let undeleted = self.store().count_undeleted(self.job.id).await?;
        if undeleted == 0 {
            return Ok(0);
        }
        let in_queue = self.count_queue().await.unwrap_or_else(|error| {
            warn!(job = %self.job.id, error, "the job ends without SQS's count");
            undeleted
        });
        Ok(undeleted.min(in_queue))
    }

    /// How many messages the dead-letter queue has, visible or not, about.
    pub(super) async fn count_queue(&self) -> Result<u64, String> {
        let counts = observe::counts_of(self.connection, self.queue.queue.url()).await;
        counts.map(Counts::total).map_err(|error| error.to_string())
    }

    /// How many of these the monitor has met.
    async fn count_met(&self) -> Result<u64, StoreError> {
        let name = self.queue.name();
        let dead = self.store().count_dead_letters(name, &DeadLetterFilter::default()).await?;
        Ok(dead.letters + self.store().undeleted(name).await?.total())
    }

    /// Ends the job, which cannot be done.
    pub(super) async fn give_up(&mut self, why: String) {
        warn!(job = %self.job.id, why, "the job fails");
        let undeleted = match self.count_undeleted().await {
            Ok(undeleted) => undeleted,
            Err(error) => return warn!(job = %self.job.id, %error, "it is tried again"),
        };
        let mut checkpoint = self.checkpoint(JobState::Failed, false);
        checkpoint.progress.undeleted = undeleted;
        let progress = checkpoint.progress;
        checkpoint.note =
            known::note(&self.job, progress, JobState::Failed, self.goes_behind, Some(why));
        if let Err(error) = self.save(checkpoint).await {
            warn!(job = %self.job.id, error, "the job's end is not written; it is tried again");
        }
    }
}
