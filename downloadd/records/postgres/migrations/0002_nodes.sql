-- The nodes that use the database, and what each reported with its last heartbeat.
CREATE TABLE nodes (
    name text PRIMARY KEY,
    session text NOT NULL, -- id of the start of the daemon
    instance text NOT NULL, -- id of its state directory
    lease double precision NOT NULL, -- seconds without a heartbeat after which it counts as gone
    last_seen timestamptz NOT NULL,
    report text NOT NULL -- JSON
);
