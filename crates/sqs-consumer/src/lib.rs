//! An SQS consumer with strict FIFO lanes, a pure scheduler and a drain that strands nothing.
pub mod aws;
mod consumer;
mod handler;
pub mod lease;
mod metrics;
mod queue;
pub mod scheduler;
mod time;

pub use consumer::{Consumer, Drained, Health, Settings};
pub use handler::{Attempt, Handler, Verdict};
pub use metrics::{Metrics, QueueMetrics};
pub use queue::{
    AttributeValue, BatchResult, DeadLetter, MAX_BATCH, Message, Queue, QueueAttributes,
    QueueError, ReceiptHandle, ReceiveRequest,
};
pub use time::Time;
