//! The connections that read.
//!
//! A connection keeps its place in the pool until it is back there, and the pool first asks it whether it
//! still works. A server whose host vanished without a word does not answer that for many minutes, until
//! TCP gives up; a few reads that were given up would then have taken all places. So a connection goes
//! back within a time limit or is closed. A server that is well would not notice that before it has
//! done what it was asked, so it has a limit of its own for that.

use futures_util::FutureExt;
use sqlx::{
    AssertSqlSafe, PgPool,
    pool::PoolConnection,
    postgres::{PgConnectOptions, PgPoolOptions, PgRow},
};
use tokio::{runtime::Handle, time::timeout};

use super::{TUNING, arguments, errors::is_connection_lost};
use crate::backend::Value;

/// Less than a read is waited for: one that is too slow should not cost its connection.
const LIMIT: &str = "SET statement_timeout = 3000";

pub(super) struct Readers {
    pool: PgPool,
    places: u32,
}

impl Readers {
    /// Connects when there is something to read, so many times at most.
    pub(super) fn new(options: PgConnectOptions, places: u32) -> Self {
        // A read that meets a connection which broke meanwhile is repeated on another one; asking each
        // before its use would cost every read a round trip.
        let pool = PgPoolOptions::new()
            .max_connections(places)
            .acquire_timeout(TUNING.read)
            .idle_timeout(TUNING.reader_idle)
            .test_before_acquire(false)
            .after_connect(|connection, _| {
                async move { sqlx::query(LIMIT).execute(connection).await.map(drop) }.boxed()
            })
            .connect_lazy_with(options);
        Self { pool, places }
    }

    /// The rows; has no time limit of its own once it has a connection.
    pub(super) async fn read(
        &self,
        sql: &str,
        values: &[Value],
    ) -> Result<Vec<PgRow>, sqlx::Error> {
        let mut broken = 0;
        loop {
            match self.read_once(sql, values).await {
                Err(error) if is_connection_lost(&error) && broken < self.places => broken += 1,
                result => return result,
            }
        }
    }

    async fn read_once(&self, sql: &str, values: &[Value]) -> Result<Vec<PgRow>, sqlx::Error> {
        let mut lent = Lent(self.pool.acquire().await?);
        let query = sqlx::query_with(AssertSqlSafe(sql.to_owned()), arguments(values)?);
        query.fetch_all(&mut *lent.0).await
    }

    /// Waits for the connections that are lent, and closes all.
    pub(super) async fn close(&self) {
        self.pool.close().await;
    }
}

/// A connection that goes back to the pool when it is dropped, be the read over or given up.
struct Lent(PoolConnection<sqlx::Postgres>);

impl Drop for Lent {
    fn drop(&mut self) {
        // As the pool's own drop does, but with a limit. A hook of the pool (`after_release`) would not
        // do: the pool's question comes after it all the same.
        let returned = self.0.return_to_pool();
        // Without a runtime there is nobody to wait for the answer, and the connection ends here.
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(async move {
                if timeout(TUNING.release, returned).await.is_err() {
                    tracing::warn!("PostgreSQL is silent on a connection that read: it is closed");
                }
            });
        }
    }
}
