-- Rows without a session are found by the same index: many that wait do not slow down the search for those that run.
DROP INDEX downloads_running;
CREATE INDEX downloads_running ON downloads (coalesce(session, ''), seq)
    WHERE state IN ('starting', 'downloading', 'verifying');
