//! One held message and the state it is in.

use std::time::Duration;

use super::{Fate, MessageId, lanes::LaneId, leases::Timer, turns::TurnId};
use crate::{handler::Attempt, lease::Lease, time::Time};

/// A message that this worker has received and not yet settled.
#[derive(Clone, Debug, Hash)]
pub(super) struct Held {
    pub(super) message_id: MessageId,
    /// What it counts towards [`super::Timing::max_held_bytes`].
    pub(super) bytes: usize,
    pub(super) place: Place,
    pub(super) receive_count: u32,
    /// Failed attempts in place since the receive; they count towards the attempt's number.
    pub(super) retries: u32,
    /// Attempts that did not count, since their failure may be everyone's.
    pub(super) uncounted: u32,
    /// When an attempt last failed by a cause that may be everyone's.
    pub(super) suspect_since: Option<Time>,
    /// This receive has had its attempt, and the message waits to go back.
    pub(super) receive_used: bool,
    pub(super) lease: Lease,
    pub(super) phase: Phase,
    /// The one call about the message's visibility that may be under way: the later arrival at the
    /// server wins, so a second call could be undone by the first.
    pub(super) visibility_call: VisibilityCall,
    /// The answer came so late that the lease may be over; an extension must confirm it first.
    pub(super) unconfirmed: bool,
    /// SQS will extend this lease no further.
    pub(super) extension_refused: bool,
    /// Received again while its delete with the older handle was under way: delete once more.
    pub(super) received_again: bool,
    /// The dead-letter queue has a copy: the delete ends it as dead-lettered.
    pub(super) dead_lettered: bool,
    /// Its group was most of a full receive: there are probably more where it came from.
    pub(super) may_have_more: bool,
    /// When something must next be done about the lease.
    pub(super) lease_timer: Option<Timer>,
    /// When the phase must next be looked at; its key in the timer set.
    pub(super) wakeup: Option<Time>,
}

/// Where a message waits for its start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Place {
    /// FIFO: in its group's lane, in the order of the seats.
    Lane { lane: LaneId, seat: u64 },
    /// Standard: among those of its group.
    Turn(TurnId),
}

/// What is being done about a held message. Every message takes one way through this from its
/// receive to its end: `Waiting`, `Running`, perhaps around again by `Backoff`, then out by
/// `Acknowledging` (which `DeadLettering` leads to) or by `Returning`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Phase {
    /// Ready to start, or behind the head of its lane.
    Waiting,
    /// The handler has it, for this attempt.
    Running { since: Time, attempt: Attempt },
    /// Failed; starts again in place, still leased.
    Backoff { until: Time },
    /// Being copied to the dead-letter queue, to be deleted afterwards.
    DeadLettering { call: Call, failures: u32 },
    /// Done with: being deleted.
    Acknowledging { call: Call },
    /// Being made visible again after `visibility`.
    Returning { visibility: Duration, fate: Fate, call: Call },
}

/// How far the call is that a phase needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Call {
    /// To be sent with the next batch.
    Queued,
    /// Sent, not answered.
    UnderWay,
    /// Failed for now.
    RetryAt(Time),
}

/// A call about a message's visibility that is not answered yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum VisibilityCall {
    None,
    Extension,
    Return,
    /// Sent with an older receive's handle: its answer says nothing about the newer lease.
    Stale,
}

impl Phase {
    /// Whether the lease must be kept. Also while a delete is under way: should it be lost, the
    /// message must not be handed out again while later ones of its group run here.
    pub(super) fn needs_lease(self) -> bool {
        !matches!(self, Self::Returning { .. })
    }

    pub(super) fn is_waiting(self) -> bool {
        matches!(self, Self::Waiting)
    }

    pub(super) fn is_running(self) -> bool {
        matches!(self, Self::Running { .. })
    }

    pub(super) fn wakeup(self) -> Option<Time> {
        match self {
            Self::Backoff { until } => Some(until),
            Self::DeadLettering { call: Call::RetryAt(at), .. }
            | Self::Acknowledging { call: Call::RetryAt(at) }
            | Self::Returning { call: Call::RetryAt(at), .. } => Some(at),
            _ => None,
        }
    }
}
