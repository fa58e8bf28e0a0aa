-- Parts of import files that are not imported. `owner`: the channel, or ''; `file_id`: the file, or ''.
CREATE TABLE import_skipped (
    number INTEGER PRIMARY KEY,
    operation TEXT NOT NULL,
    owner TEXT NOT NULL,
    file_id TEXT NOT NULL,
    entry TEXT NOT NULL -- JSON
);
CREATE INDEX import_skipped_operation ON import_skipped (operation);

-- The id of a file of a chat, which several channels may name; NULL if each row is a file of its own.
ALTER TABLE import_files ADD COLUMN file_id TEXT;
-- 0 for a list of checksums, which is downloaded before the files that it names.
ALTER TABLE import_files ADD COLUMN rank INTEGER NOT NULL DEFAULT 1;
-- 1 for a file that the archive of the import contains. It has no download; the columns below are of such files.
ALTER TABLE import_files ADD COLUMN archived INTEGER NOT NULL DEFAULT 0;
ALTER TABLE import_files ADD COLUMN saved_path TEXT;
ALTER TABLE import_files ADD COLUMN saved_size INTEGER;
ALTER TABLE import_files ADD COLUMN saved_checksum TEXT;
ALTER TABLE import_files ADD COLUMN error TEXT;
CREATE UNIQUE INDEX import_files_mention ON import_files (operation, wanted, file_id, owner) WHERE file_id IS NOT NULL;
CREATE INDEX import_files_archived ON import_files (operation) WHERE archived = 1;
CREATE INDEX import_files_reserved ON import_files (run) WHERE status = 'reserved';
CREATE INDEX import_files_ended ON import_files (operation, wanted) WHERE status IN ('failed', 'cancelled');

-- Files that were tried are tried again only on request from now on.
UPDATE import_files SET status = 'failed' WHERE status = 'pending' AND run IS NOT NULL;

-- The imports whose files a run downloads: a JSON array of ids.
ALTER TABLE operations ADD COLUMN sources TEXT;
ALTER TABLE operations ADD COLUMN given_up INTEGER NOT NULL DEFAULT 0;
