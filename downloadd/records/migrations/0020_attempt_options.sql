-- Limits of the attempts of a download in place of the configured ones, as JSON; NULL if its request states none.
ALTER TABLE downloads ADD COLUMN attempt_options TEXT;
