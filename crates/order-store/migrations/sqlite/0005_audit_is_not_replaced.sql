-- INSERT OR REPLACE deletes the line that it replaces without a word to the triggers of deletions.
CREATE TRIGGER dlq_audit_is_not_replaced BEFORE INSERT ON dlq_audit
WHEN EXISTS (SELECT 1 FROM dlq_audit WHERE id = NEW.id)
BEGIN
    SELECT RAISE(ABORT, 'the audit log is only added to');
END;

-- A line whose id is still to be given has -1 before it is there: there must be none of that id.
CREATE TRIGGER dlq_audit_counts_up AFTER INSERT ON dlq_audit
WHEN NEW.id < 1
BEGIN
    SELECT RAISE(ABORT, 'the audit log is only added to');
END;
