-- Validators of an earlier download: JSON, or null.
ALTER TABLE downloads ADD COLUMN condition text;
