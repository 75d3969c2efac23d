//! Being root inside a user namespace, so that packages can be installed without being root outside.
//!
//! The outer process starts `unshare --user`, writes the id maps (through the setuid helpers `newuidmap` and
//! `newgidmap` for an ordinary user, directly for root) and hands the inner process a plan on standard input.
//! The inner process is this same program with a hidden subcommand; it owns a mount and a PID namespace of its own.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Stdio};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::cmd::{Cmd, CmdError};

/// Ids mapped into the namespace: Debian's whole 16-bit range, so that every package user exists.
const ID_COUNT: u32 = 65_536;

/// What went wrong around the namespace.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NamespaceError {
    /// The user has no range of subordinate ids.
    #[error(
        "user `{user}` has no {ID_COUNT} subordinate ids in {file}; give it some with: usermod --add-subuids 100000-165535 --add-subgids 100000-165535 {user}"
    )]
    NoSubordinateIds {
        /// Login name.
        user: String,
        /// `/etc/subuid` or `/etc/subgid`.
        file: &'static str,
    },
    /// The kernel refuses user namespaces.
    #[error(
        "this machine does not let user `{user}` create user namespaces; look at sysctl kernel.unprivileged_userns_clone and user.max_user_namespaces"
    )]
    Refused {
        /// Login name.
        user: String,
    },
    /// A helper program failed.
    #[error(transparent)]
    Cmd(#[from] CmdError),
    /// The work inside failed and has said why.
    #[error("{0}")]
    Inner(String),
    /// Talking to the inner process failed.
    #[error("talking to the process in the user namespace: {0}")]
    Io(#[from] std::io::Error),
    /// The answer was not what this program writes.
    #[error("the process in the user namespace answered something unexpected: {0}")]
    Answer(#[from] serde_json::Error),
}

/// Runs the hidden subcommand `subcommand` of this program as root of a fresh user namespace and returns its answer.
pub fn run<T: DeserializeOwned>(subcommand: &str, plan: &impl Serialize) -> Result<T, NamespaceError> {
    let myself = std::env::current_exe()?;
    // The first shell only waits for the id maps: capabilities are granted at the exec after them.
    let script = r#"echo ready; read -r _ && exec unshare --mount --pid --fork --kill-child --propagation private -- "$0" "$1""#;
    let mut child = Cmd::new("unshare")
        .args(["--user", "--", "sh", "-c", script])
        .arg(&myself)
        .arg(subcommand)
        .with(|command| {
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
        })
        .spawn()?;
    let result = talk(&mut child, plan);
    if result.is_err() {
        // Without its parent's half of the conversation the child has nothing left to do.
        let _ = child.kill();
    }
    let _ = child.wait();
    result
}

fn talk<T: DeserializeOwned>(child: &mut Child, plan: &impl Serialize) -> Result<T, NamespaceError> {
    let (Some(mut stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
        return Err(NamespaceError::Inner("the process has no standard streams".into()));
    };
    let mut answers = BufReader::new(stdout);
    let mut line = String::new();
    answers.read_line(&mut line)?;
    if line.trim() != "ready" {
        return Err(NamespaceError::Refused { user: user_name() });
    }
    write_id_maps(child.id())?;
    send(&mut stdin, plan)?;
    drop(stdin);
    line.clear();
    answers.read_line(&mut line)?;
    let answer: Answer<T> =
        if line.is_empty() { Answer::Failed("it ended without an answer".into()) } else { serde_json::from_str(&line)? };
    match answer {
        Answer::Done(value) => Ok(value),
        Answer::Failed(reason) => Err(NamespaceError::Inner(reason)),
    }
}

fn send(stdin: &mut ChildStdin, plan: &impl Serialize) -> Result<(), NamespaceError> {
    stdin.write_all(b"go\n")?;
    stdin.write_all(&serde_json::to_vec(plan)?)?;
    stdin.write_all(b"\n")?;
    Ok(())
}

/// What the inner process prints as its only line.
#[derive(Debug, Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Answer<T> {
    Done(T),
    Failed(String),
}

/// The inner half: reads the plan, does `work`, prints the answer.
pub fn serve<P: DeserializeOwned, T: Serialize>(work: impl FnOnce(P) -> anyhow::Result<T>) -> anyhow::Result<()> {
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line)?;
    let answer = match serde_json::from_str(&line).map_err(anyhow::Error::from).and_then(work) {
        Ok(value) => Answer::Done(value),
        Err(error) => Answer::Failed(format!("{error:#}")),
    };
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(&serde_json::to_vec(&answer)?)?;
    stdout.write_all(b"\n")?;
    Ok(())
}

fn write_id_maps(pid: u32) -> Result<(), NamespaceError> {
    let uid = rustix::process::getuid().as_raw();
    let gid = rustix::process::getgid().as_raw();
    if uid == 0 {
        // Root keeps its ids, but loses every power over what the namespace does not own.
        fs::write(format!("/proc/{pid}/gid_map"), format!("0 0 {ID_COUNT}\n"))?;
        fs::write(format!("/proc/{pid}/uid_map"), format!("0 0 {ID_COUNT}\n"))?;
        return Ok(());
    }
    let user = user_name();
    for (helper, id, file) in [("newgidmap", gid, "/etc/subgid"), ("newuidmap", uid, "/etc/subuid")] {
        let first = subordinate_range(Path::new(file), &user, uid).ok_or(NamespaceError::NoSubordinateIds { user: user.clone(), file })?;
        let rest = (ID_COUNT - 1).to_string();
        Cmd::new(helper).args([&pid.to_string(), "0", &id.to_string(), "1", "1", &first.to_string(), &rest]).run()?;
    }
    Ok(())
}

fn user_name() -> String {
    let uid = rustix::process::getuid().as_raw();
    let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
    name_of(&passwd, uid).unwrap_or_else(|| uid.to_string())
}

fn name_of(passwd: &str, uid: u32) -> Option<String> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == uid.to_string()).then(|| name.to_owned())
    })
}

fn subordinate_range(file: &Path, user: &str, uid: u32) -> Option<u32> {
    parse_subordinate_range(&fs::read_to_string(file).ok()?, user, uid)
}

/// First id of the first range that belongs to `user` and is large enough; see subuid(5).
fn parse_subordinate_range(text: &str, user: &str, uid: u32) -> Option<u32> {
    text.lines().find_map(|line| {
        let mut fields = line.split(':');
        let owner = fields.next()?;
        let first: u32 = fields.next()?.trim().parse().ok()?;
        let count: u32 = fields.next()?.trim().parse().ok()?;
        ((owner == user || owner == uid.to_string()) && count >= ID_COUNT - 1).then_some(first)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_first_range_that_is_large_enough() {
        let table = [
            ("bob:100000:65536\n", Some(100_000)),
            ("alice:1:65536\nbob:200000:65536\n", Some(200_000)),
            ("bob:100000:1000\nbob:300000:65535\n", Some(300_000)),
            ("1001:400000:65536\n", Some(400_000)),
            ("alice:100000:65536\n", None),
            ("bob:100000:65534\n", None),
            ("bob:x:65536\n", None),
            ("bob\n", None),
            ("", None),
        ];
        for (text, first) in table {
            assert_eq!(parse_subordinate_range(text, "bob", 1001), first, "{text:?}");
        }
    }

    #[test]
    fn names_a_user_by_uid() {
        let passwd = "root:x:0:0:root:/root:/bin/bash\nbob:x:1001:1001::/home/bob:/bin/sh\nbroken\n";
        assert_eq!(name_of(passwd, 1001).as_deref(), Some("bob"));
        assert_eq!(name_of(passwd, 7), None);
    }
}
