//! The Omaha v3 protocol: types and XML, no I/O.
