-- Schedules; the body is JSON.
CREATE TABLE schedules (
    name TEXT PRIMARY KEY,
    revision INTEGER NOT NULL,
    body TEXT NOT NULL
) STRICT;
