-- The Unix time before which a download does not start, as its request states it.
ALTER TABLE downloads ADD COLUMN start_after REAL;
