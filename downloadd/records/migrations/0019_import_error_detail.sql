-- One sentence about the error of a file that failed before its download.
ALTER TABLE import_files ADD COLUMN error_detail TEXT;
