//! The configuration: `/etc/slipway/cluster.toml` and `/etc/slipway/cluster.toml.d/*.toml`.
