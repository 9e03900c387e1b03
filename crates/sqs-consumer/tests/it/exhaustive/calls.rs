//! Calls between workers and the queue, and how far they have come.

use std::time::Duration;

use sqs_consumer::{
    Time,
    scheduler::{Answer, PollId, Ticket},
};

use super::scene::{Mail, Receipt};

#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) worker: usize,
    /// The caller has given up and knows of a failure; nobody hears the answer.
    pub(super) abandoned: bool,
    pub(super) way: Way,
}

#[derive(Clone, Debug)]
pub(super) enum Way {
    ToQueue(Asked),
    /// A long poll that waits at the queue.
    Waits(Poll, Time),
    ToWorker(Told),
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Poll {
    pub(super) id: PollId,
    pub(super) max: usize,
    pub(super) wait: Duration,
    pub(super) requested_at: Time,
}

#[derive(Clone, Debug)]
pub(super) enum Asked {
    Receive(Poll),
    Extend { entries: Vec<(Ticket, Receipt, Duration)>, requested_at: Time },
    Return(Vec<(Ticket, Receipt, Duration)>),
    Delete(Vec<(Ticket, Receipt)>),
    DeadLetter(Ticket, Mail),
}

#[derive(Clone, Debug)]
pub(super) enum Told {
    Received(Poll, Vec<Receipt>),
    ReceiveFailed(Poll),
    Extended { answers: Vec<(Ticket, Receipt, Duration, Answer)>, requested_at: Time },
    Returned(Vec<(Ticket, Receipt, Answer)>),
    Deleted(Vec<(Ticket, Receipt, Answer)>),
    DeadLettered(Ticket, Mail, Answer),
}

impl Asked {
    /// How many of them can fail one by one.
    pub(super) fn entries(&self) -> usize {
        match self {
            Self::Receive(_) | Self::DeadLetter(..) => 1,
            Self::Extend { entries, .. } | Self::Return(entries) => entries.len(),
            Self::Delete(entries) => entries.len(),
        }
    }

    /// What the caller learns when no answer comes.
    pub(super) fn failure(&self) -> Told {
        self.answered(Answer::Failed)
    }

    /// What it learns when the same becomes of all entries, and nothing is done.
    pub(super) fn answered(&self, answer: Answer) -> Told {
        match self {
            Self::Receive(poll) => Told::ReceiveFailed(*poll),
            Self::Extend { entries, requested_at } => {
                let answers =
                    entries.iter().map(|&(t, receipt, length)| (t, receipt, length, answer));
                Told::Extended { answers: answers.collect(), requested_at: *requested_at }
            }
            Self::Return(entries) => {
                Told::Returned(entries.iter().map(|&(t, r, _)| (t, r, answer)).collect())
            }
            Self::Delete(entries) => {
                Told::Deleted(entries.iter().map(|&(t, r)| (t, r, answer)).collect())
            }
            Self::DeadLetter(ticket, mail) => Told::DeadLettered(*ticket, *mail, answer),
        }
    }
}

impl Told {
    /// The same call's answer, had it been lost; none if it is a failure anyway.
    pub(super) fn failure(&self) -> Option<Self> {
        let told = match self {
            Self::Received(poll, _) => Self::ReceiveFailed(*poll),
            Self::Extended { answers, requested_at } => {
                let failed = |&(t, receipt, length, _): &_| (t, receipt, length, Answer::Failed);
                let answers = answers.iter().map(failed).collect();
                Self::Extended { answers, requested_at: *requested_at }
            }
            Self::Returned(answers) => {
                Self::Returned(answers.iter().map(|&(t, r, _)| (t, r, Answer::Failed)).collect())
            }
            Self::Deleted(answers) => {
                Self::Deleted(answers.iter().map(|&(t, r, _)| (t, r, Answer::Failed)).collect())
            }
            Self::DeadLettered(ticket, mail, _) => {
                Self::DeadLettered(*ticket, *mail, Answer::Failed)
            }
            Self::ReceiveFailed(_) => return None,
        };
        (!self.is_failure()).then_some(told)
    }

    fn is_failure(&self) -> bool {
        let failed = |answer: &Answer| *answer == Answer::Failed;
        match self {
            Self::Received(..) => false,
            Self::ReceiveFailed(_) => true,
            Self::Extended { answers, .. } => answers.iter().all(|(.., answer)| failed(answer)),
            Self::Returned(answers) | Self::Deleted(answers) => {
                answers.iter().all(|(.., answer)| failed(answer))
            }
            Self::DeadLettered(.., answer) => failed(answer),
        }
    }
}

impl Call {
    pub(super) fn poll(&self) -> Option<&Poll> {
        match &self.way {
            Way::ToQueue(Asked::Receive(poll))
            | Way::Waits(poll, _)
            | Way::ToWorker(Told::Received(poll, _) | Told::ReceiveFailed(poll)) => Some(poll),
            _ => None,
        }
    }

    /// Whether a change of this message's visibility under this receipt is under way.
    pub(super) fn changes(&self, ticket: Ticket, receipt: Receipt) -> bool {
        let is = |t: Ticket, r: Receipt| (t, r) == (ticket, receipt);
        match &self.way {
            Way::ToQueue(Asked::Extend { entries, .. } | Asked::Return(entries)) => {
                entries.iter().any(|&(t, r, _)| is(t, r))
            }
            Way::ToWorker(Told::Extended { answers, .. }) => {
                answers.iter().any(|&(t, r, ..)| is(t, r))
            }
            Way::ToWorker(Told::Returned(answers)) => answers.iter().any(|&(t, r, _)| is(t, r)),
            _ => false,
        }
    }
}
