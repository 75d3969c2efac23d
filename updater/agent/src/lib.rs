//! The daemon on the host.
