-- One noun per table; times are unix milliseconds, booleans 0 or 1, documents JSON text.
CREATE TABLE meta (name TEXT PRIMARY KEY, value BIGINT NOT NULL);
-- Changed by everything that changes groups, channels, releases or the list of rollouts: replicas reload what they hold in memory.
INSERT INTO meta (name, value) VALUES ('generation', 1);

CREATE TABLE tokens (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL,
    role TEXT NOT NULL,
    hash TEXT NOT NULL UNIQUE,
    created_at BIGINT NOT NULL,
    expires_at BIGINT,
    last_used BIGINT,
    revoked_at BIGINT
);

CREATE TABLE audit (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    at BIGINT NOT NULL,
    who TEXT NOT NULL,
    action TEXT NOT NULL,
    object TEXT NOT NULL,
    before TEXT,
    after TEXT
);

CREATE TABLE groups (
    name TEXT PRIMARY KEY,
    doc TEXT NOT NULL,
    created_at BIGINT NOT NULL
);

CREATE TABLE releases (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    app TEXT NOT NULL,
    arch TEXT NOT NULL,
    version TEXT NOT NULL,
    floor TEXT,
    blocked TEXT,
    rollback_index BIGINT NOT NULL,
    -- Where its files are and what a check is answered with.
    offer TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    UNIQUE (app, arch, version)
);

CREATE TABLE channels (
    name TEXT NOT NULL,
    app TEXT NOT NULL,
    arch TEXT NOT NULL,
    release_id BIGINT NOT NULL REFERENCES releases (id),
    PRIMARY KEY (name, app, arch)
);

CREATE TABLE rollouts (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    group_name TEXT NOT NULL,
    release_id BIGINT NOT NULL REFERENCES releases (id),
    doc TEXT NOT NULL,
    -- A copy of the document's state for filters.
    state TEXT NOT NULL,
    population BIGINT NOT NULL,
    granted BIGINT NOT NULL DEFAULT 0,
    completed BIGINT NOT NULL DEFAULT 0,
    failed BIGINT NOT NULL DEFAULT 0,
    rolled_back BIGINT NOT NULL DEFAULT 0,
    silent BIGINT NOT NULL DEFAULT 0,
    canary_granted BIGINT NOT NULL DEFAULT 0,
    canary_completed BIGINT NOT NULL DEFAULT 0,
    canary_bad BIGINT NOT NULL DEFAULT 0,
    -- Every write says which revision it was decided on and fails when that is no longer the one.
    revision BIGINT NOT NULL DEFAULT 1,
    created_at BIGINT NOT NULL,
    UNIQUE (group_name, release_id)
);

CREATE TABLE machines (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    app TEXT NOT NULL,
    machine_id TEXT NOT NULL,
    group_name TEXT NOT NULL,
    version TEXT NOT NULL,
    arch TEXT NOT NULL,
    oem TEXT NOT NULL,
    state TEXT NOT NULL,
    first_seen BIGINT NOT NULL,
    last_seen BIGINT NOT NULL,
    doc TEXT NOT NULL,
    UNIQUE (app, machine_id)
);
CREATE INDEX machines_by_group ON machines (group_name, version, state);

-- What became of each machine that was ever given a release: one row per machine and rollout.
CREATE TABLE grants (
    machine BIGINT NOT NULL,
    rollout BIGINT NOT NULL,
    at BIGINT NOT NULL,
    canary BIGINT NOT NULL,
    outcome TEXT NOT NULL,
    code BIGINT,
    cause TEXT,
    PRIMARY KEY (machine, rollout)
);
CREATE INDEX grants_by_rollout ON grants (rollout, outcome);

CREATE TABLE events (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    machine BIGINT NOT NULL,
    at BIGINT NOT NULL,
    kind BIGINT NOT NULL,
    result BIGINT NOT NULL,
    code BIGINT,
    cause TEXT,
    version TEXT NOT NULL,
    previous TEXT,
    release TEXT
);
CREATE INDEX events_by_machine ON events (machine, id);

CREATE TABLE points (
    rollout BIGINT NOT NULL,
    at BIGINT NOT NULL,
    doc TEXT NOT NULL,
    PRIMARY KEY (rollout, at)
);
