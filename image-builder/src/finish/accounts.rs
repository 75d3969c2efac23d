//! The account files, free of dates and of passwords.

use crate::tree::{Content, Kind, Tree, TreeError};

/// Locks every account and drops the day of the last password change, which is the day of the build.
pub fn normalise(tree: &mut Tree) -> Result<(), TreeError> {
    let passwd = tree.read_text("/etc/passwd")?;
    let old = tree.read_text("/etc/shadow").unwrap_or_default();
    let shadow = shadow_for(&passwd, &old);
    if let Some((_, node)) = tree.iter_mut().find(|(path, _)| *path == "/etc/shadow") {
        node.kind = Kind::File(Content::from(shadow));
    }
    Ok(())
}

/// One locked line per account in the order of passwd(5); see shadow(5).
///
/// `*` can never match a password and, unlike `!`, does not keep sshd from accepting the account's keys.
fn shadow_for(passwd: &str, old: &str) -> String {
    let ages = |name: &str| old.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')?.splitn(3, ':').nth(2));
    let lines = passwd.lines().filter_map(|line| line.split(':').next()).map(|name| {
        let rest = ages(name).unwrap_or("0:99999:7:::");
        format!("{name}:*::{rest}\n")
    });
    lines.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_account_is_locked_and_dateless() {
        let passwd = "root:x:0:0:root:/root:/bin/bash\ncore:x:1000:1000::/home/core:/bin/bash\n";
        let old = "root:secret:20777:0:99999:7:::\nghost:x:1:0:99999:7:::\n";
        assert_eq!(shadow_for(passwd, old), "root:*::0:99999:7:::\ncore:*::0:99999:7:::\n");
    }
}
