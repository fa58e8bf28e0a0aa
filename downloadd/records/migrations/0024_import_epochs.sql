-- How often a driver has taken over the operation; only the last one may write for it.
ALTER TABLE operations ADD COLUMN epoch INTEGER NOT NULL DEFAULT 0;
