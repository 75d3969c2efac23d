//! What happened on this machine, one JSON line each.
