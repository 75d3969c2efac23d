//! Reads serial logs: what must not appear there, and what shows that a machine is lost.

use std::fmt;

/// Words that no healthy boot prints. A scenario that provokes some of them says so.
const BAD: &[&str] = &[
    "Kernel panic",
    "BUG: ",
    "Oops: ",
    "WARNING: CPU:",
    "general protection fault",
    "segfault at",
    "soft lockup",
    "blocked for more than",
    "Out of memory: Killed process",
    "I/O error",
    "is corrupted",
    "EXT4-fs error",
    "Failed to start",
    "Failed to mount",
    "Failed to listen",
    "Dependency failed for",
    "Ordering cycle found",
    "You are in emergency mode",
    "emergency.target",
    "Timed out waiting for device",
    "Failed to load kernel module",
    "Freezing execution",
];

/// Words that no healthy journal has; the console does not show them, or not always.
const BAD_IN_JOURNAL: &[&str] =
    &["dumped core", "Ordering cycle found", "ordering cycle", "segfault at", "Oops: ", "BUG: ", "EXT4-fs error"];

/// Newest lines of a journal that are looked at.
const MAX_JOURNAL_LINES: u32 = 20;

/// Words after which nothing good comes any more; waiting on can stop.
const FATAL: &[&str] = &["Kernel panic", "You are in emergency mode", "Freezing execution"];

/// The firmware says so each time it starts a boot loader.
const FIRMWARE_START: &str = "BdsDxe: starting Boot";

/// How often the firmware has started a boot loader.
#[must_use]
pub fn boots(log: &str) -> usize {
    log.matches(FIRMWARE_START).count()
}

/// A line of a log that should not be there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The log.
    pub log: &'static str,
    /// Line number, from 1.
    pub line: usize,
    /// The line, without terminal escapes.
    pub text: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.log, self.line, self.text)
    }
}

/// Bad lines of a log, except those that contain one of `allowed`.
#[must_use]
pub fn scan(log: &str, allowed: &[&str]) -> Vec<Finding> {
    find(log, BAD).filter(|finding| !allowed.iter().any(|word| finding.text.contains(word))).collect()
}

/// A script that prints the bad lines of this boot's journal.
#[must_use]
pub fn journal_query() -> String {
    // systemd's own pattern matching is slow under emulation when it has to look at every field; the text is enough.
    format!("journalctl -b -q --no-pager -o cat | grep -F -e '{}' | tail -n {MAX_JOURNAL_LINES}", BAD_IN_JOURNAL.join("' -e '"))
}

/// What [`journal_query`] found, except lines that contain one of `allowed`.
pub fn journal_findings<'a>(said: &'a str, allowed: &'a [&str]) -> impl Iterator<Item = Finding> + 'a {
    let lines = said.lines().enumerate().map(|(index, line)| Finding { log: "journal", line: index + 1, text: plain(line) });
    lines.filter(|finding| !finding.text.is_empty() && !allowed.iter().any(|word| finding.text.contains(word)))
}

/// The first line after which waiting is pointless.
#[must_use]
pub fn fatal(log: &str) -> Option<Finding> {
    find(log, FATAL).next()
}

fn find<'a>(log: &'a str, words: &'a [&str]) -> impl Iterator<Item = Finding> + 'a {
    let lines = log.lines().enumerate().map(|(index, line)| Finding { log: "serial.log", line: index + 1, text: plain(line) });
    lines.filter(|finding| words.iter().any(|word| finding.text.contains(word)))
}

/// `line` without terminal escapes: systemd colours its words, and firmware draws.
fn plain(line: &str) -> String {
    let mut text = String::new();
    let mut chars = line.chars();
    while let Some(char) = chars.next() {
        if char != '\x1b' {
            text.extend((!char.is_control()).then_some(char));
        } else if chars.next() == Some('[') {
            // A control sequence ends with its first letter.
            chars.by_ref().find(|char| char.is_ascii_alphabetic());
        }
    }
    text.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_bad_lines_under_colours_and_respects_allowances() {
        let log = "[  1.0] all well\r\n[\x1b[0;1;31mFAILED\x1b[0m] Failed to \x1b[1mstart docker.service\r\ndata block 7 is corrupted\n";
        let found = scan(log, &[]);
        assert_eq!(found.iter().map(|finding| finding.line).collect::<Vec<_>>(), [2, 3]);
        assert_eq!(found[0].to_string(), "serial.log:2: [FAILED] Failed to start docker.service");
        assert_eq!(scan(log, &["is corrupted"]).len(), 1);
        assert_eq!(scan("", &[]), []);
    }

    #[test]
    fn the_journal_is_asked_for_words_and_allowances_count_there_too() {
        assert!(journal_query().contains("-e 'dumped core'"), "{}", journal_query());
        let said = "Process 7 (etcd) of user 0 dumped core.\nsysinit.target: Found ordering cycle on x\n";
        assert_eq!(journal_findings(said, &[]).count(), 2);
        assert_eq!(
            journal_findings(said, &["ordering cycle"]).map(|finding| finding.to_string()).collect::<Vec<_>>(),
            ["journal:1: Process 7 (etcd) of user 0 dumped core."]
        );
        assert_eq!(journal_findings("", &[]).count(), 0);
    }

    #[test]
    fn a_panic_is_fatal_a_failed_unit_is_not() {
        assert!(fatal("[ 1.0] Kernel panic - not syncing: VFS\n").is_some());
        assert!(fatal("[FAILED] Failed to start docker.service\n").is_none());
    }
}
