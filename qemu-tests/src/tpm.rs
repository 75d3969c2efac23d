//! A TPM 2.0 for a machine: `swtpm` beside QEMU, with a state of its own that lives as long as the machine.

use std::fs::File;
use std::process::Child;
use std::time::Duration;

use anyhow::{Context, bail};
use camino::{Utf8Path, Utf8PathBuf};

use crate::pace::Deadline;

const PROGRAM: &str = "swtpm";
/// How long it may take to open its socket.
const START: Duration = Duration::from_secs(20);

/// A running TPM; dropping it ends it.
#[derive(Debug)]
pub struct Tpm {
    child: Child,
    /// Where QEMU finds it.
    pub socket: Utf8PathBuf,
}

impl Tpm {
    /// Starts one with its state and socket in `dir` and its log in `logs`.
    pub fn start(dir: &Utf8Path, logs: &Utf8Path) -> anyhow::Result<Self> {
        let state = dir.join("tpm");
        std::fs::create_dir_all(&state).with_context(|| format!("making {state}"))?;
        let socket = dir.join("tpm.sock");
        let log_path = logs.join("swtpm.log");
        let log = File::create(&log_path).with_context(|| format!("creating {log_path}"))?;
        let args = [
            "socket".to_owned(),
            "--tpm2".to_owned(),
            "--tpmstate".to_owned(),
            format!("dir={state}"),
            "--ctrl".to_owned(),
            format!("type=unixio,path={socket}"),
            "--flags".to_owned(),
            "startup-clear".to_owned(),
        ];
        let mut tpm = Self { child: crate::process::start(PROGRAM, &args, &log)?, socket };
        Deadline::after(START).wait("swtpm opens its socket", || {
            if let Some(status) = tpm.child.try_wait().context("asking for swtpm")? {
                let words = std::fs::read_to_string(&log_path).unwrap_or_default();
                bail!("swtpm did not start ({status}); is the package swtpm installed? {}", words.trim());
            }
            Ok(tpm.socket.exists().then_some(()))
        })?;
        Ok(tpm)
    }
}

impl Drop for Tpm {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
