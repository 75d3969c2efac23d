-- Who is signed in on the web page. The identifier itself is never stored, only its hash.
CREATE TABLE sessions (
    hash TEXT PRIMARY KEY,
    token BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    last_seen BIGINT NOT NULL
);
CREATE INDEX sessions_by_token ON sessions (token, created_at);
