-- One row per download, from accept to history. `ended_seq` is null exactly while the state is no end.
-- The defaults are those of a download that no run has touched: accepting one leaves these columns out.
CREATE TABLE downloads (
    seq INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    user TEXT NOT NULL,
    secret_url TEXT, -- null when the URL holds no secret and is the shown one
    shown_url TEXT NOT NULL,
    host TEXT NOT NULL,
    directory TEXT NOT NULL,
    wanted_name TEXT,
    conflict TEXT NOT NULL,
    checksum_wanted TEXT,
    timeout INTEGER NOT NULL,
    segments INTEGER NOT NULL,
    start_time INTEGER NOT NULL,
    desired TEXT NOT NULL,
    priority INTEGER NOT NULL,
    speed_limit INTEGER NOT NULL,
    state TEXT NOT NULL,
    epoch INTEGER NOT NULL DEFAULT 0,
    filename TEXT NOT NULL,
    attempt INTEGER NOT NULL DEFAULT 0,
    failures INTEGER NOT NULL DEFAULT 0,
    not_before REAL,
    time_spent REAL NOT NULL DEFAULT 0.0,
    received INTEGER NOT NULL DEFAULT 0,
    total INTEGER,
    validator TEXT,
    part_name TEXT,
    publishing INTEGER NOT NULL DEFAULT 0,
    last_modified INTEGER,
    content_type TEXT,
    checksum TEXT,
    error TEXT,
    detail TEXT,
    end_time INTEGER,
    ended_seq INTEGER
);

-- The state is in it so that a scan for some states does not touch the rows of the others.
CREATE INDEX downloads_active ON downloads (seq, state) WHERE ended_seq IS NULL;
CREATE INDEX downloads_active_directory ON downloads (directory, seq) WHERE ended_seq IS NULL;

CREATE UNIQUE INDEX downloads_ended ON downloads (ended_seq) WHERE ended_seq IS NOT NULL;
CREATE INDEX downloads_ended_state ON downloads (state, ended_seq) WHERE ended_seq IS NOT NULL;
CREATE INDEX downloads_ended_directory ON downloads (directory, ended_seq) WHERE ended_seq IS NOT NULL;

-- Answers to requests with an Idempotency-Key.
CREATE TABLE answers (
    user TEXT NOT NULL,
    key TEXT NOT NULL,
    fingerprint BLOB NOT NULL,
    status INTEGER NOT NULL,
    body BLOB NOT NULL,
    created REAL NOT NULL,
    PRIMARY KEY (user, key)
);
CREATE INDEX answers_created ON answers (created);

-- The highest `ended_seq` that a retry took back, so that no number is handed out twice across a restart.
CREATE TABLE withdrawn (ended_seq INTEGER NOT NULL);
INSERT INTO withdrawn VALUES (0);
