-- When a machine was last heard of changes with every check-in, the rest of its row hardly ever: apart, a check-in writes a few
-- bytes of a small table.
CREATE TABLE seen (machine INTEGER PRIMARY KEY, at BIGINT NOT NULL);
INSERT INTO seen (machine, at) SELECT id, last_seen FROM machines;
ALTER TABLE machines DROP COLUMN last_seen;
-- How often the machine failed to install the release.
ALTER TABLE grants ADD COLUMN tries BIGINT NOT NULL DEFAULT 0;
