//! Which QEMU is installed, and whether it can run our kernel.

use std::fmt;

use super::PROGRAM;
use super::accel::Accel;
use crate::cmd::{Cmd, CmdError};

/// The first major version whose translator runs Debian 13's kernel on several processors. QEMU 7.2 double-faults in
/// `__kmalloc` on `cmpxchg16b`.
const FIRST_SAFE_TCG_SMP: u32 = 8;

/// A QEMU version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// Major number.
    pub major: u32,
    /// Minor number.
    pub minor: u32,
}

/// What went wrong while asking for the version.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VersionError {
    /// QEMU could not be run.
    #[error(transparent)]
    Cmd(#[from] CmdError),
    /// It answered something else.
    #[error("`{PROGRAM} --version` says {0:?}, which names no version")]
    Unreadable(String),
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// Asks the installed QEMU.
pub fn installed() -> Result<Version, VersionError> {
    let text = Cmd::new(PROGRAM).arg("--version").text()?;
    parse(&text).ok_or_else(|| VersionError::Unreadable(text.lines().next().unwrap_or_default().to_owned()))
}

/// Reads the first line of `qemu-system-x86_64 --version`.
#[must_use]
pub fn parse(text: &str) -> Option<Version> {
    let rest = text.lines().next()?.strip_prefix("QEMU emulator version ")?;
    let mut numbers = rest.split(|c: char| !c.is_ascii_digit());
    Some(Version { major: numbers.next()?.parse().ok()?, minor: numbers.next()?.parse().ok()? })
}

/// How many processors a guest gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cpus {
    /// The number.
    pub count: u32,
    /// What the user should know when it is not what was asked for.
    pub warning: Option<String>,
}

/// Reduces `wanted` to what this QEMU can emulate without crashing the guest's kernel.
#[must_use]
pub fn allowed_cpus(wanted: u32, version: Version, accel: Accel) -> Cpus {
    if accel == Accel::Kvm || version.major >= FIRST_SAFE_TCG_SMP || wanted <= 1 {
        return Cpus { count: wanted.max(1), warning: None };
    }
    let warning = format!(
        "QEMU {version} emulates several processors wrongly and crashes the guest's kernel: using one; \
         QEMU {FIRST_SAFE_TCG_SMP} or later has no such limit (Debian 12: apt-get install -t bookworm-backports qemu-system-x86)"
    );
    Cpus { count: 1, warning: Some(warning) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const V7: Version = Version { major: 7, minor: 2 };
    const V10: Version = Version { major: 10, minor: 0 };

    #[test]
    fn reads_what_distributions_print() {
        let table = [
            ("QEMU emulator version 10.0.2 (Debian 1:10.0.2+ds-2+deb13u1~bpo12+1)\nCopyright (c)", Some(V10)),
            ("QEMU emulator version 7.2.15 (Debian 1:7.2+dfsg-7)", Some(V7)),
            ("QEMU emulator version 9.1.50", Some(Version { major: 9, minor: 1 })),
            ("QEMU emulator version x", None),
            ("", None),
        ];
        for (text, expected) in table {
            assert_eq!(parse(text), expected, "{text}");
        }
    }

    #[test]
    fn only_an_old_translator_with_several_processors_is_limited() {
        let table =
            [(2, V7, Accel::Tcg, 1), (1, V7, Accel::Tcg, 1), (4, V7, Accel::Kvm, 4), (4, V10, Accel::Tcg, 4), (0, V10, Accel::Tcg, 1)];
        for (wanted, version, accel, count) in table {
            let cpus = allowed_cpus(wanted, version, accel);
            assert_eq!(cpus.count, count);
            assert_eq!(cpus.warning.is_some(), wanted > count, "{cpus:?}");
        }
        assert!(allowed_cpus(2, V7, Accel::Tcg).warning.unwrap().contains("backports"));
    }
}
