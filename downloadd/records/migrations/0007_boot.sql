-- Under which start of the machine the daemon ran last: one row, or none yet.
CREATE TABLE boot (id TEXT NOT NULL);
