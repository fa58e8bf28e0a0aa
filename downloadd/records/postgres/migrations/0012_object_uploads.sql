-- Multipart uploads of files to object storage, one of a download at most, with the parts that the storage has.
CREATE TABLE object_uploads (
    download_id text PRIMARY KEY,
    storage text NOT NULL,
    key text NOT NULL,
    size bigint NOT NULL,
    sha256 text NOT NULL,
    part_size bigint NOT NULL,
    begun double precision NOT NULL,
    -- NULL while the upload may have been created without its id being recorded.
    upload_id text
);
CREATE TABLE object_parts (
    download_id text NOT NULL,
    number integer NOT NULL,
    etag text NOT NULL,
    checksum text NOT NULL,
    PRIMARY KEY (download_id, number)
);
