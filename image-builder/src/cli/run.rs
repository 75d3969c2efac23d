//! `run`: boot an image here, with its console on this terminal.

use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::str::FromStr;

use anyhow::Context;
use camino::{Utf8Path, Utf8PathBuf};

use super::{EXIT_FAILED, Ui};
use crate::cmd::Cmd;
use crate::convert::open_disk_image;
use crate::qemu::firmware::SecureBoot;
use crate::qemu::machine::{CLOUD_CONFIG, Credential, Disk, DiskBus, FirmwareFile, Forward, Machine, Nic, NicModel, Serial};
use crate::qemu::overlay::Format;
use crate::qemu::{PROGRAM, accel, firmware, overlay, secure_boot, version};

/// The machine's own files, in a folder that is removed with it: variables of the firmware, and what it wrote to its disk.
const VARIABLES: &str = "vars.fd";
const OVERLAY: &str = "disk.qcow2";
const SSH_PORT: u16 = 22;
/// Largest cloud-config that a guest takes, in bytes.
const CLOUD_CONFIG_BYTES: u64 = 1 << 20;
/// Public keys looked for in `~/.ssh`, best first, as ssh itself does.
const USUAL_KEYS: &[&str] = &["id_ed25519.pub", "id_ecdsa.pub", "id_rsa.pub"];

/// Boot an image in QEMU with its serial console on this terminal.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  image-builder run out/slipway-vm-1.0.0.raw
  image-builder run out/slipway-vm-1.0.0.raw --memory 4G --cpus 2 --forward 8080:80
  image-builder run out/slipway-vm-1.0.0.raw --cloud-config web.yaml
  image-builder run out/slipway-vm-1.0.0.raw --secure-boot --keys out/keys

ctrl-a x ends the machine, ctrl-a c switches between its console and QEMU's monitor.
The guest reaches no network; ports of this machine's loopback lead into it.")]
pub struct Args {
    /// Raw disk image made by `build`.
    image: Utf8PathBuf,
    /// Memory of the machine.
    #[arg(long, default_value = "2G", value_name = "SIZE")]
    memory: Size,
    /// Number of processors.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=64))]
    cpus: u32,
    /// Port here that leads to the guest's ssh; `auto` takes a free one.
    #[arg(long, default_value = "2222", value_name = "PORT")]
    ssh_port: SshPort,
    /// Public key that may log in as `core`; one of ~/.ssh/id_*.pub by default.
    #[arg(long, value_name = "FILE.pub")]
    ssh_key: Option<PathBuf>,
    /// Throw away what the guest writes (the default).
    #[arg(long, overrides_with = "no_snapshot")]
    snapshot: bool,
    /// Let the guest write to the image itself.
    #[arg(long)]
    no_snapshot: bool,
    /// Size of the guest's disk when it is larger than the image; the image file itself never grows.
    #[arg(long, default_value = "8G", value_name = "SIZE")]
    disk_size: Size,
    /// Enforce Secure Boot with the certificate in --keys.
    #[arg(long, requires = "keys")]
    secure_boot: bool,
    /// Directory made by `keygen`.
    #[arg(long, value_name = "DIR")]
    keys: Option<PathBuf>,
    /// Another TCP port of this machine's loopback that leads into the guest.
    #[arg(long = "forward", value_name = "HOST:GUEST")]
    forwards: Vec<Forward>,
    /// A server on this machine's loopback that the guest reaches at 10.0.2.100, port GUEST
    #[arg(long = "service", value_name = "HOST:GUEST")]
    services: Vec<Forward>,
    /// A cloud-config for the guest, handed over by fw_cfg.
    #[arg(long, value_name = "FILE")]
    cloud_config: Option<PathBuf>,
    /// A systemd credential for the guest.
    #[arg(long = "credential", value_name = "NAME=VALUE")]
    credentials: Vec<Credential>,
    /// Print QEMU's command line and do nothing.
    #[arg(long)]
    dry_run: bool,
}

/// A size in bytes, written with an optional binary unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Size(u64);

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let shift = match &text[digits.len()..] {
            "" => 0,
            "M" | "MiB" => 20,
            "G" | "GiB" => 30,
            "T" | "TiB" => 40,
            _ => return Err(format!("{text:?} is no size such as 512M or 8G")),
        };
        let number: u64 = digits.parse().map_err(|_| format!("{text:?} is no size such as 512M or 8G"))?;
        number.checked_mul(1 << shift).filter(|bytes| *bytes > 0).map(Self).ok_or_else(|| format!("{text:?} is out of range"))
    }
}

/// Which port leads to ssh.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SshPort {
    Auto,
    Fixed(u16),
}

impl FromStr for SshPort {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "auto" {
            return Ok(Self::Auto);
        }
        text.parse().ok().filter(|port| *port != 0).map(Self::Fixed).ok_or_else(|| format!("{text:?} is neither a port nor `auto`"))
    }
}

/// Runs `run`.
pub fn run(args: &Args, ui: &Ui) -> anyhow::Result<ExitCode> {
    drop(open_disk_image(args.image.as_std_path())?);
    let choice = accel::probe();
    ui.progress.note(choice.to_string());
    let cpus = version::allowed_cpus(args.cpus, version::installed()?, choice.accel);
    if let Some(warning) = &cpus.warning {
        ui.progress.note(format!("warning: {warning}"));
    }
    let dir = tempfile::Builder::new().prefix("slipway-run-").tempdir().context("making a directory for the machine's files")?;
    let scratch = Utf8Path::from_path(dir.path()).context("the temporary directory's name is not UTF-8")?;
    let mut credentials = args.credentials.clone();
    let login = ssh_credential(args.ssh_key.as_deref(), &credentials)?;
    let port = free_port(args.ssh_port)?;
    let mut forwards = vec![Forward { host: port, guest: SSH_PORT }];
    forwards.extend(&args.forwards);
    credentials.extend(login.clone());
    let firmware = firmware::find(args.firmware_kind())?;
    let machine = Machine {
        name: args.image.file_stem().unwrap_or("slipway").to_owned(),
        accel: choice.accel,
        cpu_model: None,
        cpus: cpus.count,
        memory_mib: u32::try_from(args.memory.0 >> 20).context("--memory is out of range")?,
        firmware_code: utf8(&firmware.code)?,
        firmware_vars: scratch.join(VARIABLES).into(),
        secure_boot: args.firmware_kind(),
        disks: vec![args.disk(scratch)],
        nic: Some(Nic { model: NicModel::Virtio, mac: "52:54:00:53:4c:01".into(), forwards, services: args.services.clone() }),
        credentials,
        firmware_files: args.cloud_config.as_deref().map(firmware_file).transpose()?.into_iter().collect(),
        oem_strings: Vec::new(),
        serial_number: None,
        serial: Serial::Terminal,
        ports: Vec::new(),
        qmp: None,
        tpm: None,
        screen: false,
        watchdog: true,
    };
    let cmd = Cmd::new(PROGRAM).args(machine.args());
    if args.dry_run {
        ui.line(cmd.line());
        return Ok(ExitCode::SUCCESS);
    }
    args.write_vars(&firmware, &scratch.join(VARIABLES))?;
    if !args.no_snapshot {
        overlay::create(args.image.as_std_path(), scratch.join(OVERLAY).as_std_path(), Some(args.disk_size.0))?;
    }
    ui.progress.note(greeting(port, login.is_some()));
    // Whatever ends this process ends the machine: nobody looks for a QEMU that was left behind.
    let tied = Cmd::new("setpriv").args(["--pdeathsig", "TERM", "--", PROGRAM]).args(machine.args()).with(|inner| {
        inner.stdin(std::process::Stdio::inherit());
    });
    let status = tied.spawn()?.wait().context("waiting for QEMU")?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::from(EXIT_FAILED) })
}

impl Args {
    fn firmware_kind(&self) -> SecureBoot {
        if self.secure_boot { SecureBoot::On } else { SecureBoot::Off }
    }

    fn disk(&self, scratch: &Utf8Path) -> Disk {
        let (file, format) = if self.no_snapshot { (self.image.clone(), Format::Raw) } else { (scratch.join(OVERLAY), Format::Qcow2) };
        Disk {
            file: file.into(),
            format,
            bus: DiskBus::VirtioBlk,
            serial: "slipway".into(),
            throwaway: !self.no_snapshot,
            read_only: false,
        }
    }

    fn write_vars(&self, firmware: &firmware::Firmware, vars: &Utf8Path) -> anyhow::Result<()> {
        let template = &firmware.vars_template;
        let mut bytes = std::fs::read(template).with_context(|| format!("reading {}", template.display()))?;
        if let (true, Some(keys)) = (self.secure_boot, &self.keys) {
            bytes = secure_boot::enroll(&bytes, &secure_boot::certificate_in(keys)?)?;
        }
        std::fs::write(vars, bytes).with_context(|| format!("writing {vars}"))
    }
}

/// The credential that lets the owner of a key log in, unless the user passes one with `--credential`.
fn ssh_credential(asked: Option<&Path>, given: &[Credential]) -> anyhow::Result<Option<Credential>> {
    const NAME: &str = "ssh.authorized_keys.core";
    if given.iter().any(|credential| credential.name == NAME) {
        return Ok(None);
    }
    let usual = || {
        let home = PathBuf::from(std::env::var_os("HOME")?).join(".ssh");
        USUAL_KEYS.iter().map(|name| home.join(name)).find(|path| path.is_file())
    };
    let Some(path) = asked.map(Path::to_owned).or_else(usual) else { return Ok(None) };
    let key = std::fs::read_to_string(&path).with_context(|| format!("reading the ssh key {}", path.display()))?;
    // A private key must never end up in a guest, and `-i` habits make it an easy mistake.
    anyhow::ensure!(!key.contains("PRIVATE KEY"), "{} is a private key; --ssh-key wants the .pub file beside it", path.display());
    Ok(Some(Credential::new(NAME, key)))
}

/// The cloud-config as the guest gets it. Mistakes that would only show in a boot without a configuration are found here.
fn firmware_file(path: &Path) -> anyhow::Result<FirmwareFile> {
    let metadata = path.metadata().with_context(|| format!("reading the cloud-config {}", path.display()))?;
    anyhow::ensure!(metadata.is_file(), "{} is no file; --cloud-config wants a cloud-config in YAML", path.display());
    anyhow::ensure!(metadata.len() > 0, "{} is empty; --cloud-config wants a cloud-config in YAML", path.display());
    anyhow::ensure!(
        metadata.len() <= CLOUD_CONFIG_BYTES,
        "{} has {} bytes; a guest takes no cloud-config of more than {CLOUD_CONFIG_BYTES}",
        path.display(),
        metadata.len()
    );
    let file = path.canonicalize().with_context(|| format!("resolving {}", path.display()))?;
    Ok(FirmwareFile { name: CLOUD_CONFIG.to_owned(), file: utf8(&file)? })
}

fn free_port(port: SshPort) -> anyhow::Result<u16> {
    let wanted = if let SshPort::Fixed(port) = port { port } else { 0 };
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, wanted));
    let listener = listener.with_context(|| format!("port {wanted} of this machine is not free; --ssh-port auto takes one that is"))?;
    Ok(listener.local_addr().context("asking for the free port")?.port())
}

fn greeting(port: u16, key: bool) -> String {
    let options = "-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null";
    let login = format!("log in from another terminal: ssh -p {port} {options} core@127.0.0.1");
    let hint = if key { "" } else { "\nno ssh key found: nobody can log in; --ssh-key FILE.pub hands one over" };
    format!("{login}{hint}\nctrl-a x ends the machine")
}

fn utf8(path: &Path) -> anyhow::Result<Utf8PathBuf> {
    Utf8PathBuf::from_path_buf(path.to_owned()).map_err(|path| anyhow::anyhow!("{} is not UTF-8", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_binary_units() {
        for (text, bytes) in [("512M", Some(512 << 20)), ("8G", Some(8 << 30)), ("1TiB", Some(1 << 40)), ("4096", Some(4096))] {
            assert_eq!(text.parse::<Size>().ok().map(|size| size.0), bytes, "{text}");
        }
        for wrong in ["", "G", "0G", "8X", "-1G", "99999999999T"] {
            assert!(wrong.parse::<Size>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_private_key_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("id");
        std::fs::write(&path, "-----BEGIN OPENSSH PRIVATE KEY-----").unwrap();
        assert!(ssh_credential(Some(&path), &[]).unwrap_err().to_string().contains(".pub"));
        std::fs::write(&path, "ssh-ed25519 AAAA me").unwrap();
        assert_eq!(ssh_credential(Some(&path), &[]).unwrap().unwrap().name, "ssh.authorized_keys.core");
        let own = Credential::new("ssh.authorized_keys.core", "other");
        assert_eq!(ssh_credential(Some(&path), &[own]).unwrap(), None);
    }

    #[test]
    fn a_cloud_config_travels_in_fw_cfg() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("web.yaml");
        std::fs::write(&path, "#cloud-config\n").unwrap();
        let file = firmware_file(&path).unwrap();
        assert_eq!(file.name, "opt/org.slipway/config");
        assert!(file.file.is_absolute() && file.file.ends_with("web.yaml"));
        std::fs::write(&path, "").unwrap();
        assert!(firmware_file(&path).unwrap_err().to_string().contains("empty"));
        std::fs::File::options().write(true).open(&path).unwrap().set_len(CLOUD_CONFIG_BYTES + 1).unwrap();
        assert!(firmware_file(&path).unwrap_err().to_string().contains("1048576"));
        assert!(firmware_file(dir.path()).unwrap_err().to_string().contains("no file"));
        assert!(firmware_file(&dir.path().join("none")).unwrap_err().to_string().contains("none"));
    }

    #[test]
    fn a_taken_port_is_explained() {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = taken.local_addr().unwrap().port();
        assert!(free_port(SshPort::Fixed(port)).unwrap_err().to_string().contains("--ssh-port auto"));
        assert_ne!(free_port(SshPort::Auto).unwrap(), 0);
    }
}
