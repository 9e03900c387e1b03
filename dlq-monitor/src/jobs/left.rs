//! What is left of a job: counted in the store, and in the queue where the store has not met everything.

use order_store::{DeadLetterFilter, JobState, Left, StoreError};
use tracing::warn;

use super::{
    known::{self, moved_of},
    plan,
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
    pub(super) async fn count(&self) -> Result<plan::Left, String> {
        let text = |error: StoreError| error.to_string();
        let name = self.queue.name();
        let left = self.store().count_left(name, &self.filter, &self.part()).await;
        let mut unhandled = left.map_err(text)?;
        let undeleted = self.store().count_undeleted(self.job.id).await.map_err(text)?;
        if moved_of(&self.job).is_some() {
            let others = self.staying.len() as u64 + undeleted;
            let in_queue = self.count_queue().await?.saturating_sub(others);
            unhandled = known::left_after_move(&self.job, unhandled, in_queue);
        } else if self.goes_behind {
            // Behind the first ones of a FIFO group SQS shows the others as these are deleted.
            unhandled +=
                self.count_queue().await?.saturating_sub(self.count_met().await.map_err(text)?);
        }
        Ok(plan::Left { unhandled, undeleted })
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
        let undeleted = match self.store().count_undeleted(self.job.id).await {
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
