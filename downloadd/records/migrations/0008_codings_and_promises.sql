-- The content coding of what is in the part file, and what the origin has said of its bytes.
ALTER TABLE downloads ADD COLUMN coding TEXT;
ALTER TABLE downloads ADD COLUMN promises TEXT;
