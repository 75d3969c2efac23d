-- When a machine was last heard of changes with every check-in, the rest of its row hardly ever: apart, a check-in writes a few
-- bytes of a small table. Half of each page stays free for the new versions, so that no index has to be touched.
CREATE TABLE seen (machine BIGINT PRIMARY KEY, at BIGINT NOT NULL) WITH (fillfactor = 50);
INSERT INTO seen (machine, at) SELECT id, last_seen FROM machines;
ALTER TABLE seen SET (autovacuum_vacuum_scale_factor = 0.02);
ALTER TABLE machines DROP COLUMN last_seen;
ALTER TABLE machines RESET (fillfactor, autovacuum_vacuum_scale_factor);
-- How often the machine failed to install the release.
ALTER TABLE grants ADD COLUMN tries BIGINT NOT NULL DEFAULT 0;
