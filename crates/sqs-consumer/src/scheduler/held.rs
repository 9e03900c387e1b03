//! One held message and the state it is in.

use std::{sync::Arc, time::Duration};

use super::Fate;
use crate::{lease::Lease, time::Time};

/// A message that this worker has received and not yet settled.
#[derive(Clone, Debug)]
pub(super) struct Held {
    pub(super) message_id: Arc<str>,
    /// The FIFO lane that it belongs to; none on a standard queue.
    pub(super) group: Option<Arc<str>>,
    pub(super) receive_count: u32,
    /// Failed attempts in place since the receive; they count towards the attempt's number.
    pub(super) retries: u32,
    pub(super) lease: Lease,
    pub(super) phase: Phase,
    /// An extension is under way: visibility must not be changed by another call meanwhile, since
    /// the later arrival at the server wins (a late extension would overwrite a backoff).
    pub(super) extending: bool,
    /// The answer came so late that the lease may be over; an extension must confirm it first.
    pub(super) unconfirmed: bool,
    /// Received again while an extension of the older handle was under way: its answer says nothing
    /// about the newer one.
    pub(super) extension_is_old: bool,
    /// Received again while a call with the older handle was under way: settle once more.
    pub(super) received_again: bool,
    /// The dead-letter queue has a copy: the delete ends it as dead-lettered.
    pub(super) dead_lettered: bool,
    /// When something must next be done about the lease; its key in the timer set.
    pub(super) lease_timer: Option<Time>,
    /// When the phase must next be looked at; its key in the timer set.
    pub(super) wakeup: Option<Time>,
}

/// What is being done about a held message. Every message takes one way through this from its
/// receive to its end: `Waiting`, `Running`, perhaps around again by `Backoff`, then out by
/// `Acknowledging` (which `DeadLettering` leads to) or by `Returning`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Ready to start, or behind the head of its lane.
    Waiting,
    /// The handler has it.
    Running { since: Time },
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Call {
    /// To be sent with the next batch.
    Queued,
    /// Sent, not answered.
    UnderWay,
    /// Failed for now.
    RetryAt(Time),
}

impl Phase {
    /// Whether the lease must be kept. Also while a delete is under way: should it be lost, the
    /// message must not be handed out again while later ones of its group run here.
    pub(super) fn needs_lease(self) -> bool {
        !matches!(self, Self::Returning { .. })
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
