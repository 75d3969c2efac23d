//! The configuration: TOML files in order, the last one that says something about a key wins, and each value knows its file and line.
//!
//! Order: `/usr/lib/slipway/updater.toml`, `/etc/coreos/update.conf`, `/etc/slipway/updater.toml`, `/etc/slipway/updater.toml.d/*.toml` by
//! name. No environment variable is looked at. A configuration with any problem is not used at all.
//!
//! | module | holds |
//! | --- | --- |
//! | [`model`] | the effective settings |
//! | [`diagnostic`] | the text of a problem |
//! | `load` | the files and their order |
//! | `read`, `value` | one TOML file: the keys there are, the syntax of single values |
//! | `coreos` | `/etc/coreos/update.conf` |

mod coreos;
pub use diagnostics as diagnostic;
mod load;
pub mod model;
mod read;
#[cfg(test)]
mod tests;
mod value;
#[cfg(test)]
mod vendor_tests;

pub use diagnostic::Diagnostic;
pub use load::{Loaded, Origin, check_file, load};
pub use model::{CheckPlan, RebootPlan, Settings, Strategy};
pub(crate) use value::Shown;

use std::path::PathBuf;

/// What is wrong with the configuration.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A file cannot be read.
    #[error("reading {path}: {source}", path = .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The operating system's reason.
        source: std::io::Error,
    },
    /// A file is no configuration by its size alone.
    #[error("{path} has more than {limit} bytes; this is not a configuration file", path = .path.display())]
    Large {
        /// The file.
        path: PathBuf,
        /// The limit in bytes.
        limit: u64,
    },
    /// The content is wrong; every problem is listed.
    #[error("{}", diagnostic::join(.diagnostics))]
    Invalid {
        /// The problems, in the order of files and lines.
        diagnostics: Vec<Diagnostic>,
    },
}
