//! Asking VMware's host through the tools that VMware offers for it.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::process::Command;

use crate::source::error::ReadError;
use crate::source::limits::USER_DATA_BYTES;

/// The tools, and how each is asked.
const TOOLS: &[(&str, &[&str])] = &[("usr/bin/vmware-rpctool", &[]), ("usr/bin/vmtoolsd", &["--cmd"])];
/// How long one question may take; the host answers at once or never.
const PATIENCE: Duration = Duration::from_secs(5);
/// Largest answer, in bytes: user data as base64.
const MAX_BYTES: u64 = (USER_DATA_BYTES as u64) / 3 * 4 + 4096;

/// The value of `key`, asked for with the first tool below `root`.
pub(super) fn get(root: &Path, key: &str) -> Result<Option<Vec<u8>>, ReadError> {
    let Some((tool, args)) = TOOLS.iter().map(|(tool, args)| (root.join(tool), *args)).find(|(tool, _)| tool.is_file()) else {
        return Ok(None);
    };
    let worker = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime
            .block_on(async { tokio::time::timeout(PATIENCE, ask(&tool, args, key)).await })
            .unwrap_or_else(|_| Err(ReadError::Io(format!("{} gave no answer within {} s", tool.display(), PATIENCE.as_secs()))))
    };
    // A thread of its own: a runtime cannot be waited for inside another one.
    std::thread::scope(|scope| scope.spawn(worker).join())
        .unwrap_or_else(|_| Err(ReadError::Io("the asking thread ended early".to_owned())))
}

async fn ask(tool: &Path, args: &[&str], key: &str) -> Result<Option<Vec<u8>>, ReadError> {
    let mut command = Command::new(tool);
    command.args(args).arg(format!("info-get {key}")).env_clear().kill_on_drop(true);
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
    let mut answer = Vec::new();
    if let Some(output) = child.stdout.take() {
        output.take(MAX_BYTES + 1).read_to_end(&mut answer).await?;
    }
    if answer.len() as u64 > MAX_BYTES {
        return Err(ReadError::TooLarge(USER_DATA_BYTES));
    }
    // Both tools fail where the host knows no such key.
    let found = child.wait().await?.success();
    if answer.last() == Some(&b'\n') {
        answer.pop();
    }
    Ok(Some(answer).filter(|answer| found && !answer.is_empty()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn tool(script: &str) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("usr/bin/vmware-rpctool");
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        dir
    }

    #[test]
    fn the_tool_is_asked_and_its_failure_means_that_there_is_nothing() {
        let dir = tool("test \"$1\" = 'info-get guestinfo.userdata' && echo 'I2Nsb3Vk' || { echo 'No value found'; exit 1; }");
        assert_eq!(get(dir.path(), "guestinfo.userdata").unwrap().as_deref(), Some(b"I2Nsb3Vk".as_slice()));
        assert_eq!(get(dir.path(), "guestinfo.metadata"), Ok(None));
        assert_eq!(get(tempfile::tempdir().unwrap().path(), "guestinfo.userdata"), Ok(None));
    }

    #[test]
    fn an_endless_answer_is_refused() {
        assert_eq!(get(tool("exec cat /dev/zero").path(), "x"), Err(ReadError::TooLarge(USER_DATA_BYTES)));
    }
}
