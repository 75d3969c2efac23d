//! The other parts of a cluster that the daemon runs: one small door to each.

/// What `[swarm]` says.
pub type SwarmPlan = toml::Table;
/// What `[turns]` says.
pub type TurnsPlan = toml::Table;
