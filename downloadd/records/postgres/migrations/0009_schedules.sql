-- Schedules; the body is JSON.
CREATE TABLE schedules (
    name text PRIMARY KEY,
    revision bigint NOT NULL,
    body text NOT NULL
);
