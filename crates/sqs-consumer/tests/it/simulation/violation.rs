//! What must never happen, by name, and a case of it.

use std::fmt;

/// A rule that is checked after every step, from the specification and not from what the scheduler
/// happens to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Check {
    /// Whatever was sent takes effect or becomes a dead letter, and is deleted only after that.
    NothingIsLost,
    /// First effects of a FIFO group happen in its order. A dead letter that was moved back has the
    /// place in the order that SQS gave it then.
    EffectsInOrder,
    /// A message of a FIFO group starts only when every earlier one in the queue has taken effect.
    HeadIsSettledFirst,
    /// One handler at once for a FIFO group and for a message, over all workers.
    OneHandler,
    /// A handler starts and runs only while SQS really hides its message for this worker.
    RunsUnderLease,
    /// Calls about a message are sent only while its lease holds by the worker's own clock.
    CallsUnderLease,
    /// One call at once about a message's visibility.
    OneVisibilityCall,
    /// Of a lane that goes back, the head goes first and alone.
    HeadGoesBackFirst,
    /// A handler has nothing to do only while nothing can start.
    NoIdleHandler,
    /// Concurrency, cap per group, messages held, receives outstanding, sizes of batches.
    Limits,
    /// Each ticket ends once, in the way that it is said to, and is settled once.
    OneEnd,
    /// A worker dead-letters only what has failed by itself, and only after all attempts. Where no call
    /// comes to grief, the queue does so only with what was attempted, unless its last receive's worker
    /// was killed, stopped or out of time.
    DeadLettersAreGuilty,
    /// An attempt's number is the receive count plus the retries in place.
    AttemptsAreCounted,
    /// Retries wait for their backoff; while a common need is down one message at a time is tried.
    BacksOff,
    /// Where nothing goes wrong, each FIFO message is received once.
    NoReceiveWasted,
    /// Calls, starts and wakeups have a bounded rate, whatever fails.
    NoHotLoop,
    /// When the troubles end, everything comes to an end.
    ComesToRest,
    /// A drain ends in time and leaves nothing in flight.
    DrainLeavesNothing,
    /// The scheduler does not panic.
    NoPanic,
}

/// A rule that was violated, when and by what.
#[derive(Clone, Debug)]
pub(crate) struct Violation {
    pub(crate) check: Check,
    pub(super) at: u64,
    pub(super) worker: Option<usize>,
    /// Which message it is about.
    pub(super) message: Option<usize>,
    pub(super) what: String,
}

pub(super) type Checked<T = ()> = Result<T, Violation>;

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} at {}: ", self.check, Seconds(self.at))?;
        if let Some(worker) = self.worker {
            write!(f, "worker {worker}: ")?;
        }
        f.write_str(&self.what)
    }
}

/// Milliseconds, shown as seconds.
pub(super) struct Seconds(pub(super) u64);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:03}", self.0 / 1000, self.0 % 1000)
    }
}
