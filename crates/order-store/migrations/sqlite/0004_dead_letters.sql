-- One row per message that was met in a dead-letter queue. Ids rise in the order in which they were met.
CREATE TABLE dead_letters (
    id            INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    queue         TEXT    NOT NULL,
    message_id    TEXT    NOT NULL,
    message_group TEXT,
    -- What makes two messages the same thing: the order's id, else a digest of the body.
    identity      TEXT    NOT NULL,
    order_id      TEXT,
    customer_id   TEXT,
    reason        TEXT    NOT NULL,
    detail        TEXT,
    attempts      INTEGER,
    -- In small letters, of what people search for.
    search        TEXT    NOT NULL,
    sent_at_ms    INTEGER,
    seen_at_ms    INTEGER NOT NULL,
    last_seen_ms  INTEGER NOT NULL,
    state         TEXT    NOT NULL
        CHECK (state IN ('dead', 'sent', 'redriven', 'archived', 'discarded', 'gone')),
    settled_at_ms INTEGER,
    -- The last job that dealt with it, what that came to, and why.
    job_id        TEXT,
    job_outcome   TEXT CHECK (job_outcome IN ('redriven', 'discarded', 'refused', 'failed')),
    job_detail    TEXT,
    UNIQUE (queue, message_id)
) STRICT;

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
    queue      TEXT NOT NULL,
    message_id TEXT NOT NULL,
    body       BLOB NOT NULL,
    attributes TEXT NOT NULL,
    PRIMARY KEY (queue, message_id)
) STRICT;

-- What was discarded, whole. It is written before the message is deleted, and stays.
CREATE TABLE dead_letter_archive (
    queue          TEXT    NOT NULL,
    message_id     TEXT    NOT NULL,
    job_id         TEXT    NOT NULL,
    message_group  TEXT,
    body           BLOB    NOT NULL,
    attributes     TEXT    NOT NULL,
    archived_at_ms INTEGER NOT NULL,
    PRIMARY KEY (queue, message_id)
) STRICT;

-- Redriving or discarding. `step` counts what was written of it: a holder that does not know the last
-- one has lost the job to another. Letters that were met after `through` are not part of it.
CREATE TABLE dlq_jobs (
    id             TEXT    NOT NULL PRIMARY KEY,
    kind           TEXT    NOT NULL CHECK (kind IN ('redrive', 'discard')),
    method         TEXT    NOT NULL CHECK (method IN ('messages', 'move_task')),
    queue          TEXT    NOT NULL,
    request        TEXT    NOT NULL,
    through        INTEGER NOT NULL,
    requested_by   TEXT    NOT NULL,
    why            TEXT    NOT NULL,
    state          TEXT    NOT NULL
        CHECK (state IN ('queued', 'running', 'canary', 'completed', 'cancelled', 'failed')),
    cancelled_by   TEXT,
    selected       INTEGER NOT NULL,
    done           INTEGER NOT NULL DEFAULT 0,
    refused        INTEGER NOT NULL DEFAULT 0,
    failed         INTEGER NOT NULL DEFAULT 0,
    not_found      INTEGER NOT NULL DEFAULT 0,
    canary_passed  INTEGER NOT NULL DEFAULT 0 CHECK (canary_passed IN (0, 1)),
    task           TEXT,
    note           TEXT,
    step           INTEGER NOT NULL DEFAULT 0,
    holder         TEXT    NOT NULL DEFAULT '',
    until_ms       INTEGER NOT NULL DEFAULT 0,
    created_at_ms  INTEGER NOT NULL,
    started_at_ms  INTEGER,
    updated_at_ms  INTEGER NOT NULL,
    finished_at_ms INTEGER
) STRICT, WITHOUT ROWID;

CREATE INDEX dlq_jobs_by_time ON dlq_jobs (created_at_ms, id);
CREATE INDEX dlq_jobs_open ON dlq_jobs (queue, created_at_ms, id) WHERE finished_at_ms IS NULL;

-- Who did what and why, written before it is done. Nothing of it is ever changed.
CREATE TABLE dlq_audit (
    id           INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    at_ms        INTEGER NOT NULL,
    requested_by TEXT    NOT NULL,
    action       TEXT    NOT NULL CHECK (action IN ('redrive', 'discard', 'cancel')),
    queue        TEXT    NOT NULL,
    job_id       TEXT    NOT NULL,
    why          TEXT    NOT NULL,
    request      TEXT    NOT NULL
) STRICT;

CREATE TRIGGER dlq_audit_is_not_changed BEFORE UPDATE ON dlq_audit
BEGIN
    SELECT RAISE(ABORT, 'the audit log is only added to');
END;

CREATE TRIGGER dlq_audit_is_not_deleted BEFORE DELETE ON dlq_audit
BEGIN
    SELECT RAISE(ABORT, 'the audit log is only added to');
END;
