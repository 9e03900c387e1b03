//! What a database must do for the store.

use futures_util::future::BoxFuture;
use order_events::DeliveryStatus;
use uuid::Uuid;

use super::{Attempt, Counts, Delivery, Record, StoreError};

/// A database with the store's tables in it: reads, and connections to write through.
pub(super) trait Backend: Send + Sync + 'static {
    /// A new connection for the writer.
    fn connect(&self) -> BoxFuture<'_, Result<Box<dyn Connection>, StoreError>>;

    fn status(&self, order_id: Uuid) -> BoxFuture<'_, Result<Option<DeliveryStatus>, StoreError>>;

    fn find(&self, order_id: Uuid) -> BoxFuture<'_, Result<Option<Delivery>, StoreError>>;

    fn attempts(&self, order_id: Uuid) -> BoxFuture<'_, Result<Vec<Attempt>, StoreError>>;

    fn attempts_without_order(
        &self,
        message_id: String,
    ) -> BoxFuture<'_, Result<Vec<Attempt>, StoreError>>;

    fn counts(&self) -> BoxFuture<'_, Result<Counts, StoreError>>;

    /// Closes the connections that read.
    fn close(&self) -> BoxFuture<'_, ()>;
}

/// The writer's connection.
pub(super) trait Connection: Send + 'static {
    /// Commits the records in one transaction, in their order.
    ///
    /// [`StoreError::Refused`] means that at least one record is at fault and none is written;
    /// [`StoreError::Unavailable`] that the connection is not to be used again. An empty slice only
    /// finds out whether writing works.
    fn commit<'a>(&'a mut self, records: &'a [&'a Record])
    -> BoxFuture<'a, Result<(), StoreError>>;

    /// Closes the connection.
    fn close(self: Box<Self>) -> BoxFuture<'static, ()>;
}
