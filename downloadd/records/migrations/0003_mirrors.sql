-- Where else the file can be had: a JSON array of objects with `url` and `host`; null where nowhere else.
ALTER TABLE downloads ADD COLUMN mirrors TEXT;
