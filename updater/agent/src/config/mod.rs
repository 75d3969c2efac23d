//! The configuration: TOML files in order, with diagnostics and provenance.
