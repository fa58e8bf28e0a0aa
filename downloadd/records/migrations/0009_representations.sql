-- What is in the part file: its content coding, what the origin has said of its bytes, and where redirects led to for it.
ALTER TABLE downloads ADD COLUMN coding TEXT;
ALTER TABLE downloads ADD COLUMN promises TEXT;
ALTER TABLE downloads ADD COLUMN found_at TEXT;
