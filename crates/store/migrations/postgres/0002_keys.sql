-- The keys that callers show. One that was revoked is kept: as long as there is any row, keys are asked for.
CREATE TABLE keys (
    name       TEXT COLLATE "C" PRIMARY KEY,
    hash       BYTEA NOT NULL UNIQUE,   -- SHA-256; the key itself is kept nowhere
    scope      TEXT NOT NULL CHECK (scope IN ('read', 'write', 'admin')),
    created_at BIGINT NOT NULL,
    revoked_at BIGINT
);
