-- Clusters that are coming about: one row per discovery token. `idx` is the index of its newest event and only ever rises; every
-- event of a token is written under the lock of this row, so that nobody sees an index before all lower ones.
CREATE TABLE discovery (
    token TEXT PRIMARY KEY,
    size BIGINT NOT NULL,
    idx BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    -- Never, where it is null.
    expires_at BIGINT
);
CREATE INDEX discovery_by_end ON discovery (expires_at);
CREATE TABLE discovery_members (
    token TEXT NOT NULL REFERENCES discovery (token) ON DELETE CASCADE,
    id TEXT NOT NULL,
    value TEXT NOT NULL,
    created BIGINT NOT NULL,
    modified BIGINT NOT NULL,
    -- A hash of what its machine may write it again with.
    secret TEXT,
    PRIMARY KEY (token, id)
);
-- Kept as long as the token: a machine that waits must see every one of them, in order.
CREATE TABLE discovery_events (
    token TEXT NOT NULL REFERENCES discovery (token) ON DELETE CASCADE,
    idx BIGINT NOT NULL,
    action TEXT NOT NULL,
    id TEXT NOT NULL,
    value TEXT,
    created BIGINT NOT NULL,
    PRIMARY KEY (token, idx)
);

-- Reboots in turns (FleetLock). A group without slots of its own has those of the policy.
CREATE TABLE turn_groups (
    name TEXT PRIMARY KEY,
    slots BIGINT,
    hold_max BIGINT
);
CREATE TABLE turns (
    group_name TEXT NOT NULL REFERENCES turn_groups (name) ON DELETE CASCADE,
    id TEXT NOT NULL,
    since BIGINT NOT NULL,
    asked_at BIGINT NOT NULL,
    PRIMARY KEY (group_name, id)
);
