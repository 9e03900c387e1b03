//! An SQS consumer with strict FIFO lanes, a pure scheduler and a drain that strands nothing.
mod handler;
mod queue;

pub use handler::{Attempt, Handler, Verdict};
pub use queue::{
    AttributeValue, BatchResult, DeadLetter, MAX_BATCH, Message, Queue, QueueAttributes, QueueError,
    ReceiptHandle, ReceiveRequest,
};
