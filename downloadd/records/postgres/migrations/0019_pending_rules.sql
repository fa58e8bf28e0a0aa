-- Rules that the first usable response of a download decides on: JSON, or null once they are decided.
ALTER TABLE downloads ADD COLUMN pending_rules text;
