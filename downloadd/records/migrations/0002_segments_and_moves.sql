-- Which bytes are in a part file that several connections write to; null where it is filled from its start on.
ALTER TABLE downloads ADD COLUMN received_ranges TEXT;

-- Whether the URL was changed since, so that what is in the part file may be of another resource.
ALTER TABLE downloads ADD COLUMN moved INTEGER NOT NULL DEFAULT 0;
