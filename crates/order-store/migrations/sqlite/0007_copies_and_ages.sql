-- A letter that a job redrove message by message has its own copy, also when that was before copies were
-- noted: met again, it is deleted and never sent again. Of a job that SQS began to move it is not known which
-- those are.
UPDATE dead_letters SET copied = 1
WHERE state = 'redriven' AND copied = 0 AND job_id IN (
    SELECT id FROM dlq_jobs WHERE method = 'messages' AND (task IS NULL OR task NOT LIKE 'moved %'));

-- The oldest in each state, and what has expired, are at the old end.
CREATE INDEX dead_letters_by_age ON dead_letters (queue, state, sent_at_ms);
