-- How a transfer was resumed, under which weak entity tag, and the part file that it started over beside.
ALTER TABLE downloads ADD COLUMN weak_tag TEXT;
ALTER TABLE downloads ADD COLUMN resumed_by TEXT;
ALTER TABLE downloads ADD COLUMN superseded TEXT;
ALTER TABLE downloads ADD COLUMN strict_resume INTEGER NOT NULL DEFAULT 0;
