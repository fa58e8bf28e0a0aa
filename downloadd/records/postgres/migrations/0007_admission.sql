-- Admission over all nodes: what may start now, by origin; what waits for a time; and the slots in use.
ALTER TABLE downloads
    ADD COLUMN target text NOT NULL DEFAULT '', -- origin that redirects led to; '' if not known
    ADD COLUMN released double precision NOT NULL DEFAULT 0; -- the last `start_after` whose time has come
CREATE INDEX downloads_ready ON downloads (origin, target, priority DESC, coalesce(place, seq::double precision), seq)
    WHERE ended_seq IS NULL AND state IN ('queued', 'retrying') AND desired = 'run' AND not_before IS NULL
        AND (start_after IS NULL OR start_after <= released);
CREATE INDEX downloads_delayed ON downloads (greatest(not_before, start_after))
    WHERE ended_seq IS NULL AND state IN ('queued', 'retrying') AND desired = 'run'
        AND (not_before IS NOT NULL OR start_after > released);

-- Slots of origins that runs hold; they are free when their row is removed, or their session is gone.
CREATE TABLE slots (
    origin text NOT NULL,
    seq bigint NOT NULL, -- the download
    session text NOT NULL, -- that of the node that runs it
    number bigint NOT NULL,
    PRIMARY KEY (origin, seq)
);
CREATE INDEX slots_session ON slots (session);

-- Who wrote the record of an origin, and when, so that other nodes learn of it. Healthy ones are kept for a moment.
ALTER TABLE origins
    ADD COLUMN session text,
    ADD COLUMN changed timestamptz NOT NULL DEFAULT clock_timestamp();
CREATE INDEX origins_changed ON origins (changed);
