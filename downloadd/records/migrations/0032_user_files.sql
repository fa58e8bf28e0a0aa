-- Files of users with a quota for stored bytes whose downloads were removed from the history.
CREATE TABLE user_files (
    user TEXT NOT NULL,
    directory TEXT NOT NULL,
    filename TEXT NOT NULL,
    size INTEGER NOT NULL,
    PRIMARY KEY (user, directory, filename)
) WITHOUT ROWID;
