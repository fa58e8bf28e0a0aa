-- Whether the URL lost its secrets at the end of the download.
ALTER TABLE downloads ADD COLUMN secrets_removed INTEGER NOT NULL DEFAULT 0;

-- Part files that are kept after a failure, in the order of the ends.
CREATE INDEX downloads_kept ON downloads (ended_seq, received) WHERE ended_seq IS NOT NULL AND part_name IS NOT NULL;

-- Ended downloads whose URLs may still have secrets.
CREATE INDEX downloads_ended_secrets ON downloads (end_time, ended_seq)
    WHERE ended_seq IS NOT NULL AND (secret_url IS NOT NULL OR mirrors IS NOT NULL);
