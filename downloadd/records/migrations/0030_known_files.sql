-- 1: a file of the same name that has the same content is kept.
ALTER TABLE downloads ADD COLUMN skip_same INTEGER NOT NULL DEFAULT 0;
-- Digest of the URL of a completed download whose file can be recognised by its validator; NULL for others.
ALTER TABLE downloads ADD COLUMN resource TEXT;
CREATE INDEX downloads_resource ON downloads (resource, ended_seq) WHERE resource IS NOT NULL;
