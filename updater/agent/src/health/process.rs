//! The one door to other programs: bounded in time and output, and nothing of them stays behind.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};
use tokio::time::{Instant, timeout_at};

/// The last part of a program's output that is kept, in bytes.
pub(super) const TAIL_BYTES: usize = 2048;

/// What a program wrote just before its end is waited for this long.
const SETTLE: Duration = Duration::from_millis(100);

/// How a program ended.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) success: bool,
    /// Its last words, or why there are none.
    pub(super) tail: String,
}

impl Ended {
    fn failed(tail: String) -> Self {
        Self { success: false, tail }
    }
}

/// Runs a program at most `patience` long; then it and its children are killed.
pub(super) async fn run(program: &Path, args: &[&str], patience: Duration) -> Ended {
    // tokio's Command is not the one that is banned; this is the place for it all the same.
    let mut command = Command::new(program);
    command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    // A group of its own, so that the children of a script can be killed with it.
    command.kill_on_drop(true).process_group(0).current_dir("/").env("LC_ALL", "C.UTF-8");
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => return Ended::failed(format!("it cannot be started: {error}")),
    };
    let deadline = Instant::now() + patience;
    let group = child.id();
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let waited = {
        let output = async { tokio::join!(drain(stdout, &mut out), drain(stderr, &mut err)) };
        // A child in the background may keep the pipe open for ever; the program's own end is what counts.
        let mut output = std::pin::pin!(output);
        let mut drained = false;
        let waited = tokio::select! {
            waited = wait(&mut child, deadline) => waited,
            _ = &mut output => {
                drained = true;
                wait(&mut child, deadline).await
            }
        };
        if !drained {
            let _ = timeout_at(Instant::now() + SETTLE, output).await;
        }
        waited
    };
    if let Some(group) = group.and_then(|id| i32::try_from(id).ok()).and_then(rustix::process::Pid::from_raw) {
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
    }
    out.extend(err);
    let tail = tail(&out);
    match waited {
        Some(Ok(status)) if status.success() => Ended { success: true, tail },
        Some(Ok(status)) => Ended::failed(format!("{status}{}{tail}", if tail.is_empty() { "" } else { ": " })),
        Some(Err(error)) => Ended::failed(format!("waiting for it: {error}")),
        None => Ended::failed(format!("not finished within {} s{}{tail}", patience.as_secs(), if tail.is_empty() { "" } else { ": " })),
    }
}

async fn wait(child: &mut Child, deadline: Instant) -> Option<std::io::Result<std::process::ExitStatus>> {
    timeout_at(deadline, child.wait()).await.ok()
}

async fn drain(stream: Option<impl AsyncRead + Unpin>, into: &mut Vec<u8>) {
    let Some(mut stream) = stream else { return };
    let mut buffer = [0; 4096];
    while let Ok(count @ 1..) = stream.read(&mut buffer).await {
        into.extend_from_slice(&buffer[..count]);
        if into.len() > 2 * TAIL_BYTES {
            into.drain(..into.len() - TAIL_BYTES);
        }
    }
}

fn tail(bytes: &[u8]) -> String {
    let from = bytes.len().saturating_sub(TAIL_BYTES);
    String::from_utf8_lossy(&bytes[from..]).trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn sh(script: &str, millis: u64) -> Ended {
        run("/bin/sh".as_ref(), &["-c", script], Duration::from_millis(millis)).await
    }

    #[tokio::test]
    async fn programs_end_well_or_badly_and_say_why() {
        let good = sh("echo fine", 5000).await;
        assert!(good.success && good.tail == "fine");
        let bad = sh("echo out; echo err >&2; exit 3", 5000).await;
        assert!(!bad.success && bad.tail.contains("exit status: 3") && bad.tail.contains("out") && bad.tail.contains("err"), "{bad:?}");
        let none = run("/nonexistent/check".as_ref(), &[], Duration::from_secs(1)).await;
        assert!(!none.success && none.tail.contains("cannot be started"));
    }

    #[tokio::test]
    async fn a_program_that_hangs_is_killed_with_its_children() {
        let started = Instant::now();
        let hung = sh("echo before; sleep 1000 & sleep 1000", 100).await;
        assert!(!hung.success && hung.tail.contains("not finished") && hung.tail.contains("before"), "{hung:?}");
        let background = sh("sleep 1000 & echo done", 60_000).await;
        assert!(background.success, "{background:?}");
        assert!(started.elapsed() < Duration::from_secs(30));
    }

    #[tokio::test]
    async fn endless_output_is_cut() {
        let flood = sh("yes | head -c 10000000; echo end", 60_000).await;
        assert!(flood.success && flood.tail.len() <= TAIL_BYTES && flood.tail.ends_with("end"));
    }
}
