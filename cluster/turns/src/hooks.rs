//! The operator's own word on whether a machine is steady: programs in `/etc/slipway/steady.d/` that must exit with 0.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::process::Command;

/// Where they are on a machine.
pub(crate) const FOLDER: &str = "/etc/slipway/steady.d";
/// How long one may take; then it is killed, and the machine is not steady.
const PATIENCE: Duration = Duration::from_secs(60);
/// Most programs; a folder with more is something else.
const HOOKS_MAX: usize = 64;
/// How much of what one says on standard error is read, in bytes.
const SAID_MAX: u64 = 4096;

/// What the programs of `folder` have against it, in the order of their names; the first that says no ends it.
pub(crate) async fn objection(folder: &Path) -> Option<String> {
    let hooks = match hooks(folder) {
        Ok(hooks) => hooks,
        Err(error) => return Some(format!("{}: {error}", folder.display())),
    };
    for hook in hooks {
        let name = hook.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        if let Err(text) = run(&hook, PATIENCE).await {
            return Some(format!("steady.d/{name} {text}"));
        }
    }
    None
}

fn hooks(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut hooks = Vec::new();
    for entry in entries {
        let path = entry?.path();
        let about = std::fs::metadata(&path)?;
        let hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if about.is_file() && about.permissions().mode() & 0o111 != 0 && !hidden {
            hooks.push(path);
        }
    }
    if hooks.len() > HOOKS_MAX {
        return Err(std::io::Error::other(format!("more than {HOOKS_MAX} programs")));
    }
    hooks.sort();
    Ok(hooks)
}

async fn run(hook: &Path, patience: Duration) -> Result<(), String> {
    let mut command = Command::new(hook);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().map_err(|error| format!("cannot be started: {error}"))?;
    let mut said = Vec::new();
    let ended = async {
        if let Some(mut stderr) = child.stderr.take() {
            let _ = (&mut stderr).take(SAID_MAX).read_to_end(&mut said).await;
            // The rest is nobody's; but a full pipe would stop it.
            let _ = tokio::io::copy(&mut stderr, &mut tokio::io::sink()).await;
        }
        child.wait().await
    };
    let status = match tokio::time::timeout(patience, ended).await {
        Ok(status) => status.map_err(|error| format!("is lost: {error}"))?,
        Err(_) => return Err(format!("has not ended after {} s", patience.as_secs())),
    };
    if status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&said).trim().lines().last().unwrap_or_default().to_owned();
    Err(if said.is_empty() { format!("says no ({status})") } else { format!("says no: {said}") })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn add(folder: &Path, name: &str, text: &str, mode: u32) {
        let path = folder.join(name);
        std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    }

    #[tokio::test]
    async fn all_must_say_yes_in_order() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(objection(&folder.path().join("absent")).await, None);
        add(folder.path(), "10-yes", "exit 0", 0o755);
        add(folder.path(), "15-no-program", "exit 1", 0o644);
        add(folder.path(), ".16-hidden", "exit 1", 0o755);
        assert_eq!(objection(folder.path()).await, None);
        add(folder.path(), "20-no", "echo a >&2; echo the tier is down >&2; exit 3", 0o755);
        add(folder.path(), "30-later", "exit 1", 0o755);
        assert_eq!(objection(folder.path()).await.unwrap(), "steady.d/20-no says no: the tier is down");
    }

    #[tokio::test]
    async fn one_that_says_nothing_or_too_much_or_hangs_is_bounded() {
        let folder = tempfile::tempdir().unwrap();
        add(folder.path(), "silent", "exit 1", 0o755);
        assert!(run(&folder.path().join("silent"), PATIENCE).await.unwrap_err().contains("exit status: 1"));
        add(folder.path(), "loud", "head -c 300000 /dev/zero | tr '\\0' x >&2; exit 1", 0o755);
        assert!(run(&folder.path().join("loud"), PATIENCE).await.unwrap_err().len() as u64 <= SAID_MAX + 50);
        add(folder.path(), "hangs", "exec sleep 1000", 0o755);
        assert!(run(&folder.path().join("hangs"), Duration::from_millis(50)).await.unwrap_err().contains("not ended"));
    }
}
