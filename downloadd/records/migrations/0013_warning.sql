-- What a user should check of a download that did not fail: a web page in place of a file, sources that were not used.
ALTER TABLE downloads ADD COLUMN warning TEXT;
