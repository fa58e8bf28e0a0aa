-- The running downloads of a node with their progress, as JSON; null if it runs none.
ALTER TABLE nodes ADD COLUMN runs text;
