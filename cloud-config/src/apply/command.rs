//! Programs that a configuration brings and that run before anything else goes on.

use std::io::Read;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// How long the commands of `bootcmd` may take together; the boot waits for them.
pub const RUN_LIMIT: Duration = Duration::from_secs(60);
/// How often a running program is looked at.
const POLL: Duration = Duration::from_millis(20);
/// What is kept of its errors, in bytes.
const STDERR_LIMIT: u64 = 4096;
/// How long its errors may take to arrive after its end; something it left running may hold the other end for good.
const STDERR_WAIT: Duration = Duration::from_millis(200);

/// Runs programs.
pub trait Commands {
    /// Runs one and waits; the error says what became of it.
    fn run(&self, path: &Path) -> Result<(), String>;
}

/// Programs of this machine.
#[derive(Debug)]
pub struct Processes;

impl Commands for Processes {
    fn run(&self, path: &Path) -> Result<(), String> {
        #[expect(clippy::disallowed_methods, reason = "the program is the user's own, named by the configuration")]
        let mut command = std::process::Command::new(path);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).current_dir("/").process_group(0);
        let mut child = command.spawn().map_err(|error| format!("cannot be started: {error}"))?;
        let stderr = child.stderr.take();
        let (sender, errors) = mpsc::channel();
        std::thread::spawn(move || {
            let mut text = Vec::new();
            let Some(mut stderr) = stderr else { return };
            let _ = (&mut stderr).take(STDERR_LIMIT).read_to_end(&mut text);
            let _ = sender.send(text);
            // The rest is read and dropped, so that the program does not block on a full pipe.
            let _ = std::io::copy(&mut stderr, &mut std::io::sink());
        });
        let Some(status) = wait(&mut child, RUN_LIMIT) else {
            // It may have ended in between; either way it is over, and so is what it started.
            let group = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw);
            let _ = group.map(|group| rustix::process::kill_process_group(group, rustix::process::Signal::KILL));
            let _ = child.kill();
            let _ = child.wait();
            return Err(format!("was ended after {} s", RUN_LIMIT.as_secs()));
        };
        if status.success() {
            return Ok(());
        }
        let text = errors.recv_timeout(STDERR_WAIT).unwrap_or_default();
        let last = String::from_utf8_lossy(&text).lines().last().unwrap_or_default().to_owned();
        Err(format!("{status}{}{last}", if last.is_empty() { "" } else { ": " }))
    }
}

fn wait(child: &mut Child, limit: Duration) -> Option<ExitStatus> {
    let start = Instant::now();
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Some(status),
            Ok(None) if start.elapsed() < limit => std::thread::sleep(POLL),
            Ok(None) | Err(_) => return None,
        }
    }
}
