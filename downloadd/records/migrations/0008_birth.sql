-- When the database was begun (Unix time): one row, or none if that was before anybody asked. A download whose id is older
-- was another database's, and so is its part file.
CREATE TABLE birth (begun REAL NOT NULL);
