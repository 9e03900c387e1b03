-- One row per order. An order that is DELIVERED stays so: every update is guarded by its status.
CREATE TABLE deliveries (
    order_id      TEXT    NOT NULL PRIMARY KEY,
    delivery_id   TEXT    NOT NULL,
    customer_id   TEXT    NOT NULL,
    address       TEXT    NOT NULL,
    status        TEXT    NOT NULL CHECK (status IN ('PENDING', 'IN_TRANSIT', 'DELIVERED', 'FAILED')),
    queue         TEXT    NOT NULL,
    created_at_ms INTEGER NOT NULL,
    updated_at_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Counting by status reads this index only.
CREATE INDEX deliveries_by_status ON deliveries (status);

-- One row per attempt, in the order of commits (AUTOINCREMENT never reuses an id).
CREATE TABLE attempts (
    id             INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    message_id     TEXT    NOT NULL,
    order_id       TEXT,
    queue          TEXT    NOT NULL,
    message_group  TEXT,
    attempt        INTEGER NOT NULL CHECK (attempt > 0),
    outcome        TEXT    NOT NULL CHECK (outcome IN ('delivered', 'failed', 'rejected')),
    reason         TEXT,
    error          TEXT,
    worker         TEXT    NOT NULL,
    started_at_ms  INTEGER NOT NULL,
    finished_at_ms INTEGER NOT NULL
) STRICT;

CREATE INDEX attempts_by_order ON attempts (order_id, id) WHERE order_id IS NOT NULL;

-- A message without a readable order can be looked up only by its own id.
CREATE INDEX attempts_without_order ON attempts (message_id) WHERE order_id IS NULL;
