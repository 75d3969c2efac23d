//! From a recipe to a signed, reproducible container-host OS image, without root.
pub mod cli;
pub mod cmd;
pub mod diff;
pub mod explain;
pub mod licence;
pub mod manifest;
pub mod progress;
pub mod report;
pub mod sbom;
pub mod tools;
