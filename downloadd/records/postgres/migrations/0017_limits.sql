-- Limits over all nodes that users have changed, in place of those of the configuration.
CREATE TABLE limits (
    name text PRIMARY KEY,
    value bigint NOT NULL,
    -- Unix time.
    changed_at double precision NOT NULL
);
