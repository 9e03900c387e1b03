-- Whether the letter's own copy was confirmed by the source queue: when it is met again, it is deleted and
-- never sent again. What SQS moved as a whole is not known one by one: met again, that is dead.
ALTER TABLE dead_letters ADD COLUMN copied BIGINT NOT NULL DEFAULT 0 CHECK (copied IN (0, 1));
UPDATE dead_letters SET copied = 1 WHERE state = 'sent';

-- Of what was done: messages that were not known to be deleted when the job ended.
ALTER TABLE dlq_jobs ADD COLUMN undeleted BIGINT NOT NULL DEFAULT 0;
