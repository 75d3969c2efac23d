//! What unit tests share: the external programs they may use, and an honest way to skip.

use std::path::Path;

use sha2::{Digest, Sha256};

use crate::extent::Extent;
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

/// Digest of a large sparse file: of its length and every block that is not zero with its position. Holes are not read.
pub(crate) fn sparse_digest(path: &Path) -> String {
    let file = Extent::open(path).unwrap();
    let mut hasher = Sha256::new();
    hasher.update(file.len().to_le_bytes());
    let mut from = 0;
    while let Some(at) = file.first_nonzero(from).unwrap() {
        let start = at / 4096 * 4096;
        let end = (start + 4096).min(file.len());
        hasher.update(start.to_le_bytes());
        hasher.update(file.read_vec(start, (end - start) as usize).unwrap());
        from = end;
    }
    hex::encode(hasher.finalize())
}
