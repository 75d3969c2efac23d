//! What unit tests share: the external programs they may use, and an honest way to skip.

use std::path::Path;

use crate::tools::Tools;

/// Environment variable that names a tools tree for tests; without it the host's own programs are used.
const TOOLS_VAR: &str = "SLIPWAY_TEST_TOOLS";

/// Says why a test proves nothing on this machine.
#[expect(clippy::print_stderr, reason = "a skipped test must be seen")]
pub(crate) fn skip(reason: &str) {
    eprintln!("skipped: {reason}");
}

/// A tools tree that holds all of `files` (relative to its root), or `None` after saying what is missing.
///
/// The host itself is such a tree when it is a Debian of our architecture.
pub(crate) fn tools(files: &[&str]) -> Option<Tools> {
    let root = std::env::var(TOOLS_VAR).unwrap_or_else(|_| "/".into());
    let missing = files.iter().find(|file| !Path::new(&root).join(file).exists());
    match missing {
        None => Some(Tools::at(root)),
        Some(file) => {
            skip(&format!("{root} holds no {file}; point {TOOLS_VAR} at an unpacked tools tree"));
            None
        }
    }
}
