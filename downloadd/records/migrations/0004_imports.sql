-- Import operations, and what is in the files that were uploaded.
CREATE TABLE operations (
    id TEXT PRIMARY KEY,
    kind TEXT NOT NULL,
    user TEXT NOT NULL,
    ts INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    status TEXT NOT NULL,
    valid INTEGER NOT NULL,
    content_type TEXT,
    file TEXT,
    name TEXT NOT NULL,
    download_id TEXT,
    message_count INTEGER NOT NULL,
    skipped INTEGER NOT NULL,
    total INTEGER NOT NULL,
    completed INTEGER NOT NULL,
    failed INTEGER NOT NULL,
    reason TEXT,
    error_code TEXT
);
CREATE INDEX operations_updated ON operations (updated_at);
CREATE INDEX operations_user ON operations (user, ts);

CREATE TABLE import_people (
    operation TEXT NOT NULL,
    user_id TEXT NOT NULL,
    person TEXT NOT NULL, -- JSON
    do_import INTEGER NOT NULL DEFAULT 1,
    PRIMARY KEY (operation, user_id)
) WITHOUT ROWID;

CREATE TABLE import_channels (
    operation TEXT NOT NULL,
    channel_id TEXT NOT NULL,
    channel TEXT NOT NULL, -- JSON
    do_import INTEGER NOT NULL DEFAULT 1,
    PRIMARY KEY (operation, channel_id)
) WITHOUT ROWID;

-- One row per file that an import names. `status`: found, pending (selected), downloading, completed.
CREATE TABLE import_files (
    number INTEGER PRIMARY KEY,
    operation TEXT NOT NULL,
    wanted TEXT NOT NULL, -- file or avatar
    owner TEXT NOT NULL, -- the channel of a file, the user of an avatar
    link TEXT NOT NULL, -- JSON, with secrets
    status TEXT NOT NULL DEFAULT 'found',
    run TEXT, -- the operation that fetches it, or fetched it last
    download_id TEXT
);
CREATE INDEX import_files_operation ON import_files (operation, wanted, owner);
CREATE INDEX import_files_pending ON import_files (operation, wanted) WHERE status = 'pending';
CREATE INDEX import_files_downloading ON import_files (download_id) WHERE status = 'downloading';
CREATE INDEX import_files_run ON import_files (run) WHERE run IS NOT NULL;

-- What an import says of a file that it names.
ALTER TABLE downloads ADD COLUMN size_wanted INTEGER;
ALTER TABLE downloads ADD COLUMN type_wanted TEXT;
-- The operation that a download belongs to.
ALTER TABLE downloads ADD COLUMN operation TEXT;
