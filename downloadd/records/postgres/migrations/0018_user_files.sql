-- Files of users with a quota for stored bytes whose downloads were removed from the history.
CREATE TABLE user_files (
    "user" text NOT NULL,
    directory text NOT NULL,
    filename text NOT NULL,
    size bigint NOT NULL
);
-- An entry of an index has 2704 bytes at most, so that it cannot have a whole directory.
CREATE INDEX user_files_user ON user_files ("user");
