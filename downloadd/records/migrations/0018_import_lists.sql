-- The lists of checksums of an import.
CREATE INDEX import_files_lists ON import_files (operation) WHERE rank = 0;
