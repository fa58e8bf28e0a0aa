-- The directory of the files of a channel, which several channels may have; NULL if the channel was read by an earlier
-- version, so that its files stay in one directory.
ALTER TABLE import_channels ADD COLUMN directory TEXT GENERATED ALWAYS AS (
    CASE WHEN json_valid(channel) THEN nullif(json_extract(channel, '$.directory'), '') END
) VIRTUAL;
CREATE INDEX import_channels_directory ON import_channels (operation, directory);

-- Files whose downloads users may retry by themselves.
CREATE INDEX import_files_retried ON import_files (download_id) WHERE status IN ('failed', 'cancelled');

-- Those that completed so are not failed any more.
UPDATE operations
SET completed = completed + retried.files, failed = failed - retried.files
FROM (
    SELECT f.run, count(*) AS files FROM import_files AS f JOIN downloads AS d ON d.id = f.download_id
    WHERE f.status IN ('failed', 'cancelled') AND d.state IN ('completed', 'skipped') GROUP BY f.run
) AS retried
WHERE operations.id = retried.run AND failed >= retried.files;
UPDATE import_files
SET status = 'completed',
    saved_path = CASE WHEN d.state = 'completed' THEN d.directory || '/' || d.filename END,
    saved_size = CASE WHEN d.state = 'completed' THEN d.total END,
    saved_checksum = CASE WHEN d.state = 'completed' THEN d.checksum END,
    error = NULL,
    error_detail = NULL,
    link = CASE WHEN json_valid(link) THEN json_remove(link, '$.request_fields') ELSE link END
FROM downloads AS d
WHERE d.id = import_files.download_id AND d.state IN ('completed', 'skipped')
    AND import_files.status IN ('failed', 'cancelled');
