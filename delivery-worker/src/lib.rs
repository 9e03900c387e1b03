//! Consumes orders from SQS, delivers them and remembers every attempt.
