-- Users that were made by command, for all nodes; tokens as their hashes only.
CREATE TABLE users (
    id text PRIMARY KEY,
    token_hash text NOT NULL UNIQUE,
    -- A JSON object: permissions, and other keys of [[users]].
    settings text NOT NULL
);
