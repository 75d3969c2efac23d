//! A virtual machine, described by types and turned into QEMU's argument list.
//!
//! Nothing here touches the system: the same description always gives the same arguments.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use camino::Utf8PathBuf;

use super::accel::Accel;
use super::firmware::SecureBoot;
use super::overlay::Format;

/// The processor that emulated guests see: the oldest model that has everything of x86-64-v2, and the model number of an Atom that does
/// not speculate. Neither does an emulator, and Linux then leaves out what protects against speculation, of which separate page tables for
/// the kernel alone cost a third of a boot: each system call makes the emulator forget what it knows. Newer models are slower to emulate
/// (more features to probe, wide vectors), and a fixed one makes runs comparable. SHA-NI is the exception: dm-verity hashes all that is
/// read, and one emulated instruction does the work of dozens.
const EMULATED_CPU: &str = "Nehalem-v1,model=28,stepping=10,+sha-ni";

/// Carries one connection of a guest to a server here; QEMU starts it for each.
const RELAY: &str = "socat";

/// The only address that forwards listen on: a guest is nobody's business but this machine's.
const LOOPBACK: &str = "127.0.0.1";

/// Where the guest finds the servers of [`Nic::services`], in the network that QEMU's user-mode stack makes.
pub const SERVICE_ADDRESS: &str = "10.0.2.100";

/// Name in `fw_cfg` under which a Slipway guest looks for its cloud-config.
pub const CLOUD_CONFIG: &str = "opt/org.slipway/config";

/// How a disk is attached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiskBus {
    /// `/dev/vda`, the usual choice for VMs.
    VirtioBlk,
    /// `/dev/nvme0n1`, as in today's servers.
    Nvme,
    /// `/dev/sda` behind the chipset's SATA controller.
    Ahci,
}

/// Which network card the guest sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NicModel {
    /// The usual choice for VMs.
    Virtio,
    /// A common Intel card of real machines.
    E1000e,
}

/// Where the content of a disk or of a flash chip is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Storage {
    /// In a file.
    File(Utf8PathBuf),
    /// Behind an NBD server that listens on this Unix socket.
    Nbd(Utf8PathBuf),
}

impl<T: Into<Utf8PathBuf>> From<T> for Storage {
    fn from(file: T) -> Self {
        Self::File(file.into())
    }
}

impl Storage {
    /// The options of `-drive` that name it.
    fn options(&self) -> String {
        match self {
            Self::File(path) => format!("file={}", escape(path)),
            Self::Nbd(socket) => format!("file.driver=nbd,file.server.type=unix,file.server.path={}", escape(socket)),
        }
    }
}

/// A disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disk {
    /// Where its content is.
    pub file: Storage,
    /// Format of that file.
    pub format: Format,
    /// How it is attached.
    pub bus: DiskBus,
    /// Serial number the guest reads.
    pub serial: String,
    /// Whether the content may be lost when the host crashes; saves the flushes on throw-away disks.
    pub throwaway: bool,
    /// Whether the guest may only read it; behind SATA it is an optical drive then.
    pub read_only: bool,
}

/// A network card on a network of its own, from which the guest reaches nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nic {
    /// Card.
    pub model: NicModel,
    /// Hardware address.
    pub mac: String,
    /// TCP ports of this machine's loopback that lead into the guest.
    pub forwards: Vec<Forward>,
    /// Servers on this machine's loopback that the guest reaches at [`SERVICE_ADDRESS`]; everything else stays out of reach.
    pub services: Vec<Forward>,
}

/// A TCP port of the host's loopback interface that leads to a port of the guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Forward {
    /// Port here.
    pub host: u16,
    /// Port there.
    pub guest: u16,
}

impl FromStr for Forward {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let port = |text: &str| text.parse::<u16>().ok().filter(|port| *port != 0);
        let ports = text.split_once(':').and_then(|(host, guest)| Some(Self { host: port(host)?, guest: port(guest)? }));
        ports.ok_or_else(|| format!("{text:?} is not HOST:GUEST, two TCP ports such as 8080:80"))
    }
}

/// A systemd credential, handed to the guest by the firmware tables (SMBIOS type 11).
#[derive(Clone, PartialEq, Eq)]
pub struct Credential {
    /// Name, e.g. `ssh.authorized_keys.core`.
    pub name: String,
    /// Content.
    pub value: Vec<u8>,
}

impl Credential {
    /// The credential `name` with `value`.
    pub fn new(name: impl Into<String>, value: impl Into<Vec<u8>>) -> Self {
        Self { name: name.into(), value: value.into() }
    }
}

impl fmt::Debug for Credential {
    // Credentials may be secrets: a log shows that there is one, not what it says.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credential({}, {} bytes)", self.name, self.value.len())
    }
}

impl FromStr for Credential {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, value) = text.split_once('=').ok_or_else(|| format!("{text:?} is not NAME=VALUE"))?;
        // systemd takes a credential's name as a file name.
        let fits = !name.is_empty() && name.len() < 256 && name != "." && name != ".." && name.chars().all(|c| c.is_ascii_graphic());
        if !fits || name.contains(['/', ':', '=', ',']) {
            return Err(format!("{name:?} is no credential name: letters, digits, dots, dashes, underscores"));
        }
        Ok(Self::new(name, value))
    }
}

/// A file that the guest finds in QEMU's `fw_cfg`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FirmwareFile {
    /// Name, e.g. [`CLOUD_CONFIG`]; at most 55 bytes.
    pub name: String,
    /// File with its content.
    pub file: Utf8PathBuf,
}

/// Where the guest's serial console goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Serial {
    /// This terminal, together with QEMU's monitor: ctrl-a x leaves, ctrl-a c switches.
    Terminal,
    /// A log file.
    File(Utf8PathBuf),
    /// A Unix socket that QEMU listens on, logged to a file as well.
    Socket {
        /// The socket.
        path: Utf8PathBuf,
        /// The log.
        log: Utf8PathBuf,
    },
}

/// A virtio-serial port: `/dev/virtio-ports/NAME` in the guest, a Unix socket that QEMU listens on here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Port {
    /// Name in the guest.
    pub name: String,
    /// Socket here.
    pub socket: Utf8PathBuf,
}

/// A whole machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    /// Name in process lists and window titles.
    pub name: String,
    /// KVM or emulation.
    pub accel: Accel,
    /// Processor model instead of the usual one.
    pub cpu_model: Option<String>,
    /// Number of processors.
    pub cpus: u32,
    /// Memory.
    pub memory_mib: u32,
    /// Firmware code, read-only.
    pub firmware_code: Utf8PathBuf,
    /// This machine's own variable store.
    pub firmware_vars: Storage,
    /// Whether the machine protects that store so that Secure Boot means something.
    pub secure_boot: SecureBoot,
    /// Disks, the first one is booted.
    pub disks: Vec<Disk>,
    /// Network card, if any.
    pub nic: Option<Nic>,
    /// Credentials for systemd in the guest.
    pub credentials: Vec<Credential>,
    /// Files in `fw_cfg`.
    pub firmware_files: Vec<FirmwareFile>,
    /// More strings of SMBIOS type 11, beside credentials.
    pub oem_strings: Vec<String>,
    /// The machine's serial number (SMBIOS type 1).
    pub serial_number: Option<String>,
    /// Serial console.
    pub serial: Serial,
    /// Channels to programs in the guest.
    pub ports: Vec<Port>,
    /// QEMU's control socket.
    pub qmp: Option<Utf8PathBuf>,
    /// Socket of a TPM emulator (`swtpm`), if the machine has a TPM 2.0.
    pub tpm: Option<Utf8PathBuf>,
    /// Whether there is a screen; pictures of it can be taken through [`Machine::qmp`].
    pub screen: bool,
    /// Whether there is a watchdog that resets the machine when nobody feeds it.
    pub watchdog: bool,
}

impl Machine {
    /// QEMU's arguments, without the program.
    #[must_use]
    pub fn args(&self) -> Vec<String> {
        let mut args = Args::default();
        args.flag("-nodefaults").flag("-no-user-config");
        args.pair("-name", escape(&self.name)).pair("-display", "none");
        self.board(&mut args);
        self.firmware(&mut args);
        args.pair("-device", "virtio-rng-pci");
        for (index, disk) in self.disks.iter().enumerate() {
            disk.push(&mut args, index);
        }
        if let Some(nic) = &self.nic {
            nic.push(&mut args);
        }
        for credential in &self.credentials {
            let value = base64::engine::general_purpose::STANDARD.encode(&credential.value);
            args.pair("-smbios", format!("type=11,value=io.systemd.credential.binary:{}={value}", escape(&credential.name)));
        }
        for text in &self.oem_strings {
            args.pair("-smbios", format!("type=11,value={}", escape(text)));
        }
        if let Some(number) = &self.serial_number {
            args.pair("-smbios", format!("type=1,serial={}", escape(number)));
        }
        for FirmwareFile { name, file } in &self.firmware_files {
            args.pair("-fw_cfg", format!("name={},file={}", escape(name), escape(file)));
        }
        self.channels(&mut args);
        if let Some(socket) = &self.tpm {
            args.pair("-chardev", format!("socket,id=tpm,path={}", escape(socket)));
            args.pair("-tpmdev", "emulator,id=tpm0,chardev=tpm").pair("-device", "tpm-tis,tpmdev=tpm0");
        }
        if self.screen {
            args.pair("-device", "bochs-display");
        }
        if self.watchdog {
            args.pair("-device", "i6300esb").pair("-action", "watchdog=reset");
        }
        args.list
    }

    fn board(&self, args: &mut Args) {
        let smm = if self.secure_boot == SecureBoot::On { ",smm=on" } else { "" };
        args.pair("-machine", format!("q35{smm}"));
        let (accel, usual_cpu) = match self.accel {
            Accel::Kvm => ("kvm", "host"),
            Accel::Tcg => ("tcg,thread=multi", EMULATED_CPU),
        };
        args.pair("-accel", accel).pair("-cpu", self.cpu_model.as_deref().unwrap_or(usual_cpu));
        args.pair("-smp", self.cpus.to_string()).pair("-m", format!("{}M", self.memory_mib));
    }

    fn firmware(&self, args: &mut Args) {
        let flash =
            |unit: u8, read_only: &str, storage: &Storage| format!("if=pflash,unit={unit},format=raw{read_only},{}", storage.options());
        let code = Storage::File(self.firmware_code.clone());
        args.pair("-drive", flash(0, ",readonly=on", &code)).pair("-drive", flash(1, "", &self.firmware_vars));
        if self.secure_boot == SecureBoot::On {
            args.pair("-global", "driver=cfi.pflash01,property=secure,value=on");
        }
    }

    fn channels(&self, args: &mut Args) {
        let console = match &self.serial {
            Serial::Terminal => "stdio,id=console,mux=on,signal=off".to_owned(),
            Serial::File(path) => format!("file,id=console,append=on,path={}", escape(path)),
            Serial::Socket { path, log } => {
                format!("socket,id=console,server=on,wait=off,path={},logappend=on,logfile={}", escape(path), escape(log))
            }
        };
        args.pair("-chardev", console).pair("-serial", "chardev:console");
        if self.serial == Serial::Terminal {
            args.pair("-mon", "chardev=console,mode=readline");
        }
        if !self.ports.is_empty() {
            args.pair("-device", "virtio-serial-pci,id=ports");
        }
        for (index, port) in self.ports.iter().enumerate() {
            args.pair("-chardev", format!("socket,id=port{index},server=on,wait=off,path={}", escape(&port.socket)));
            args.pair("-device", format!("virtserialport,bus=ports.0,chardev=port{index},name={}", escape(&port.name)));
        }
        if let Some(qmp) = &self.qmp {
            args.pair("-chardev", format!("socket,id=qmp,server=on,wait=off,path={}", escape(qmp)));
            args.pair("-mon", "chardev=qmp,mode=control");
        }
    }
}

impl Disk {
    fn push(&self, args: &mut Args, index: usize) {
        let cache = if self.throwaway { ",cache=unsafe" } else { "" };
        let (storage, format) = (self.file.options(), self.format.name());
        let access = if self.read_only { "readonly=on" } else { "discard=unmap" };
        args.pair("-drive", format!("if=none,id=disk{index},format={format},{access}{cache},{storage}"));
        let device = match self.bus {
            DiskBus::VirtioBlk => "virtio-blk-pci".to_owned(),
            DiskBus::Nvme => "nvme".to_owned(),
            // A hard disk that cannot be written to is refused; an optical one is made for it.
            DiskBus::Ahci if self.read_only => format!("ide-cd,bus=ide.{index}"),
            DiskBus::Ahci => format!("ide-hd,bus=ide.{index}"),
        };
        args.pair("-device", format!("{device},drive=disk{index},serial={},bootindex={index}", escape(&self.serial)));
    }
}

impl Nic {
    fn push(&self, args: &mut Args) {
        let mut user = "user,id=net0,restrict=on".to_owned();
        for forward in &self.forwards {
            user.push_str(&format!(",hostfwd=tcp:{LOOPBACK}:{}-:{}", forward.host, forward.guest));
        }
        for service in &self.services {
            // A character device in place of the command would serve one connection at a time.
            user.push_str(&format!(",guestfwd=tcp:{SERVICE_ADDRESS}:{}-cmd:{RELAY} STDIO TCP4:{LOOPBACK}:{}", service.guest, service.host));
        }
        let model = match self.model {
            NicModel::Virtio => "virtio-net-pci",
            NicModel::E1000e => "e1000e",
        };
        // No boot ROM: the firmware must not spend its time on network boot.
        args.pair("-netdev", user).pair("-device", format!("{model},netdev=net0,mac={},romfile=", self.mac));
    }
}

/// A comma ends a value in QEMU's option language; two stand for one.
fn escape(text: impl fmt::Display) -> String {
    text.to_string().replace(',', ",,")
}

#[derive(Default)]
struct Args {
    list: Vec<String>,
}

impl Args {
    fn flag(&mut self, name: &str) -> &mut Self {
        self.list.push(name.to_owned());
        self
    }

    fn pair(&mut self, name: &str, value: impl Into<String>) -> &mut Self {
        self.list.push(name.to_owned());
        self.list.push(value.into());
        self
    }
}

#[cfg(test)]
mod tests;
