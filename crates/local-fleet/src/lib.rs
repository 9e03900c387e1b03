//! The whole fleet in one process, with an embedded SQS.
