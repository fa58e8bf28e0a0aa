-- How often a driver has taken over the operation; only the last one may write for it.
ALTER TABLE operations ADD COLUMN epoch INTEGER NOT NULL DEFAULT 0;

-- Files of runs that an earlier version reserved and, being killed, never recorded.
UPDATE import_files SET status = CASE WHEN download_id IS NULL THEN 'pending' ELSE 'failed' END
WHERE status = 'reserved' AND run NOT IN (SELECT id FROM operations);
