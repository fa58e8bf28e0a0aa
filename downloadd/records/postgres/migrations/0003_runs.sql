-- least: 3
-- The run of a download in a running state, by the node that performs it. In any other state, the last run.
ALTER TABLE downloads
    ADD COLUMN node text, -- name of the node
    ADD COLUMN session text, -- id of the start of its daemon; null if nothing of that run can write any more
    ADD COLUMN boot text; -- id of the boot of its machine, whose memory has what it wrote and did not sync
CREATE INDEX downloads_running ON downloads (session, seq) WHERE state IN ('starting', 'downloading', 'verifying');
UPDATE downloads SET boot = (SELECT id FROM boot) WHERE part_name IS NOT NULL;
DROP TABLE boot;
