-- Which later downloads have published a file with the identity of an earlier one.
CREATE INDEX downloads_file_identity ON downloads (file_identity) WHERE file_identity IS NOT NULL;
