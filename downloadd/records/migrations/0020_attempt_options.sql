-- Limits of the attempts of a download in place of the configured ones, as JSON; NULL if its request states none.
ALTER TABLE downloads ADD COLUMN attempt_options TEXT;

-- The point at which the connection of the last attempt failed, and the status of the origin's response if it is the
-- error.
ALTER TABLE downloads ADD COLUMN cause TEXT;
ALTER TABLE downloads ADD COLUMN origin_status INTEGER;
