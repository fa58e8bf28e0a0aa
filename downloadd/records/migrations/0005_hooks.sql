-- What hooks are still to be told; a row goes when its hook has been told, or will not be.
CREATE TABLE deliveries (
    number INTEGER PRIMARY KEY,
    event_id TEXT NOT NULL,
    hook TEXT NOT NULL,
    download_id TEXT NOT NULL,
    body BLOB NOT NULL,
    created REAL NOT NULL,
    tries INTEGER NOT NULL DEFAULT 0,
    due REAL NOT NULL
);
CREATE INDEX deliveries_due ON deliveries (hook, due);

-- The request that a download was accepted by, for the log.
ALTER TABLE downloads ADD COLUMN request_id TEXT;
