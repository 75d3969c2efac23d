//! The options of every subcommand that may download packages.

use std::path::PathBuf;

use crate::lock::ArchiveOptions;

/// Where packages come from. Without these options, from where apt on this machine gets its own.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Archives")]
pub struct ArchiveArgs {
    /// Address of a mirror of the Debian archive (http, https, file or copy).
    #[arg(long, value_name = "URL", env = "SLIPWAY_MIRROR", hide_env_values = true)]
    mirror: Option<String>,
    /// Address of a mirror of the Debian security archive.
    #[arg(long, value_name = "URL", env = "SLIPWAY_SECURITY_MIRROR", hide_env_values = true)]
    security_mirror: Option<String>,
    /// Keys that sign the archives [default: those of the package debian-archive-keyring].
    #[arg(long, value_name = "FILE")]
    keyring: Option<PathBuf>,
}

impl ArchiveArgs {
    /// As the library takes them.
    #[must_use]
    pub fn options(&self) -> ArchiveOptions {
        // An empty environment variable is how people unset one in a unit file or a pipeline.
        let set = |value: &Option<String>| value.clone().filter(|value| !value.is_empty());
        ArchiveOptions { mirror: set(&self.mirror), security_mirror: set(&self.security_mirror), keyring: self.keyring.clone() }
    }
}
