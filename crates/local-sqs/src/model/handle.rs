//! Receipt handles: opaque to clients, self-describing to the model.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use sha2::{Digest as _, Sha256};

use super::error::{ApiError, ErrorKind};
use super::message::Seq;

/// One receive of one message of one queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Receipt {
    /// The queue's incarnation: a queue created anew under the same name has another.
    pub(super) queue: u64,
    pub(super) seq: Seq,
    /// The number of the receive, so that each receive has its own handle.
    pub(super) receive: u64,
}

const CHECK_BYTES: usize = 16;

impl Receipt {
    pub(super) fn encode(self) -> String {
        let mut bytes = Vec::with_capacity(24 + CHECK_BYTES);
        for part in [self.queue, self.seq, self.receive] {
            bytes.extend_from_slice(&part.to_be_bytes());
        }
        bytes.extend_from_slice(&check(&bytes));
        BASE64.encode(bytes)
    }

    /// Reads a handle back, refusing whatever this queue did not hand out.
    pub(super) fn decode(handle: &str, queue: u64) -> Result<Self, ApiError> {
        if handle.is_empty() {
            return Err(ApiError::missing("ReceiptHandle"));
        }
        let receipt = BASE64.decode(handle).ok().and_then(|bytes| {
            let (parts, sum) = bytes.split_at_checked(24)?;
            (sum == check(parts)).then_some(())?;
            let part =
                |at: usize| Some(u64::from_be_bytes(parts.get(at..at + 8)?.try_into().ok()?));
            Some(Self { queue: part(0)?, seq: part(8)?, receive: part(16)? })
        });
        receipt.filter(|receipt| receipt.queue == queue).ok_or_else(|| {
            ApiError::new(
                ErrorKind::ReceiptHandleIsInvalid,
                format!("The input receipt handle \"{handle}\" is not a valid receipt handle."),
            )
        })
    }
}

fn check(bytes: &[u8]) -> [u8; CHECK_BYTES] {
    let mut sum = [0; CHECK_BYTES];
    sum.copy_from_slice(&Sha256::digest(bytes)[..CHECK_BYTES]);
    sum
}
