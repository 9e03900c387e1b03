//! The group commit: one task, one connection, one transaction for all that is waiting.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{mpsc, oneshot, watch},
    time::sleep,
};

use super::{
    Health, LIMITS, Record, StoreError,
    backend::{Backend, Connection},
};

/// While the database fails and nobody writes, how often it is tried.
const PROBE_INTERVAL: Duration = Duration::from_secs(2);

/// What the writer is asked to do.
#[expect(clippy::large_enum_variant, reason = "all jobs but the last are the large one")]
pub(super) enum Job {
    /// Commit the record, then answer.
    Write(Record, Caller),
    /// Take no more jobs, finish those that wait, and end.
    Close,
}

/// Who is told what became of the record.
pub(super) struct Caller {
    pub(super) answer: oneshot::Sender<Result<(), StoreError>>,
    /// Dropped just before the answer is given.
    pub(super) held: Box<dyn Send>,
}

/// Runs until [`Job::Close`] or until every handle is gone. Dropping `health` says that it ended.
pub(super) async fn run(
    backend: Arc<dyn Backend>,
    connection: Box<dyn Connection>,
    mut jobs: mpsc::Receiver<Job>,
    health: watch::Sender<Health>,
) {
    let mut writer = Writer { backend, connection: Some(connection), health };
    let mut batch = Vec::new();
    loop {
        let failing = *writer.health.borrow() != Health::Serving;
        let taken = tokio::select! {
            taken = jobs.recv_many(&mut batch, LIMITS.transaction) => taken,
            // Readiness must come back without traffic too.
            () = sleep(PROBE_INTERVAL), if failing => {
                let _ = writer.commit(&[]).await;
                continue;
            }
        };
        if taken == 0 {
            break;
        }
        let mut records = Vec::with_capacity(taken);
        let mut callers = Vec::with_capacity(taken);
        for job in batch.drain(..) {
            match job {
                Job::Write(record, caller) => {
                    records.push(record);
                    callers.push(caller);
                }
                Job::Close => jobs.close(),
            }
        }
        let fates = writer.write(&records).await;
        for (Caller { answer, held }, fate) in callers.into_iter().zip(fates) {
            drop(held);
            // A caller that has gone away has its record written all the same.
            let _ = answer.send(fate);
        }
    }
    if let Some(connection) = writer.connection.take() {
        connection.close().await;
    }
}

struct Writer {
    backend: Arc<dyn Backend>,
    connection: Option<Box<dyn Connection>>,
    health: watch::Sender<Health>,
}

impl Writer {
    /// Writes the records and gives each its fate.
    async fn write(&mut self, records: &[Record]) -> Vec<Result<(), StoreError>> {
        if records.is_empty() {
            return Vec::new();
        }
        let all: Vec<&Record> = records.iter().collect();
        match self.commit(&all).await {
            Err(StoreError::Refused(_)) if records.len() > 1 => {}
            fate => return vec![fate; records.len()],
        }
        // One of them is at fault: alone, each gets what it deserves.
        let mut fates = Vec::with_capacity(records.len());
        for record in all {
            fates.push(self.commit(&[record]).await);
        }
        fates
    }

    /// One transaction, on a new connection when the last one broke.
    async fn commit(&mut self, records: &[&Record]) -> Result<(), StoreError> {
        let result = self.try_commit(records).await;
        let health = match &result {
            Err(StoreError::Unavailable(reason)) => {
                self.connection = None;
                Health::Failing(reason.clone())
            }
            Ok(()) | Err(StoreError::Refused(_)) => Health::Serving,
        };
        self.health.send_if_modified(|current| {
            let changed = std::mem::discriminant(current) != std::mem::discriminant(&health);
            match &health {
                Health::Failing(reason) if changed => {
                    tracing::error!(%reason, "the deliveries store fails; nothing is acknowledged");
                }
                Health::Serving if changed => tracing::info!("the deliveries store works again"),
                _ => {}
            }
            *current = health;
            changed
        });
        result
    }

    async fn try_commit(&mut self, records: &[&Record]) -> Result<(), StoreError> {
        let connection = match &mut self.connection {
            Some(connection) => connection,
            empty => empty.insert(self.backend.connect().await?),
        };
        connection.commit(records).await
    }
}
