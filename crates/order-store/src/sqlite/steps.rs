//! The tables' versions.

use crate::migrations::Step;

pub(super) const STEPS: &[Step] = &[
    (
        1,
        "deliveries and attempts",
        include_str!("../../migrations/sqlite/0001_deliveries_and_attempts.sql"),
    ),
    (2, "requests", include_str!("../../migrations/sqlite/0002_requests.sql")),
    (
        3,
        "listing and retention",
        include_str!("../../migrations/sqlite/0003_listing_and_retention.sql"),
    ),
    (4, "dead letters", include_str!("../../migrations/sqlite/0004_dead_letters.sql")),
    (
        5,
        "audit is not replaced",
        include_str!("../../migrations/sqlite/0005_audit_is_not_replaced.sql"),
    ),
    (6, "undeleted", include_str!("../../migrations/sqlite/0006_undeleted.sql")),
    (7, "copies and ages", include_str!("../../migrations/sqlite/0007_copies_and_ages.sql")),
];
