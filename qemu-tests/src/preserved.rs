//! A machine as a failed scenario left it, on disk: memory, devices, disk and firmware variables. It can be woken up again,
//! as often as one likes, and looked around in.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::Child;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, bail};
use camino::{Utf8Path, Utf8PathBuf};
use image_builder::cmd::Cmd;
use image_builder::qemu::PROGRAM;
use image_builder::qemu::overlay::{self, Format};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::guest::Guest;
use crate::pace::{Deadline, Pace};
use crate::qmp::Qmp;
use crate::scratch;
use crate::tpm::Tpm;

/// How long writing or reading the memory may take.
const MOVE: Duration = Duration::from_secs(300);
/// zstd level: much of the memory is zeros, and the machine is busy.
const LEVEL: i32 = 1;
/// Stands for the machine's scratch directory in what is kept.
const SCRATCH: &str = "@SCRATCH@";

const MACHINE: &str = "machine.json";
const MEMORY: &str = "memory.zst";
const DISK: &str = "disk.qcow2";
const VARIABLES: &str = "vars.fd";
const BASE: &str = "base";

/// What is needed to start QEMU again.
#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    args: Vec<String>,
    pace: Pace,
    /// Whether memory and devices were kept too; else there is only the disk, as after a power cut.
    memory: bool,
}

/// Writes the state of the machine behind `qmp` to `dir`. The machine is stopped afterwards. `scratch` holds its disk and its
/// firmware variables.
///
/// Devices that QEMU cannot describe (NVMe is one) leave only the disk: then [`wake`] boots it anew.
pub fn preserve(qmp: &mut Qmp, args: &[String], pace: Pace, scratch: &Utf8Path, dir: &Utf8Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(dir).with_context(|| format!("making {dir}"))?;
    qmp.execute("stop", json!({}))?;
    let memory = save_memory(qmp, scratch, &dir.join(MEMORY));
    if memory.is_err() {
        let _ = std::fs::remove_file(dir.join(MEMORY));
    }
    for name in [DISK, VARIABLES] {
        copy(&scratch.join(name), &dir.join(name))?;
    }
    let args = args.iter().map(|arg| arg.replace(scratch.as_str(), SCRATCH)).collect();
    let kept = serde_json::to_vec_pretty(&Kept { args, pace, memory: memory.is_ok() }).context("describing the machine")?;
    let path = dir.join(MACHINE);
    std::fs::write(&path, kept).with_context(|| format!("writing {path}"))?;
    memory.context("only the disk was kept, the memory was not")
}

/// A disk under a machine's own that ends with the run: a template's, or what a test made of an image.
#[derive(Debug, Clone)]
pub struct Base {
    /// Where it is.
    pub file: Utf8PathBuf,
    /// What is in it.
    pub format: Format,
}

/// Copies the disk under a preserved one to it.
pub fn keep_base(base: &Base, dir: &Utf8Path) -> anyhow::Result<()> {
    copy(&base.file, &dir.join(BASE))?;
    let format = base.format.name();
    let moved = Cmd::new("qemu-img").args(["rebase", "-q", "-u", "-f", "qcow2", "-F", format, "-b", BASE]).arg(dir.join(DISK));
    moved.run().with_context(|| format!("putting {BASE} under {DISK} in {dir}"))
}

fn copy(from: &Utf8Path, to: &Utf8Path) -> anyhow::Result<()> {
    Cmd::new("cp").args(["--sparse=always", "--reflink=auto", "--"]).arg(from).arg(to).run().with_context(|| format!("keeping {from}"))
}

fn save_memory(qmp: &mut Qmp, scratch: &Utf8Path, file: &Utf8Path) -> anyhow::Result<()> {
    let socket = scratch.join("outgoing");
    let listener = UnixListener::bind(&socket).with_context(|| format!("listening on {socket}"))?;
    let file = file.to_owned();
    let writer: JoinHandle<anyhow::Result<()>> = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().context("waiting for QEMU to send its memory")?;
        let out = File::create(&file).with_context(|| format!("creating {file}"))?;
        let mut out = zstd::Encoder::new(out, LEVEL).context("setting up zstd")?;
        io::copy(&mut stream, &mut out).and_then(|_| out.finish()).with_context(|| format!("writing {file}"))?;
        Ok(())
    });
    let sent = qmp.execute("migrate", json!({ "uri": format!("unix:{socket}") })).and_then(|_| finished(qmp));
    if let Err(error) = sent {
        // Nobody will send anything: end the thread that waits for it.
        drop(UnixStream::connect(&socket));
        let _ = writer.join();
        return Err(error);
    }
    writer.join().unwrap_or_else(|_| bail!("the thread that wrote the memory panicked"))
}

fn finished(qmp: &mut Qmp) -> anyhow::Result<()> {
    Deadline::after(MOVE).wait("QEMU writes its memory", || {
        let answer = qmp.execute("query-migrate", json!({}))?;
        match answer["status"].as_str() {
            Some("completed") => Ok(Some(())),
            Some(word @ ("failed" | "cancelled")) => bail!("{word}: {}", answer["error-desc"].as_str().unwrap_or("no reason")),
            _ => Ok(None),
        }
    })
}

/// A machine that was woken up; dropping it ends it, and what is kept stays as it was.
#[derive(Debug)]
pub struct Woken {
    child: Child,
    /// To run commands in it.
    pub guest: Guest,
    /// Time limits that fit it.
    pub pace: Pace,
    /// Where the shell's channel is.
    pub shell: Utf8PathBuf,
    /// Whether it goes on from the very moment; else it was booted from its disk.
    pub resumed: bool,
    _tpm: Option<Tpm>,
    _scratch: tempfile::TempDir,
}

/// Wakes the machine in `dir` up: from the moment at which it was preserved, or, with `cold` or without its memory, by a boot
/// from the disk that was left. QEMU's words go to `dir`.
pub fn wake(dir: &Utf8Path, cold: bool) -> anyhow::Result<Woken> {
    let path = dir.join(MACHINE);
    let kept = std::fs::read(&path).with_context(|| format!("reading {path}"))?;
    let kept: Kept = serde_json::from_slice(&kept).with_context(|| format!("reading {path}"))?;
    let resumed = kept.memory && !cold;
    let holder = scratch::dir("vm")?;
    let place = Utf8Path::from_path(holder.path()).context("the temporary directory's name is not UTF-8")?;
    let disk = std::path::absolute(dir.join(DISK)).with_context(|| format!("resolving {dir}"))?;
    overlay::stack(&disk, place.join(DISK).as_std_path())?;
    copy(&dir.join(VARIABLES), &place.join(VARIABLES))?;
    let mut args = arguments(&kept.args, place);
    let socket = place.join("incoming");
    if resumed {
        args.extend(["-incoming".to_owned(), format!("unix:{socket}")]);
    }
    let tpm = args.iter().any(|arg| arg.starts_with("emulator,")).then(|| Tpm::start(place, dir)).transpose()?;
    let log_path = dir.join("woken-qemu.log");
    let log = File::create(&log_path).with_context(|| format!("creating {log_path}"))?;
    let child = crate::process::start(PROGRAM, &args, &log)?;
    let guest = Guest::new(place.join("agent"), kept.pace);
    let mut woken = Woken { child, guest, pace: kept.pace, shell: place.join("shell"), resumed, _tpm: tpm, _scratch: holder };
    let qmp = scratch_file(&mut woken.child, &log_path, &woken._scratch, "qmp")?;
    let mut qmp = Qmp::connect(&qmp)?;
    if resumed {
        feed(&dir.join(MEMORY), &socket)?;
        Deadline::after(MOVE).wait("QEMU reads the memory", || Ok((qmp.status()? != "inmigrate").then_some(())))?;
        qmp.execute("cont", json!({}))?;
    }
    Ok(woken)
}

/// Waits for a socket that QEMU opens.
fn scratch_file(child: &mut Child, log: &Utf8Path, scratch: &tempfile::TempDir, name: &str) -> anyhow::Result<Utf8PathBuf> {
    let path = Utf8Path::from_path(scratch.path()).context("the temporary directory's name is not UTF-8")?.join(name);
    Deadline::after(Duration::from_secs(30)).wait("QEMU opens its control socket", || {
        if let Some(status) = child.try_wait().context("asking for QEMU")? {
            let words = std::fs::read_to_string(log).unwrap_or_default();
            bail!("QEMU did not start ({status}): {}", words.trim());
        }
        Ok(path.exists().then(|| path.clone()))
    })
}

fn feed(memory: &Utf8Path, socket: &Utf8Path) -> anyhow::Result<()> {
    let file = File::open(memory).with_context(|| format!("opening {memory}"))?;
    let mut stream = UnixStream::connect(socket).with_context(|| format!("connecting to {socket}"))?;
    zstd::stream::copy_decode(file, &mut stream).with_context(|| format!("sending {memory} to QEMU"))?;
    stream.flush().context("sending the memory to QEMU")
}

/// The arguments for another start: in another scratch directory, on ports that are free now.
fn arguments(kept: &[String], scratch: &Utf8Path) -> Vec<String> {
    kept.iter().map(|arg| free_ports(&arg.replace(SCRATCH, scratch.as_str()))).collect()
}

/// Port 0 in place of the ports that led into the guest: whoever has them now keeps them, and QEMU takes what is free.
fn free_ports(arg: &str) -> String {
    let mut words = arg.split("hostfwd=tcp:");
    let mut changed = words.next().unwrap_or_default().to_owned();
    for word in words {
        let (address, rest) = word.split_once(':').unwrap_or((word, ""));
        let guest = rest.trim_start_matches(|digit: char| digit.is_ascii_digit());
        changed.push_str(&format!("hostfwd=tcp:{address}:0{guest}"));
    }
    changed
}

impl Drop for Woken {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_move_to_another_place_and_other_ports() {
        let kept = [
            "-drive".to_owned(),
            "file=@SCRATCH@/disk.qcow2".to_owned(),
            "user,id=net0,hostfwd=tcp:127.0.0.1:4022-:22,hostfwd=tcp:127.0.0.1:80-:8080,guestfwd=tcp:10.0.2.100:80-cmd:x".to_owned(),
        ];
        let expected = [
            "-drive",
            "file=/new/disk.qcow2",
            "user,id=net0,hostfwd=tcp:127.0.0.1:0-:22,hostfwd=tcp:127.0.0.1:0-:8080,guestfwd=tcp:10.0.2.100:80-cmd:x",
        ];
        assert_eq!(arguments(&kept, Utf8Path::new("/new")), expected);
    }

    #[test]
    fn what_is_not_there_or_not_ours_is_an_error_with_its_name() {
        let dir = tempfile::tempdir().unwrap();
        let dir = Utf8Path::from_path(dir.path()).unwrap();
        assert!(wake(dir, false).unwrap_err().to_string().contains(MACHINE));
        std::fs::write(dir.join(MACHINE), "{}").unwrap();
        assert!(wake(dir, false).unwrap_err().to_string().contains(MACHINE));
    }
}
