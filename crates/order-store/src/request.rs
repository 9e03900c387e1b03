//! Idempotency keys: which request of a customer was the first with its key.

use jiff::Timestamp;
use sha2::{Digest, Sha256};

/// Bytes of an answer that is kept, at most: beyond the largest order that the API takes.
const LONGEST_ANSWER: usize = 4 << 20;

/// A request with an idempotency key, to be remembered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyedRequest {
    /// Whose key it is: two customers may use the same one.
    pub customer_id: String,
    /// The key, as the client has chosen it.
    pub key: String,
    /// A digest of what the request asks for. A key stands for one request only.
    pub fingerprint: [u8; 32],
    /// What is answered to this request and each repetition of it; kept as it is, up to 4 MiB.
    pub answer: String,
    /// When the request came; kept to the millisecond.
    pub at: Timestamp,
}

/// Whether a request is the first with its customer and key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Remembered {
    /// It is, and is remembered now.
    First,
    /// One with the same fingerprint was before.
    Same {
        /// The answer that was kept with that one.
        answer: String,
        /// When that one came.
        at: Timestamp,
    },
    /// One with another fingerprint was before.
    Other,
}

/// The identity of customer and key, of one length whatever theirs is. The customer's length stands
/// before both, so that no two pairs run together to the same text; nothing is cut or cleaned, so no two
/// keys become one.
pub fn key_identity(customer_id: &str, key: &str) -> [u8; 32] {
    let mut digest = Sha256::new();
    digest.update((customer_id.len() as u64).to_be_bytes());
    digest.update(customer_id);
    digest.update(key);
    digest.finalize().into()
}

impl KeyedRequest {
    pub(crate) fn identity(&self) -> [u8; 32] {
        key_identity(&self.customer_id, &self.key)
    }

    /// Whether the answer is too long to be kept.
    pub(crate) fn is_oversized(&self) -> bool {
        self.answer.len() > LONGEST_ANSWER
    }
}

/// What is kept of a request.
#[derive(Clone, Debug)]
pub(crate) struct Kept {
    pub(crate) fingerprint: Vec<u8>,
    pub(crate) answer: String,
    pub(crate) at: Timestamp,
}

impl Kept {
    /// What a later request with the same customer and key is told.
    pub(crate) fn compared(self, later: &KeyedRequest) -> Remembered {
        if self.fingerprint == later.fingerprint {
            Remembered::Same { answer: self.answer, at: self.at }
        } else {
            Remembered::Other
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_pairs_of_customer_and_key_have_one_identity() {
        let pairs =
            [("ab", "c"), ("a", "bc"), ("abc", ""), ("", "abc"), ("a\0", "bc"), ("a", "\0bc")];
        let identities: std::collections::BTreeSet<_> =
            pairs.iter().map(|(customer, key)| key_identity(customer, key)).collect();
        assert_eq!(identities.len(), pairs.len());
    }
}
