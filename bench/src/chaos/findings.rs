//! What an audit has found, by kind.

/// Examples that are kept of each kind of violation.
const EXAMPLES: u64 = 5;

/// What must not be, with its count, and what is only told.
#[derive(Default)]
pub(super) struct Findings {
    violations: Vec<(&'static str, u64)>,
    pub(super) examples: Vec<String>,
    pub(super) notes: Vec<(&'static str, u64)>,
}

impl Findings {
    pub(super) fn new() -> Self {
        let violations = KINDS.iter().map(|kind| (*kind, 0)).collect();
        Self { violations, ..Self::default() }
    }

    pub(super) fn add(&mut self, kind: &'static str, example: impl Fn() -> String) {
        for (_, count) in self.violations.iter_mut().filter(|(name, _)| *name == kind) {
            *count += 1;
            if *count <= EXAMPLES {
                self.examples.push(format!("{kind}: {}", example()));
            }
        }
    }

    pub(super) fn note(&mut self, kind: &'static str, count: u64) {
        self.notes.push((kind, count));
    }

    pub(super) fn violations(&self) -> &[(&'static str, u64)] {
        &self.violations
    }

    pub(super) fn is_clean(&self) -> bool {
        self.violations.iter().all(|(_, count)| *count == 0)
    }
}

pub(super) const LOST: &str = "lost: accepted, neither delivered nor dead-lettered as it should be";
pub(super) const UNKNOWN: &str = "unknown: in the store or a dead letter, never accepted";
pub(super) const TWO_AT_ONCE: &str = "two at once: begun before an earlier one of its group ended";
pub(super) const OUT_OF_ORDER: &str =
    "out of order: begun or delivered after a later one of its group";
pub(super) const DOUBLE: &str =
    "double effects: delivered twice without a pause or a duplicate message";
pub(super) const STRANDED: &str = "stranded: in flight after a drain";
pub(super) const INNOCENT: &str = "innocent dead letters: not made to fail";
pub(super) const WRONG_LETTER: &str =
    "dead letters with a wrong reason, number of attempts or number of copies";
pub(super) const FAILING_DELIVERED: &str = "delivered although made to fail";
pub(super) const UNCLEAN_EXIT: &str = "workers that ended late, by themselves or not with 0";
const KINDS: [&str; 10] = [
    LOST,
    OUT_OF_ORDER,
    TWO_AT_ONCE,
    DOUBLE,
    STRANDED,
    INNOCENT,
    WRONG_LETTER,
    FAILING_DELIVERED,
    UNKNOWN,
    UNCLEAN_EXIT,
];
