-- The Unix time before which no download of an import operation starts.
ALTER TABLE operations ADD COLUMN not_before double precision;
