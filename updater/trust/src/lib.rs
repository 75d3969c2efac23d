//! Signed release metadata: TUF roles with ed25519, no I/O.
