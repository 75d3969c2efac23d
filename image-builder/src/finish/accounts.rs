//! The account files, free of dates and of passwords.

use crate::manifest::Origin;
use crate::tree::{Content, Kind, Node, Tree, TreeError};

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

/// Where the accounts are listed for sysusers.d(5), before what packages say.
const SYSUSERS: &str = "/usr/lib/sysusers.d/00-slipway.conf";

/// Lists the image's accounts where systemd-sysusers finds them.
///
/// A host that changed its account files keeps its copies, which hide those of later releases; the first boot of a
/// release then adds the accounts that its services need, under the same numbers everywhere.
pub fn declare(tree: &mut Tree) -> Result<(), TreeError> {
    let text = sysusers(&tree.read_text("/etc/passwd")?, &tree.read_text("/etc/group")?);
    tree.insert(SYSUSERS, Node::file(text, 0o644, Origin::Builder));
    Ok(())
}

/// The accounts of passwd(5) and group(5) but for those that systemd itself knows.
fn sysusers(passwd: &str, group: &str) -> String {
    let mut lines = String::from("# The accounts of this image, under the numbers that they have everywhere.\n");
    for fields in group.lines().map(|line| line.split(':').collect::<Vec<_>>()) {
        if let [name, _, gid, ..] = fields[..]
            && !BUILT_IN.contains(&name)
        {
            lines.push_str(&format!("g {name} {gid}\n"));
        }
    }
    for fields in passwd.lines().map(|line| line.split(':').collect::<Vec<_>>()) {
        if let [name, _, uid, gid, comment, home, shell] = fields[..]
            && !BUILT_IN.contains(&name)
        {
            lines.push_str(&format!("u {name} {uid}:{gid} \"{comment}\" {home} {shell}\n"));
        }
    }
    lines
}

/// Accounts that are there by definition.
const BUILT_IN: [&str; 3] = ["root", "nobody", "nogroup"];

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
    fn accounts_are_declared_under_their_numbers() {
        let text = sysusers(
            "root:x:0:0:root:/root:/bin/bash\ncore:x:1000:1000:Slipway operator:/home/core:/bin/bash\nbroken\n",
            "root:x:0:\ndocker:x:233:core\nnogroup:x:65534:\n",
        );
        let lines: Vec<&str> = text.lines().skip(1).collect();
        assert_eq!(lines, ["g docker 233", "u core 1000:1000 \"Slipway operator\" /home/core /bin/bash"]);
    }

    #[test]
    fn every_account_is_locked_and_dateless() {
        let passwd = "root:x:0:0:root:/root:/bin/bash\ncore:x:1000:1000::/home/core:/bin/bash\n";
        let old = "root:secret:20777:0:99999:7:::\nghost:x:1:0:99999:7:::\n";
        assert_eq!(shadow_for(passwd, old), "root:*::0:99999:7:::\ncore:*::0:99999:7:::\n");
    }
}
