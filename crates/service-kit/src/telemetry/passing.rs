//! A received trace context that is handed on where this process takes no part in the trace.
//!
//! With tracing on, a request's own span goes to whom it asks, see [`super::context`]. With tracing off
//! there is no such span, and the callers' trace would end here: then what was received is passed on as
//! it is, as W3C Trace Context has it for those who only forward.

use super::context::forwarded;
use pin_project_lite::pin_project;
use std::{
    cell::RefCell,
    mem,
    pin::Pin,
    task::{Context, Poll},
};

thread_local! {
    /// Of the work that this thread is at, while it is at it.
    static PASSED: RefCell<Option<String>> = const { RefCell::new(None) };
}

pin_project! {
    /// Work that has come with a `traceparent`, see [`passing`].
    #[must_use = "futures do nothing unless polled"]
    pub struct Passing<F> {
        #[pin]
        work: F,
        traceparent: Option<String>,
    }
}

/// Work in which [`super::current_traceparent`] is this received one, unless a span of its own is there
/// for it. One that cannot be read is ignored, as the standard demands; without one nothing is kept and
/// nothing is done.
pub fn passing<F: Future>(work: F, traceparent: Option<&str>) -> Passing<F> {
    Passing { work, traceparent: traceparent.and_then(forwarded) }
}

/// What the present work has come with.
pub(super) fn passed() -> Option<String> {
    PASSED.with_borrow(Clone::clone)
}

impl<F: Future> Future for Passing<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let _at_work = this.traceparent.is_some().then(|| AtWork::begin(this.traceparent));
        this.work.poll(cx)
    }
}

/// The thread is at the work; until it is dropped, also by a panic, what the thread had before is in the
/// work's place.
struct AtWork<'a>(&'a mut Option<String>);

impl<'a> AtWork<'a> {
    fn begin(traceparent: &'a mut Option<String>) -> Self {
        let mut this = Self(traceparent);
        this.swap();
        this
    }

    fn swap(&mut self) {
        PASSED.with_borrow_mut(|passed| mem::swap(passed, self.0));
    }
}

impl Drop for AtWork<'_> {
    fn drop(&mut self) {
        self.swap();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{panic::AssertUnwindSafe, pin::pin, task::Waker};

    const RECEIVED: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-03";

    fn poll<F: Future>(work: Pin<&mut F>) -> Poll<F::Output> {
        work.poll(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn what_was_received_is_passed_on_unchanged_in_its_own_work_and_nowhere_else() {
        let other = RECEIVED.replace("4bf9", "0bf9");
        let told = async || {
            let before = passed();
            tokio::task::yield_now().await;
            assert_eq!(passed(), before);
            before
        };
        let mut one = pin!(passing(told(), Some(RECEIVED)));
        let mut another = pin!(passing(told(), Some(&other)));
        let mut without = pin!(passing(told(), None));
        assert!(poll(one.as_mut()).is_pending());
        assert_eq!(passed(), None);
        assert!(poll(another.as_mut()).is_pending() && poll(without.as_mut()).is_pending());
        assert_eq!(poll(one), Poll::Ready(Some(RECEIVED.to_owned())));
        assert_eq!(poll(another), Poll::Ready(Some(other)));
        assert_eq!(poll(without), Poll::Ready(None));
    }

    #[test]
    fn work_that_panics_leaves_nothing_to_the_next() {
        let mut work = pin!(passing(async { panic!("injected") }, Some(RECEIVED)));
        std::panic::catch_unwind(AssertUnwindSafe(|| poll(work.as_mut()))).expect_err("it panics");
        assert_eq!(passed(), None);
    }
}
