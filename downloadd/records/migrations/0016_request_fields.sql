-- What the requests of a download send besides the URL, as JSON; secret.
ALTER TABLE downloads ADD COLUMN request_fields TEXT;

-- Ended downloads whose URLs or request fields may still have secrets.
DROP INDEX downloads_ended_secrets;
CREATE INDEX downloads_ended_secrets ON downloads (end_time, ended_seq)
    WHERE ended_seq IS NOT NULL AND (secret_url IS NOT NULL OR mirrors IS NOT NULL OR request_fields IS NOT NULL);
