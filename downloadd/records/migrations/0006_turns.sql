-- Which source is asked first: 0 for the URL, then the mirrors. `host` is that of this source.
ALTER TABLE downloads ADD COLUMN turn INTEGER NOT NULL DEFAULT 0;
