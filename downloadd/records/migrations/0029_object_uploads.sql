-- Multipart uploads of files to object storage, one of a download at most, with the parts that the storage has.
CREATE TABLE object_uploads (
    download_id TEXT PRIMARY KEY,
    storage TEXT NOT NULL,
    key TEXT NOT NULL,
    size INTEGER NOT NULL,
    sha256 TEXT NOT NULL,
    part_size INTEGER NOT NULL,
    begun REAL NOT NULL,
    -- NULL while the upload may have been created without its id being recorded.
    upload_id TEXT
) WITHOUT ROWID;
CREATE TABLE object_parts (
    download_id TEXT NOT NULL,
    number INTEGER NOT NULL,
    etag TEXT NOT NULL,
    checksum TEXT NOT NULL,
    PRIMARY KEY (download_id, number)
) WITHOUT ROWID;
