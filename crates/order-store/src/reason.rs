//! Why an attempt failed: a closed list, for metrics, the store and the dead-letter queue.

/// Why an attempt at an order failed. Free text stands beside it where it is recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The body is not an order: not JSON, or not of an order's form.
    Unparseable,
    /// It has an order's form, but says what no order can, or what the store refuses.
    Invalid,
    /// The carrier refused the order for good.
    CarrierRejected,
    /// The carrier could not be reached or asked to be tried again.
    CarrierUnavailable,
    /// The carrier did not answer in time; whether it took the order is not known.
    Timeout,
    /// The handler panicked.
    Crash,
    /// A test product, see `FAIL_TEST_PRODUCTS`.
    Forced,
}

impl Reason {
    /// Every reason.
    pub const ALL: [Self; 7] = [
        Self::Unparseable,
        Self::Invalid,
        Self::CarrierRejected,
        Self::CarrierUnavailable,
        Self::Timeout,
        Self::Crash,
        Self::Forced,
    ];

    /// The spelling in metrics, in the store and in a message's `dead-letter-reason` attribute.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unparseable => "unparseable",
            Self::Invalid => "invalid",
            Self::CarrierRejected => "carrier_rejected",
            Self::CarrierUnavailable => "carrier_unavailable",
            Self::Timeout => "timeout",
            Self::Crash => "crash",
            Self::Forced => "forced",
        }
    }

    /// The reason of this spelling.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == text)
    }
}
