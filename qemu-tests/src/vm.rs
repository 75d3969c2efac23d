//! A virtual machine under test: one QEMU, its disk overlay, its logs, and the ways to talk to it.

use std::fs::File;
use std::net::{Ipv4Addr, TcpListener};
use std::process::Child;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use camino::{Utf8Path, Utf8PathBuf};
use image_builder::cmd::Cmd;
use image_builder::qemu::accel::{self, Choice};
use image_builder::qemu::firmware::{self, SecureBoot};
use image_builder::qemu::machine::{Credential, Disk, DiskBus, FirmwareFile, Forward, Machine, Nic, NicModel, Port, Serial, Storage};
use image_builder::qemu::overlay::{self, Format};
use image_builder::qemu::{PROGRAM, secure_boot, version};
use serde_json::json;

use crate::agent;
use crate::console;
use crate::guest::Guest;
use crate::pace::{Deadline, Pace};
use crate::preserved::{self, Base};
use crate::qmp::Qmp;
use crate::scratch;
use crate::tpm::Tpm;

/// Size of a test machine's disk: clearly more than the image, so that growing shows.
pub const DISK_BYTES: u64 = 10 << 30;

/// How long firmware, loader, kernel and early user space may take until the agent answers, in KVM seconds. Emulated on an
/// idle machine it is about 30 s; two machines at a time on two busy cores have been seen to need four times as long.
const BOOT_SECS: u64 = 24;
/// How long the rest of the boot may take after that, in KVM seconds; Docker is the last one.
pub(crate) const SETTLE_SECS: u64 = 36;
/// How long a shutdown may take, in KVM seconds; stopping containers is slow.
const SHUTDOWN_SECS: u64 = 18;
/// More starts of the firmware than this without an answer are a loop: the same boot will not succeed the next time.
const MAX_BOOTS: usize = 2;
/// How long QEMU may take to open its control socket.
const QEMU_START: Duration = Duration::from_secs(30);
/// How often the control socket is looked for: it is there after some hundredths of a second, and a fork waits for it.
const QEMU_INTERVAL: Duration = Duration::from_millis(10);

const SERIAL_LOG: &str = "serial.log";
/// Directory below a machine's logs with the machine as it was left.
pub const STATE: &str = "state";

/// What a machine is made of; everything has a usual value.
#[derive(Debug, Clone)]
pub struct Spec {
    /// Raw disk image; it is not written to.
    pub image: Utf8PathBuf,
    /// Size of the disk.
    pub disk_bytes: u64,
    /// How the disk is attached.
    pub bus: DiskBus,
    /// Network card.
    pub nic: NicModel,
    /// Ports of the guest that are to be reachable.
    pub guest_ports: Vec<u16>,
    /// Servers here that the guest reaches at [`SERVICE_ADDRESS`](image_builder::qemu::machine::SERVICE_ADDRESS).
    pub services: Vec<Forward>,
    /// Memory.
    pub memory_mib: u32,
    /// Processors.
    pub cpus: u32,
    /// Certificate (DER) that Secure Boot enforces, if it does.
    pub enforce: Option<Vec<u8>>,
    /// More credentials than those of the command channel.
    pub credentials: Vec<Credential>,
    /// Files in `fw_cfg`.
    pub firmware_files: Vec<FirmwareFile>,
    /// More strings of SMBIOS type 11.
    pub oem_strings: Vec<String>,
    /// The machine's serial number.
    pub serial_number: Option<String>,
    /// Whether it has a TPM 2.0 (`swtpm`).
    pub tpm: bool,
    /// Images of further disks that the guest may only read: `/dev/vdb` and so on.
    pub media: Vec<Utf8PathBuf>,
    /// Servers of the system disk and of the firmware's variables, instead of files of this machine's own.
    pub served: Option<Served>,
}

/// Sockets of NBD servers. What QEMU writes arrives there as it would on real hardware, flushes included.
#[derive(Debug, Clone)]
pub struct Served {
    /// The system disk; [`Spec::image`] and [`Spec::disk_bytes`] do not count then.
    pub disk: Utf8PathBuf,
    /// The firmware's variable store.
    pub variables: Utf8PathBuf,
}

impl Spec {
    /// An ordinary machine with `image`.
    #[must_use]
    pub fn new(image: impl Into<Utf8PathBuf>) -> Self {
        Self {
            image: image.into(),
            disk_bytes: DISK_BYTES,
            bus: DiskBus::VirtioBlk,
            nic: NicModel::Virtio,
            guest_ports: Vec::new(),
            services: Vec::new(),
            memory_mib: 2048,
            // One is faster than two under emulation on a machine that has two (measured: 17 s against 22 s).
            cpus: 1,
            enforce: None,
            credentials: Vec::new(),
            firmware_files: Vec::new(),
            oem_strings: Vec::new(),
            serial_number: None,
            tpm: false,
            media: Vec::new(),
            served: None,
        }
    }
}

/// What this host can do, asked once.
#[derive(Debug, Clone)]
pub struct Host {
    /// KVM or emulation, and why.
    pub choice: Choice,
    version: version::Version,
}

impl Host {
    /// Looks at this machine.
    pub fn probe() -> anyhow::Result<Self> {
        Ok(Self { choice: accel::probe(), version: version::installed()? })
    }

    /// The time limits that fit it.
    #[must_use]
    pub fn pace(&self) -> Pace {
        Pace::of(self.choice.accel)
    }
}

/// A running machine; dropping it kills it.
#[derive(Debug)]
pub struct Vm {
    name: String,
    pace: Pace,
    child: Mutex<Child>,
    guest: Guest,
    qmp: Mutex<Qmp>,
    forwards: Mutex<Vec<Forward>>,
    logs: Utf8PathBuf,
    booted: Mutex<Option<Duration>>,
    /// What QEMU has to be started with to wake the machine up later; a card that is plugged in adds to it.
    args: Mutex<Vec<String>>,
    /// A disk under its own that does not outlive the run.
    base: Option<Base>,
    // Ends after QEMU.
    _tpm: Option<Tpm>,
    /// Cards that were plugged in while it ran; see [`crate::card`].
    cards: AtomicU32,
    // Sockets, overlay and variable store; removed after QEMU is gone.
    scratch: Scratch,
}

/// What the argument of a disk contains that a server in this process holds.
const SERVED_DISK: &str = "file.driver=nbd";

/// A directory for one machine's sockets, overlay and variable store, removed with it.
///
/// Unix sockets have short names, so this is not below the (possibly deep) log directory.
#[derive(Debug)]
pub(crate) struct Scratch {
    path: Utf8PathBuf,
    _held: tempfile::TempDir,
}

impl Scratch {
    pub(crate) fn new() -> anyhow::Result<Self> {
        let held = scratch::dir("vm")?;
        let path = Utf8Path::from_path(held.path()).context("the temporary directory's name is not UTF-8")?.to_owned();
        Ok(Self { path, _held: held })
    }

    pub(crate) fn path(&self) -> &Utf8Path {
        &self.path
    }
}

/// How QEMU is started, beside the machine itself.
#[derive(Debug)]
pub(crate) struct Start<'a> {
    pub(crate) machine: &'a Machine,
    /// Arguments after the machine's own.
    pub(crate) more: Vec<String>,
    /// The same for waking the machine up after it was preserved.
    pub(crate) wake: Vec<String>,
    /// A disk under the machine's that does not outlive the run.
    pub(crate) base: Option<Base>,
    pub(crate) tpm: Option<Tpm>,
}

impl<'a> Start<'a> {
    pub(crate) fn of(machine: &'a Machine) -> Self {
        Self { machine, more: Vec::new(), wake: Vec::new(), base: None, tpm: None }
    }
}

impl Vm {
    /// Starts a machine; its logs go to `logs`. It is not waited for: see [`Vm::wait_for_agent`].
    pub fn start(name: &str, spec: &Spec, host: &Host, logs: &Utf8Path) -> anyhow::Result<Self> {
        let scratch = Scratch::new()?;
        std::fs::create_dir_all(logs).with_context(|| format!("making {logs}"))?;
        let tpm = spec.tpm.then(|| Tpm::start(scratch.path(), logs)).transpose()?;
        let mut machine = describe(name, spec, host, scratch.path(), logs)?;
        machine.tpm = tpm.as_ref().map(|tpm| tpm.socket.clone());
        if let Storage::File(disk) = &machine.disks[0].file {
            overlay::create(spec.image.as_std_path(), disk.as_std_path(), Some(spec.disk_bytes))?;
        }
        let base = scratch::holds(spec.image.as_std_path()).then(|| Base { file: spec.image.clone(), format: Format::Raw });
        Self::launch(Start { tpm, base, ..Start::of(&machine) }, host, logs, scratch)
    }

    /// Starts QEMU.
    pub(crate) fn launch(start: Start<'_>, host: &Host, logs: &Utf8Path, scratch: Scratch) -> anyhow::Result<Self> {
        let (dir, machine) = (scratch.path(), start.machine);
        std::fs::create_dir_all(logs).with_context(|| format!("making {logs}"))?;
        let mut args = machine.args();
        let wake = args.iter().chain(&start.wake).cloned().collect();
        args.extend(start.more);
        let command = logs.join("qemu-command.txt");
        std::fs::write(&command, Cmd::new(PROGRAM).args(&args).line() + "\n").with_context(|| format!("writing {command}"))?;
        let log_path = logs.join("qemu.log");
        let log = File::create(&log_path).with_context(|| format!("creating {log_path}"))?;
        let mut child = crate::process::start(PROGRAM, &args, &log)?;
        let qmp = connect_qmp(&dir.join("qmp"), &mut child, &log_path);
        let qmp = qmp.inspect_err(|_| {
            let _ = child.kill();
            let _ = child.wait();
        })?;
        let pace = host.pace();
        Ok(Self {
            name: machine.name.clone(),
            pace,
            child: Mutex::new(child),
            guest: Guest::new(dir.join("agent"), pace).with_diary(logs),
            qmp: Mutex::new(qmp),
            forwards: Mutex::new(machine.nic.as_ref().map(|nic| nic.forwards.clone()).unwrap_or_default()),
            logs: logs.to_owned(),
            booted: Mutex::new(None),
            args: Mutex::new(wake),
            base: start.base,
            _tpm: start.tpm,
            cards: AtomicU32::new(0),
            scratch,
        })
    }

    /// The guest, to run commands in.
    #[must_use]
    pub fn guest(&self) -> &Guest {
        &self.guest
    }

    /// Time limits that fit this machine.
    #[must_use]
    pub fn pace(&self) -> Pace {
        self.pace
    }

    /// The name it was started with.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where its logs are.
    #[must_use]
    pub fn logs(&self) -> &Utf8Path {
        &self.logs
    }

    /// The port here that leads to `guest_port`, which [`Spec::guest_ports`] must name.
    pub fn port(&self, guest_port: u16) -> anyhow::Result<u16> {
        let forwards = lock(&self.forwards);
        let forward = forwards.iter().find(|forward| forward.guest == guest_port);
        Ok(forward.with_context(|| format!("nothing leads to port {guest_port} of the guest"))?.host)
    }

    /// Remembers ports that lead into a card that was plugged in.
    pub(crate) fn add_forwards(&self, forwards: &[Forward]) {
        lock(&self.forwards).extend_from_slice(forwards);
    }

    /// Remembers arguments that a machine that is woken up needs too.
    pub(crate) fn add_arguments(&self, more: impl IntoIterator<Item = String>) {
        lock(&self.args).extend(more);
    }

    /// The number of the next card to be plugged in, from 0.
    pub(crate) fn next_card(&self) -> u32 {
        self.cards.fetch_add(1, Ordering::Relaxed)
    }

    /// Notes that it answered `after` its start, for those that did not boot themselves.
    pub(crate) fn answered(&self, after: Duration) {
        lock(&self.booted).get_or_insert(after);
    }

    /// How long the first boot took until the agent answered.
    #[must_use]
    pub fn boot_time(&self) -> Option<Duration> {
        *lock(&self.booted)
    }

    /// Everything the serial console has said so far.
    pub fn console(&self) -> anyhow::Result<String> {
        let path = self.logs.join(SERIAL_LOG);
        match std::fs::read(&path) {
            Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(String::new()),
            Err(error) => Err(error).with_context(|| format!("reading {path}")),
        }
    }

    /// Waits until the agent answers and returns the id of this boot. Gives up at once when the console shows that it never will.
    pub fn wait_for_agent(&self) -> anyhow::Result<String> {
        let begun = Instant::now();
        let boots = console::boots(&self.console()?);
        let boot = self.wait("the guest's agent answers", BOOT_SECS, || {
            // An answer counts more than an old panic further up in the log.
            let boot = self.guest.boot_id().ok();
            if boot.is_none() {
                self.give_up_if_lost(boots)?;
            }
            Ok(boot)
        })?;
        lock(&self.booted).get_or_insert(begun.elapsed());
        Ok(boot)
    }

    fn give_up_if_lost(&self, boots_before: usize) -> anyhow::Result<()> {
        let console = self.console()?;
        if let Some(finding) = console::fatal(&console) {
            bail!("the machine is lost: {finding}");
        }
        let boots = console::boots(&console).saturating_sub(boots_before);
        if boots > MAX_BOOTS {
            let last: Vec<String> = console::scan(&console, &[]).iter().rev().take(5).map(ToString::to_string).collect();
            bail!("the machine boots again and again; the last bad lines:\n{}", last.join("\n"));
        }
        Ok(())
    }

    /// Waits until systemd has finished the boot and nothing failed.
    pub fn wait_for_boot(&self) -> anyhow::Result<String> {
        let boot = self.wait_for_agent()?;
        let state = self.guest.run_for("systemctl is-system-running --wait", SETTLE_SECS)?;
        if state.text() != "running" {
            let units = self.guest.run("systemctl --failed --no-legend --plain; systemctl list-jobs --no-legend")?;
            bail!("the system is {}, not running; failed units and waiting jobs:\n{}", state.text(), units.text());
        }
        Ok(boot)
    }

    /// Waits until the agent answers from another boot than `old`, whatever the console shows in between.
    pub fn wait_for_boot_after(&self, old: &str) -> anyhow::Result<String> {
        self.wait("the guest's agent answers from a new boot", SHUTDOWN_SECS + 2 * BOOT_SECS, || {
            Ok(self.guest.boot_id().ok().filter(|boot| boot != old))
        })
    }

    /// Reboots in an orderly way and waits for a healthy system.
    pub fn reboot(&self) -> anyhow::Result<String> {
        let old = self.wait_for_agent()?;
        self.guest.check("systemctl --no-block reboot")?;
        self.wait_for_boot_after(&old)?;
        self.wait_for_boot()
    }

    /// Waits until `condition` gives something, and gives up when QEMU ends.
    pub fn wait<T>(&self, what: &str, fast_secs: u64, mut condition: impl FnMut() -> anyhow::Result<Option<T>>) -> anyhow::Result<T> {
        self.pace.deadline_secs(fast_secs).wait(what, || {
            let found = condition()?;
            if found.is_none()
                && let Some(status) = lock(&self.child).try_wait().context("asking for QEMU")?
            {
                bail!("QEMU ended ({status}), see {}", self.logs.join("qemu.log"));
            }
            Ok(found)
        })
    }

    /// Waits until the console has said one of `words`, and returns which.
    pub fn wait_for_console<'a>(&self, words: &[&'a str], fast_secs: u64) -> anyhow::Result<&'a str> {
        self.wait(&format!("the console says one of {words:?}"), fast_secs, || {
            let console = self.console()?;
            Ok(words.iter().find(|word| console.contains(**word)).copied())
        })
    }

    /// QEMU's control connection.
    pub fn qmp(&self) -> MutexGuard<'_, Qmp> {
        lock(&self.qmp)
    }

    /// Presses the reset button.
    pub fn reset(&self) -> anyhow::Result<()> {
        self.qmp().execute("system_reset", json!({})).map(drop)
    }

    /// Takes the power away until [`power_on`](Self::power_on): nothing more reaches the disk, and memory is gone.
    pub fn power_cut(&self) -> anyhow::Result<()> {
        let mut qmp = self.qmp();
        qmp.execute("stop", json!({}))?;
        qmp.execute("system_reset", json!({})).map(drop)
    }

    /// Gives the power back after a [`power_cut`](Self::power_cut).
    pub fn power_on(&self) -> anyhow::Result<()> {
        self.qmp().execute("cont", json!({})).map(drop)
    }

    /// Presses the power button and waits until the machine is off.
    pub fn power_off(&self) -> anyhow::Result<()> {
        self.qmp().execute("system_powerdown", json!({}))?;
        let deadline = self.pace.deadline_secs(SHUTDOWN_SECS);
        let status = deadline.wait("the machine powers off", || lock(&self.child).try_wait().context("waiting for QEMU"))?;
        if !status.success() {
            bail!("QEMU ended with {status}, see {}", self.logs.join("qemu.log"));
        }
        Ok(())
    }

    /// Saves the guest's journal next to its other logs, if the guest still answers.
    pub fn save_journal(&self) -> anyhow::Result<()> {
        self.guest.boot_id()?;
        let path = Utf8Path::new("/run/slipway-test/journal.txt");
        // Bounded: the newest lines matter most.
        self.guest.check_for(&format!("journalctl --no-pager -o short-monotonic -n 20000 > {path}"), 12)?;
        let journal = self.guest.read_file(path)?;
        std::fs::write(self.logs.join("journal.txt"), journal).context("writing journal.txt")?;
        // With all fields, for `journalctl --file` after systemd-journal-remote.
        let path = Utf8Path::new("/run/slipway-test/journal.export.gz");
        self.guest.check_for(&format!("journalctl --no-pager -o export -n 20000 | gzip -1 > {path}"), 24)?;
        let journal = self.guest.read_file(path)?;
        std::fs::write(self.logs.join("journal.export.gz"), journal).context("writing journal.export.gz")
    }

    /// Leaves everything a person needs to understand a failure in the log directory: a picture of the screen, the journal, and
    /// the machine itself, stopped, to be woken up by `qemu-tests shell`. What cannot be had is said in `missing.txt`.
    pub fn leave_evidence(&self) {
        let mut missing = String::new();
        let mut note = |what: &str, result: anyhow::Result<()>| {
            if let Err(error) = result {
                missing.push_str(&format!("{what}: {error:#}\n"));
            }
        };
        note("screen.png", self.screenshot());
        note("journal.txt", self.save_journal());
        note("state", self.preserve());
        if !missing.is_empty() {
            let _ = std::fs::write(self.logs.join("missing.txt"), missing);
        }
    }

    /// Writes a picture of the machine's screen to its log directory.
    pub fn screenshot(&self) -> anyhow::Result<()> {
        let path = camino::absolute_utf8(self.logs.join("screen.png")).context("resolving the log directory")?;
        self.qmp().execute("screendump", json!({ "filename": path.as_str(), "format": "png" })).map(drop)
    }

    /// Stops the machine and keeps it in `state/` of its log directory.
    pub fn preserve(&self) -> anyhow::Result<()> {
        let state = self.logs.join(STATE);
        let args = lock(&self.args).clone();
        if args.iter().any(|arg| arg.contains(SERVED_DISK)) {
            bail!("the test served this machine's disk, which is gone with it; a state of its recording can be booted by name instead");
        }
        let kept = preserved::preserve(&mut self.qmp(), &args, self.pace, self.scratch.path(), &state);
        if let Some(base) = &self.base {
            preserved::keep_base(base, &state)?;
        }
        kept
    }

    /// Ends the machine without asking the guest.
    pub fn kill(&self) {
        let mut child = lock(&self.child);
        let _ = child.kill();
        let _ = child.wait();
    }
}

impl Drop for Vm {
    fn drop(&mut self) {
        self.kill();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) fn describe(name: &str, spec: &Spec, host: &Host, dir: &Utf8Path, logs: &Utf8Path) -> anyhow::Result<Machine> {
    let secure_boot = if spec.enforce.is_some() { SecureBoot::On } else { SecureBoot::Off };
    let firmware = firmware::find(secure_boot)?;
    let mut vars = std::fs::read(&firmware.vars_template).context("reading the firmware's variables")?;
    if let Some(certificate) = &spec.enforce {
        vars = secure_boot::enroll(&vars, certificate)?;
    }
    let own_vars = dir.join("vars.fd");
    let firmware_vars = match &spec.served {
        Some(served) => Storage::Nbd(served.variables.clone()),
        None => {
            std::fs::write(&own_vars, vars).context("writing the machine's variables")?;
            own_vars.into()
        }
    };
    let mut credentials = agent::credentials();
    credentials.extend(spec.credentials.iter().cloned());
    let (file, format) = match &spec.served {
        Some(served) => (Storage::Nbd(served.disk.clone()), Format::Raw),
        None => (dir.join("disk.qcow2").into(), Format::Qcow2),
    };
    let throwaway = spec.served.is_none();
    let system = Disk { file, format, bus: spec.bus, serial: "slipway".to_owned(), throwaway, read_only: false };
    let mut disks = vec![system];
    disks.extend(spec.media.iter().enumerate().map(|(index, file)| medium(index, file)));
    Ok(Machine {
        name: name.to_owned(),
        accel: host.choice.accel,
        cpu_model: None,
        cpus: version::allowed_cpus(spec.cpus, host.version, host.choice.accel).count,
        memory_mib: spec.memory_mib,
        firmware_code: Utf8PathBuf::from_path_buf(firmware.code).ok().context("the firmware's name is not UTF-8")?,
        firmware_vars,
        secure_boot,
        disks,
        nic: Some(Nic {
            model: spec.nic,
            mac: "52:54:00:53:4c:02".to_owned(),
            forwards: forwards(&spec.guest_ports)?,
            services: spec.services.clone(),
        }),
        credentials,
        firmware_files: spec.firmware_files.clone(),
        oem_strings: spec.oem_strings.clone(),
        serial_number: spec.serial_number.clone(),
        serial: Serial::File(logs.join(SERIAL_LOG)),
        ports: vec![
            Port { name: agent::PORT_NAME.to_owned(), socket: dir.join("agent") },
            Port { name: agent::SHELL_PORT_NAME.to_owned(), socket: dir.join("shell") },
        ],
        tpm: None,
        screen: true,
        qmp: Some(dir.join("qmp")),
        watchdog: true,
    })
}

/// A disk that is only read. Always on virtio, whose driver is there from the start.
fn medium(index: usize, file: &Utf8Path) -> Disk {
    Disk {
        file: file.to_owned().into(),
        format: Format::Raw,
        bus: DiskBus::VirtioBlk,
        serial: format!("medium{index}"),
        throwaway: true,
        read_only: true,
    }
}

/// A free port here for each port there.
pub(crate) fn forwards(guest_ports: &[u16]) -> anyhow::Result<Vec<Forward>> {
    let free = |guest: &u16| {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("looking for a free port")?;
        Ok(Forward { host: listener.local_addr().context("looking for a free port")?.port(), guest: *guest })
    };
    guest_ports.iter().map(free).collect()
}

fn connect_qmp(socket: &Utf8Path, child: &mut Child, log: &Utf8Path) -> anyhow::Result<Qmp> {
    Deadline::after(QEMU_START).wait_every(QEMU_INTERVAL, "QEMU opens its control socket", || {
        if let Some(status) = child.try_wait().context("asking for QEMU")? {
            let words = std::fs::read_to_string(log).unwrap_or_default();
            bail!("QEMU did not start ({status}): {}", words.trim());
        }
        match socket.exists().then(|| Qmp::connect(socket)).transpose() {
            // It exists a moment before anybody listens on it.
            Err(error) if refused(&error) => Ok(None),
            connected => connected,
        }
    })
}

fn refused(error: &anyhow::Error) -> bool {
    error.root_cause().downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == std::io::ErrorKind::ConnectionRefused)
}
