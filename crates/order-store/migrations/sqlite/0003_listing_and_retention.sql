-- Lists are newest first. Each of these indexes answers its filters in that order without a sort; a list
-- that names no status is merged from one range for each of the four. The first of them also counts.
CREATE INDEX deliveries_by_status_and_time ON deliveries (status, created_at_ms, order_id);
DROP INDEX deliveries_by_status;
-- The queue at the end lets a customer's orders of another queue be passed over within the index.
CREATE INDEX deliveries_by_customer ON deliveries (customer_id, status, created_at_ms, order_id, queue);
CREATE INDEX deliveries_by_queue ON deliveries (queue, status, created_at_ms, order_id);

-- Old attempts are deleted from this end.
CREATE INDEX attempts_by_time ON attempts (finished_at_ms);

-- Work that one worker at a time does for all: whoever holds the turn, until when.
CREATE TABLE turns (
    chore    TEXT    NOT NULL PRIMARY KEY,
    holder   TEXT    NOT NULL,
    until_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

INSERT INTO turns (chore, holder, until_ms) VALUES ('forget attempts', '', 0);
