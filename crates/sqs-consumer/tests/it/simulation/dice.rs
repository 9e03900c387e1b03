//! Randomness by name: each decision has a generator of its own.
//!
//! A decision depends on the seed and on what it is about, not on how many others came before it. So
//! a plan can be made smaller and most of what remains still happens as it did.

use rand::{SeedableRng, rngs::SmallRng};

/// What is decided.
#[derive(Clone, Copy)]
pub(super) enum About {
    Plan,
    Messages,
    Troubles,
    Call,
    Handler,
    Scheduler,
}

/// All decisions of one seed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Dice(pub(super) u64);

impl Dice {
    /// The generator for one decision, told apart by two numbers.
    pub(super) fn about(self, about: About, first: u64, second: u64) -> SmallRng {
        let mixed = [about as u64, first, second].into_iter().fold(self.0, |state, part| {
            // The finalizer of SplitMix64.
            let x = (state ^ part).wrapping_add(0x9e37_79b9_7f4a_7c15);
            let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            x ^ (x >> 31)
        });
        SmallRng::seed_from_u64(mixed)
    }
}
