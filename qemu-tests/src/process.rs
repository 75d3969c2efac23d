//! Starts QEMU so that it never outlives the tests.

use std::fs::File;
use std::process::{Child, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Mutex, OnceLock, PoisonError};

use anyhow::Context;
use image_builder::cmd::{Cmd, CmdError};

type Job = (Cmd, Sender<Result<Child, CmdError>>);

/// Starts `program` with `args`; its output goes to `log`, and the kernel kills it when this process dies in whatever way.
pub fn start(program: &str, args: &[String], log: &File) -> anyhow::Result<Child> {
    let (stdout, stderr) = (log.try_clone().context("sharing the log")?, log.try_clone().context("sharing the log")?);
    let cmd = Cmd::new("setpriv").args(["--pdeathsig", "KILL", "--", program]).args(args).with(|inner| {
        inner.stdin(Stdio::null()).stdout(stdout).stderr(stderr);
    });
    let (reply, answer) = channel();
    let jobs = starter().lock().unwrap_or_else(PoisonError::into_inner).clone();
    jobs.send((cmd, reply)).context("handing over to the starting thread")?;
    Ok(answer.recv().context("waiting for the starting thread")??)
}

/// The thread that starts everything. The kernel ties a child to the *thread* that made it, so it must be one that lives as
/// long as the process, not the thread of a scenario.
fn starter() -> &'static Mutex<Sender<Job>> {
    static STARTER: OnceLock<Mutex<Sender<Job>>> = OnceLock::new();
    STARTER.get_or_init(|| {
        let (jobs, queue) = channel::<Job>();
        std::thread::spawn(move || {
            for (cmd, reply) in queue {
                // A scenario that gave up meanwhile leaves a child nobody wants.
                if let Err(unwanted) = reply.send(cmd.spawn())
                    && let Ok(mut child) = unwanted.0
                {
                    let _ = child.kill();
                    let _ = child.wait();
                }
            }
        });
        Mutex::new(jobs)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_started_program_survives_the_thread_that_asked_for_it() {
        let log = tempfile::tempfile().unwrap();
        let mut child = std::thread::spawn(move || start("sleep", &["0.3".into()], &log).unwrap()).join().unwrap();
        assert!(child.wait().unwrap().success());
    }
}
