"""Records in a PostgreSQL database. Needs the extra `cluster`; imported only if such a database is configured."""
