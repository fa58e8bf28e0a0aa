-- The start of the daemon that drives an import operation; another node continues it when that is gone.
ALTER TABLE operations ADD COLUMN session text;
