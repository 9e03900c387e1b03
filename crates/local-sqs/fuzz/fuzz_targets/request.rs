//! Any bytes as a request, in either protocol: an answer, and never a panic.
//!
//! `cargo fuzz run request` from the crate's folder.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    local_sqs::fuzzing::answer(bytes);
});
