-- One row per message that was met in a dead-letter queue. Ids rise in the order in which they were met.
CREATE TABLE dead_letters (
    id            BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    queue         TEXT   NOT NULL,
    message_id    TEXT   NOT NULL,
    message_group TEXT,
    -- What makes two messages the same thing: the order's id, else a digest of the body.
    identity      TEXT   NOT NULL,
    order_id      UUID,
    customer_id   TEXT,
    reason        TEXT   NOT NULL,
    detail        TEXT,
    attempts      BIGINT,
    -- In small letters, of what people search for.
    search        TEXT   NOT NULL,
    sent_at_ms    BIGINT,
    seen_at_ms    BIGINT NOT NULL,
    last_seen_ms  BIGINT NOT NULL,
    state         TEXT   NOT NULL
        CHECK (state IN ('dead', 'sent', 'redriven', 'archived', 'discarded', 'gone')),
    settled_at_ms BIGINT,
    -- The last job that dealt with it, what that came to, and why.
    job_id        UUID,
    job_outcome   TEXT CHECK (job_outcome IN ('redriven', 'discarded', 'refused', 'failed')),
    job_detail    TEXT,
    UNIQUE (queue, message_id)
);

-- Lists are newest first. Each of these indexes answers its filter in that order without a sort.
CREATE INDEX dead_letters_by_time ON dead_letters (queue, state, seen_at_ms, id);
CREATE INDEX dead_letters_by_reason ON dead_letters (queue, state, reason, seen_at_ms, id);
CREATE INDEX dead_letters_by_customer ON dead_letters (queue, state, customer_id, seen_at_ms, id);
-- What looks have missed is found at the old end.
CREATE INDEX dead_letters_by_last_look ON dead_letters (queue, state, last_seen_ms);
-- Whether it was dead before.
CREATE INDEX dead_letters_by_identity ON dead_letters (identity, id);
CREATE INDEX dead_letters_by_job ON dead_letters (job_id, id) WHERE job_id IS NOT NULL;
-- What is over is forgotten from the old end.
CREATE INDEX dead_letters_over ON dead_letters (settled_at_ms) WHERE state IN ('redriven', 'gone');

-- Apart, so that lists do not go through bodies.
CREATE TABLE dead_letter_contents (
    queue      TEXT  NOT NULL,
    message_id TEXT  NOT NULL,
    body       BYTEA NOT NULL,
    attributes TEXT  NOT NULL,
    PRIMARY KEY (queue, message_id)
);

-- What was discarded, whole. It is written before the message is deleted, and stays.
CREATE TABLE dead_letter_archive (
    queue          TEXT   NOT NULL,
    message_id     TEXT   NOT NULL,
    job_id         UUID   NOT NULL,
    message_group  TEXT,
    body           BYTEA  NOT NULL,
    attributes     TEXT   NOT NULL,
    archived_at_ms BIGINT NOT NULL,
    PRIMARY KEY (queue, message_id)
);

-- Redriving or discarding. `step` counts what was written of it: a holder that does not know the last
-- one has lost the job to another. Letters that were met after `through` are not part of it.
CREATE TABLE dlq_jobs (
    id             UUID   NOT NULL PRIMARY KEY,
    kind           TEXT   NOT NULL CHECK (kind IN ('redrive', 'discard')),
    method         TEXT   NOT NULL CHECK (method IN ('messages', 'move_task')),
    queue          TEXT   NOT NULL,
    request        TEXT   NOT NULL,
    through        BIGINT NOT NULL,
    requested_by   TEXT   NOT NULL,
    why            TEXT   NOT NULL,
    state          TEXT   NOT NULL
        CHECK (state IN ('queued', 'running', 'canary', 'completed', 'cancelled', 'failed')),
    cancelled_by   TEXT,
    selected       BIGINT NOT NULL,
    done           BIGINT NOT NULL DEFAULT 0,
    refused        BIGINT NOT NULL DEFAULT 0,
    failed         BIGINT NOT NULL DEFAULT 0,
    not_found      BIGINT NOT NULL DEFAULT 0,
    canary_passed  BIGINT NOT NULL DEFAULT 0 CHECK (canary_passed IN (0, 1)),
    task           TEXT,
    note           TEXT,
    step           BIGINT NOT NULL DEFAULT 0,
    holder         TEXT   NOT NULL DEFAULT '',
    until_ms       BIGINT NOT NULL DEFAULT 0,
    created_at_ms  BIGINT NOT NULL,
    started_at_ms  BIGINT,
    updated_at_ms  BIGINT NOT NULL,
    finished_at_ms BIGINT
);

CREATE INDEX dlq_jobs_by_time ON dlq_jobs (created_at_ms, id);
CREATE INDEX dlq_jobs_open ON dlq_jobs (queue, created_at_ms, id) WHERE finished_at_ms IS NULL;

-- Who did what and why, written before it is done. Nothing of it is ever changed.
CREATE TABLE dlq_audit (
    id           BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at_ms        BIGINT NOT NULL,
    requested_by TEXT   NOT NULL,
    action       TEXT   NOT NULL CHECK (action IN ('redrive', 'discard', 'cancel')),
    queue        TEXT   NOT NULL,
    job_id       UUID   NOT NULL,
    why          TEXT   NOT NULL,
    request      TEXT   NOT NULL
);

CREATE FUNCTION dlq_audit_is_only_added_to() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the audit log is only added to';
END
$$;

CREATE TRIGGER dlq_audit_is_not_changed BEFORE UPDATE OR DELETE OR TRUNCATE ON dlq_audit
    FOR EACH STATEMENT EXECUTE FUNCTION dlq_audit_is_only_added_to();
