//! The last words of a unit.

use std::time::Duration;

use super::process;

/// The journal's reader.
const JOURNALCTL: &str = "/usr/bin/journalctl";
/// Reading the end of one unit's journal takes far less.
const PATIENCE: Duration = Duration::from_secs(10);

/// The last lines that a unit logged in this boot, on one line; empty when there are none.
pub(super) async fn last_words(unit: &str) -> String {
    let args = ["--boot", "--quiet", "--no-pager", "--output=cat", "--lines=5", "--unit", unit];
    let ended = process::run(JOURNALCTL.as_ref(), &args, PATIENCE).await;
    if ended.success { ended.tail.lines().collect::<Vec<_>>().join(" | ") } else { String::new() }
}
