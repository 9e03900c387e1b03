-- The first request with each idempotency key. The identity is a digest of customer and key, so it is
-- of one length and no two keys collide by being cut; the answer is kept as bytes, as it was given.
CREATE TABLE keyed_requests (
    identity    BLOB    NOT NULL PRIMARY KEY CHECK (length(identity) = 32),
    fingerprint BLOB    NOT NULL CHECK (length(fingerprint) = 32),
    answer      BLOB    NOT NULL,
    at_ms       INTEGER NOT NULL
) STRICT;

-- What is old is forgotten from this end.
CREATE INDEX keyed_requests_by_time ON keyed_requests (at_ms);
