//! Turns between tasks.

use std::{future::poll_fn, mem, task::Poll};

/// Lets the tasks go before that are ready on this thread.
///
/// Tokio's `yield_now` does that too, but leaves this task in a list of the thread's own until the thread has
/// nothing else to do: no other takes it over if what goes before blocks. Woken at once, it stands in the queue,
/// from which other threads help themselves.
pub(super) async fn after_others() {
    let mut waited = false;
    poll_fn(|cx| {
        if mem::replace(&mut waited, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
