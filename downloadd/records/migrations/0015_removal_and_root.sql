-- The highest `seq` of a removed download, so that no number is handed out twice, and the newest `ended_seq` at the last
-- removal, so that readers of events that come back later learn that they may have missed one.
ALTER TABLE withdrawn ADD COLUMN seq INTEGER NOT NULL DEFAULT 0;
ALTER TABLE withdrawn ADD COLUMN removed_at INTEGER NOT NULL DEFAULT 0;

-- The inode, size and modification time of the published file, so that no other file is removed in its place.
ALTER TABLE downloads ADD COLUMN file_identity TEXT;

-- The storage root as it was used last, as JSON: one row, or none yet.
CREATE TABLE storage_root (identity TEXT NOT NULL);
