-- Downloads of users who may start no further one do not hide those of others: what may start is read by user too.
DROP INDEX downloads_ready;
CREATE INDEX downloads_ready
    ON downloads (origin, target, "user", priority DESC, coalesce(place, seq::double precision), seq)
    WHERE ended_seq IS NULL AND state IN ('queued', 'retrying') AND desired = 'run' AND not_before IS NULL
        AND (start_after IS NULL OR start_after <= released);
