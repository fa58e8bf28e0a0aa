-- The gid that a request chose; that of other downloads is computed from their `seq`.
ALTER TABLE downloads ADD COLUMN gid TEXT;
CREATE UNIQUE INDEX downloads_gid ON downloads (gid) WHERE gid IS NOT NULL;

-- Where a move has put a download among those of its priority; null for the place of its `seq`.
ALTER TABLE downloads ADD COLUMN place REAL;

-- The downloads that wait for a run or are paused, in the order of starting.
CREATE INDEX downloads_queue ON downloads (-priority, coalesce(place, seq))
    WHERE ended_seq IS NULL AND (state IN ('queued', 'paused') OR desired = 'pause');

-- Ended downloads that a user has not removed from the list of results, and up to which `ended_seq` all are removed.
ALTER TABLE downloads ADD COLUMN cleared INTEGER NOT NULL DEFAULT 0;
CREATE INDEX downloads_results ON downloads (ended_seq) WHERE ended_seq IS NOT NULL AND cleared = 0;
CREATE TABLE cleared_results (ended_seq INTEGER NOT NULL);
INSERT INTO cleared_results VALUES (0);
