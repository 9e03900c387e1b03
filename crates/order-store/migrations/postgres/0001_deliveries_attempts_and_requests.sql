-- One row per order. An order that is DELIVERED stays so: every update is guarded by its status.
CREATE TABLE deliveries (
    order_id      UUID   NOT NULL PRIMARY KEY,
    delivery_id   UUID   NOT NULL,
    customer_id   TEXT   NOT NULL,
    address       TEXT   NOT NULL,
    status        TEXT   NOT NULL CHECK (status IN ('PENDING', 'IN_TRANSIT', 'DELIVERED', 'FAILED')),
    queue         TEXT   NOT NULL,
    created_at_ms BIGINT NOT NULL,
    updated_at_ms BIGINT NOT NULL
);

-- Lists are newest first. Each of these indexes answers its filters in that order without a sort; a list
-- that names no status is merged from one range for each of the four. The first of them also counts.
CREATE INDEX deliveries_by_status_and_time ON deliveries (status, created_at_ms, order_id);
-- The queue at the end lets a customer's orders of another queue be passed over within the index.
CREATE INDEX deliveries_by_customer ON deliveries (customer_id, status, created_at_ms, order_id, queue);
CREATE INDEX deliveries_by_queue ON deliveries (queue, status, created_at_ms, order_id);

-- One row per attempt. Ids rise in the order of commits within one worker, and an order's next attempt
-- begins after its last one is committed.
CREATE TABLE attempts (
    id             BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    message_id     TEXT   NOT NULL,
    order_id       UUID,
    queue          TEXT   NOT NULL,
    message_group  TEXT,
    attempt        BIGINT NOT NULL CHECK (attempt > 0),
    outcome        TEXT   NOT NULL CHECK (outcome IN ('delivered', 'failed', 'rejected')),
    reason         TEXT,
    error          TEXT,
    worker         TEXT   NOT NULL,
    started_at_ms  BIGINT NOT NULL,
    finished_at_ms BIGINT NOT NULL
);

CREATE INDEX attempts_by_order ON attempts (order_id, id) WHERE order_id IS NOT NULL;

-- A message without a readable order can be looked up only by its own id.
CREATE INDEX attempts_without_order ON attempts (message_id) WHERE order_id IS NULL;

-- Old attempts are deleted from this end.
CREATE INDEX attempts_by_time ON attempts (finished_at_ms);

-- The first request with each idempotency key. The identity is a digest of customer and key, so it is
-- of one length and no two keys collide by being cut; the answer is kept as bytes, as it was given.
CREATE TABLE keyed_requests (
    identity    BYTEA  NOT NULL PRIMARY KEY CHECK (length(identity) = 32),
    fingerprint BYTEA  NOT NULL CHECK (length(fingerprint) = 32),
    answer      BYTEA  NOT NULL,
    at_ms       BIGINT NOT NULL
);

-- What is old is forgotten from this end.
CREATE INDEX keyed_requests_by_time ON keyed_requests (at_ms);

-- Work that one worker at a time does for all: whoever holds the turn, until when.
CREATE TABLE turns (
    chore    TEXT   NOT NULL PRIMARY KEY,
    holder   TEXT   NOT NULL,
    until_ms BIGINT NOT NULL
);

INSERT INTO turns (chore, holder, until_ms) VALUES ('forget attempts', '', 0);
