-- Bytes that the downloads of users with a quota have received, by day of their time zone. Each process has a row of its
-- own, with all that it has received, so that a write that is repeated counts once.
CREATE TABLE user_days (
    user TEXT NOT NULL,
    day TEXT NOT NULL, -- ISO 8601
    process TEXT NOT NULL,
    received INTEGER NOT NULL,
    PRIMARY KEY (user, day, process)
) WITHOUT ROWID;
