-- Every file of an import keeps its outcome, because its download may be removed from the history.
UPDATE import_files
SET saved_path = CASE WHEN d.state = 'completed' THEN d.directory || '/' || d.filename END,
    saved_size = CASE WHEN d.state = 'completed' THEN d.total END,
    saved_checksum = CASE WHEN d.state = 'completed' THEN d.checksum END,
    error = d.error
FROM downloads AS d
WHERE d.id = import_files.download_id AND d.ended_seq IS NOT NULL
    AND import_files.status IN ('completed', 'failed', 'cancelled', 'given_up');
