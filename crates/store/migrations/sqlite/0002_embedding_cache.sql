-- Vectors of texts that were embedded before: an album with one new tag, or the same artist again, costs no inference.
CREATE TABLE embedding_cache (
    number INTEGER PRIMARY KEY,         -- the oldest entries have the lowest
    key    BLOB NOT NULL UNIQUE,        -- SHA-256 over the model, what the text is for, and the text
    vector BLOB NOT NULL                -- little-endian float32
) STRICT;

-- Several spaces may be filled at one time, and the model of one may be away: each has an order of its own.
DROP INDEX jobs_to_claim;
CREATE INDEX jobs_to_claim ON jobs (space, priority, id, run_at) WHERE state = 'available';
