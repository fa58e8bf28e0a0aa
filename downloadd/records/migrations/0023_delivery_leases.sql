-- Until when the delivery is held by the process that attempts it; NULL if none does.
ALTER TABLE deliveries ADD COLUMN taken_until REAL;
CREATE INDEX deliveries_taken ON deliveries (hook, taken_until) WHERE taken_until IS NOT NULL;
