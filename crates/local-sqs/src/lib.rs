//! An embedded SQS for development and tests: a pure model and a server that speaks the AWS protocol.
