-- Which bytes are in a part file that several connections write to; null where it is filled from its start on.
ALTER TABLE downloads ADD COLUMN received_ranges TEXT;
