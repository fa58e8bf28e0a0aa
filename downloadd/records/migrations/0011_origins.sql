-- The origin whose slots a download waits for: scheme, host and port, as in `https://example.com` and
-- `http://[::1]:8080`. Before, it was the host alone; scheme and port are in the URL of the preferred source.
ALTER TABLE downloads RENAME COLUMN host TO origin;
-- Since when (Unix time) the attempts have failed, or a user retried the download; null before.
ALTER TABLE downloads ADD COLUMN retrying_since REAL;

CREATE TEMP TABLE source_urls (seq INTEGER PRIMARY KEY, scheme TEXT NOT NULL, authority TEXT NOT NULL);
INSERT INTO source_urls
SELECT seq, CASE WHEN lower(substr(url, 1, 6)) = 'https:' THEN 'https' ELSE 'http' END, substr(url, instr(url, '://') + 3)
FROM (
    SELECT seq, CASE
        WHEN typeof(turn) = 'integer' AND turn > 0 AND json_valid(mirrors) THEN json_extract(mirrors, '$[' || (turn - 1) || '].url')
        ELSE coalesce(secret_url, shown_url)
    END AS url
    FROM downloads
    WHERE typeof(origin) = 'text' AND origin != ''
)
WHERE typeof(url) = 'text' AND instr(url, '://') > 0;

-- The authority ends before the path, the query or the fragment, and begins after the userinfo.
UPDATE source_urls SET authority = substr(authority, 1, instr(authority || '/', '/') - 1);
UPDATE source_urls SET authority = substr(authority, 1, instr(authority || '?', '?') - 1);
UPDATE source_urls SET authority = substr(authority, 1, instr(authority || '#', '#') - 1);
UPDATE source_urls SET authority = substr(authority, instr(authority, '@') + 1);
-- Only the port stays, with its colon; the colons of an IPv6 address are inside of brackets.
UPDATE source_urls SET authority = substr(authority, instr(authority, ']') + 1);
UPDATE source_urls SET authority = substr(authority || ':', instr(authority || ':', ':') + 1);
UPDATE source_urls SET authority = CAST(rtrim(authority, ':') AS INTEGER);
UPDATE source_urls SET authority = CASE
    WHEN authority IN ('0', CASE scheme WHEN 'https' THEN '443' ELSE '80' END) THEN ''
    ELSE ':' || authority
END;
UPDATE downloads
SET origin = source_urls.scheme || '://'
    || CASE WHEN instr(origin, ':') THEN '[' || origin || ']' ELSE origin END || source_urls.authority
FROM source_urls
WHERE downloads.seq = source_urls.seq;
DROP TABLE source_urls;

-- The origins that are not healthy: after a restart, nothing is requested from them before its time.
CREATE TABLE origins (
    origin TEXT PRIMARY KEY,
    backoff_until REAL NOT NULL, -- Unix time; 0 without one
    is_open INTEGER NOT NULL, -- the circuit
    probe_at REAL NOT NULL, -- Unix time
    failures INTEGER NOT NULL,
    failing_since REAL, -- Unix time
    has_answered INTEGER NOT NULL,
    error TEXT
) WITHOUT ROWID;
