//! Data disks: partitions, file systems, mounts, swap.
//!
//! Everything here is done by units, so that a disk that is slow, missing or full holds up nothing else. What could destroy data asks
//! first: a disk or partition with anything on it is left alone unless the document says `overwrite`.

use super::builder::{Builder, PROGRAM, PUBLIC, SCRIPTS};
use super::effect::{Action, JobKind, Persistence};
use super::scripts::quoted;
use crate::model::disk::{DiskSetup, FileSystem, Mount, Swap};
use crate::model::value::{PartitionTable, SwapSize};
use crate::model::{Config, Located};

/// The file, when the document names none.
const SWAP_FILE: &str = "/var/swapfile";
/// Folders whose users must not start before they are mounted.
const DOCKER_FOLDERS: [&str; 2] = ["/var/lib/docker", "/var/lib/containerd"];

pub(super) fn storage(builder: &mut Builder<'_>, config: &Config) {
    let mut made: Vec<String> = Vec::new();
    for (device, disk) in &config.disk_setup {
        made.push(partitions(builder, device, disk));
    }
    for file_system in &config.fs_setup {
        let before = made.clone();
        made.push(format_device(builder, file_system, &before));
    }
    for mount in &config.mounts {
        mount_unit(builder, mount, &made);
    }
    if let Some(swap) = &config.swap {
        swap_file(builder, swap);
    }
}

fn partitions(builder: &mut Builder<'_>, device: &str, disk: &Located<DiskSetup>) -> String {
    if matches!(&disk.table_type, Some(kind) if kind.value == PartitionTable::Mbr) {
        builder.note(&disk.place, "the image can only make GPT tables; this disk gets one");
    }
    let name = format!("disk-{}", escape(device));
    let definitions = format!("/var/lib/slipway/cloud-config/repart/{name}");
    for (index, share) in disk.layout.iter().enumerate() {
        let text =
            format!("[Partition]\nType=linux-generic\nLabel=data-{}\nWeight={}\n", index + 1, u32::from(share.percent.max(1)) * 1000);
        builder.file(&share.place, &format!("{definitions}/{:02}.conf", index + 1), PUBLIC, text);
    }
    let overwrite = disk.overwrite.as_ref().is_some_and(|overwrite| overwrite.value);
    let (device_word, definitions) = (quoted(device), quoted(&definitions));
    let (empty, guard) = if overwrite { ("force", String::new()) } else { ("require", empty_only(&device_word)) };
    let text = format!(
        "#!/bin/sh\nset -eu\n{guard}systemd-repart --dry-run=no --discard=no --empty={empty} --definitions={definitions} {device_word}\nudevadm settle --timeout=30\n"
    );
    one_time_unit(builder, disk, &name, &format!("Partitions on {device}"), device, &text, &[])
}

fn format_device(builder: &mut Builder<'_>, file_system: &Located<FileSystem>, before: &[String]) -> String {
    let disk = file_system.device.as_str();
    let partition = file_system
        .partition
        .as_ref()
        .map(|partition| partition.value.as_str())
        .filter(|number| number.bytes().all(|byte| byte.is_ascii_digit()) && !number.is_empty());
    let device = match partition {
        // nvme0n1 and its partition nvme0n1p1, sda and its partition sda1.
        Some(number) if disk.ends_with(|c: char| c.is_ascii_digit()) => format!("{disk}p{number}"),
        Some(number) => format!("{disk}{number}"),
        None => disk.to_owned(),
    };
    let kind = file_system.filesystem.value.as_str();
    let label = file_system.label.as_ref().map(|label| label.value.as_str());
    let mut words: Vec<String> = match kind {
        "swap" => vec!["mkswap".to_owned()],
        kind => vec![format!("mkfs.{kind}")],
    };
    let (label_flag, force) = match kind {
        "vfat" | "fat" | "msdos" => ("-n", None),
        "ext2" | "ext3" | "ext4" => ("-L", Some("-F")),
        "xfs" | "btrfs" => ("-L", Some("-f")),
        _ => ("-L", None),
    };
    words.extend(force.map(str::to_owned));
    words.extend(label.into_iter().flat_map(|label| [label_flag.to_owned(), label.to_owned()]));
    words.extend(file_system.extra_opts.iter().map(|option| option.value.clone()));
    words.push(device.clone());
    let command: Vec<String> = words.iter().map(|word| quoted(word)).collect();
    let overwrite = file_system.overwrite.as_ref().is_some_and(|overwrite| overwrite.value);
    let word = quoted(&device);
    let guard = if overwrite { String::new() } else { empty_only(&word) };
    let text = format!("#!/bin/sh\nset -eu\n{guard}{}\nudevadm settle --timeout=30\n", command.join(" "));
    let name = format!("mkfs-{}", escape(&device));
    one_time_unit(builder, file_system, &name, &format!("File System on {device}"), &device, &text, before)
}

/// Ends the program unless a disk is certain to be empty: blkid finds nothing (2), and not something (0) or too much (8).
fn empty_only(device: &str) -> String {
    format!(
        "found=0\nblkid -p {device} >/dev/null || found=$?\nif [ $found -ne 2 ]; then\n    echo {device} is not empty and is left alone\n    exit 0\nfi\n"
    )
}

/// A program in a unit that waits for its device and is started once per instance; returns the unit's name.
fn one_time_unit<T>(
    builder: &mut Builder<'_>,
    asked: &Located<T>,
    name: &str,
    about: &str,
    device: &str,
    text: &str,
    after: &[String],
) -> String {
    let program = format!("{SCRIPTS}/{name}");
    let unit = format!("cloud-config-{name}.service");
    let device_unit = format!("{}.device", escape(device));
    builder.file(&asked.place, &program, PROGRAM, text.to_owned());
    let unit_text = format!(
        "[Unit]\nDescription={about}\nDefaultDependencies=no\nConflicts=shutdown.target\nBefore=shutdown.target\n\
         Wants={device_unit}\nAfter={device_unit} {}\n\n[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart={}\nTimeoutStartSec=10min\n",
        after.join(" "),
        program.replace('%', "%%").replace('\\', "\\\\"),
    );
    builder.file(&asked.place, &format!("/run/systemd/system/{unit}"), PUBLIC, unit_text.replace(" \n", "\n"));
    builder.job_once(&asked.place, &unit, JobKind::Start);
    unit
}

fn mount_unit(builder: &mut Builder<'_>, mount: &Located<Mount>, made: &[String]) {
    let what = source(&mount.device.value);
    let path = mount.path.as_str();
    let unit = format!("{}.mount", escape(path));
    let remote = !what.starts_with('/') || mount.options.iter().any(|option| option.as_str() == "_netdev");
    let mut after: Vec<&str> = made.iter().map(String::as_str).collect();
    after.push(if remote { "network-online.target" } else { "local-fs-pre.target" });
    let wants = if remote { "Wants=network-online.target\n" } else { "" };
    let before =
        if DOCKER_FOLDERS.iter().any(|folder| path.starts_with(folder)) { "Before=docker.service containerd.service\n" } else { "" };
    let kind = mount.filesystem.as_ref().map(|kind| format!("Type={}\n", kind.value)).unwrap_or_default();
    let options: Vec<&str> = mount.options.iter().map(|option| option.as_str()).filter(|option| *option != "nofail").collect();
    let options = if options.is_empty() { String::new() } else { format!("Options={}\n", options.join(",").replace('%', "%%")) };
    // No default dependencies: a disk that is missing must not hold up local-fs.target, and with it everything.
    let text = format!(
        "[Unit]\nDescription=Cloud-Config: {path}\nDefaultDependencies=no\nConflicts=umount.target\nBefore=umount.target\n{before}{wants}After={}\n\n\
         [Mount]\nWhat={}\nWhere={}\n{kind}{options}\n[Install]\nWantedBy=multi-user.target\n",
        after.join(" "),
        what.replace('%', "%%"),
        path.replace('%', "%%"),
    );
    builder.file(&mount.place, &format!("/etc/systemd/system/{unit}"), PUBLIC, text);
    builder.every_boot(&mount.place, Action::Enable { unit: unit.clone(), persistence: Persistence::Persistent });
    builder.job(&mount.place, &unit, JobKind::Start);
}

/// `LABEL=data` as the path udev gives it.
fn source(device: &str) -> String {
    for (tag, folder) in [("LABEL", "by-label"), ("UUID", "by-uuid"), ("PARTLABEL", "by-partlabel"), ("PARTUUID", "by-partuuid")] {
        if let Some(value) = device.strip_prefix(tag).and_then(|rest| rest.strip_prefix('=')) {
            return format!("/dev/disk/{folder}/{}", value.trim_matches('"'));
        }
    }
    device.to_owned()
}

fn swap_file(builder: &mut Builder<'_>, swap: &Located<Swap>) {
    let path = swap.filename.as_ref().map_or(SWAP_FILE, |path| path.as_str());
    let size = match swap.size.as_ref().and_then(|size| bytes(size.value)) {
        Some(bytes) => format!("size={bytes}\n"),
        None => {
            let limit = swap.maxsize.as_ref().and_then(|size| bytes(size.value)).unwrap_or(AUTO_LIMIT);
            format!(
                "size=0\nwhile read -r key value _; do [ \"$key\" != MemTotal: ] || size=$((value * 1024)); done </proc/meminfo\n\
                 [ \"$size\" -le {limit} ] || size={limit}\n"
            )
        }
    };
    let word = quoted(path);
    let text = format!(
        "#!/bin/sh\nset -eu\n[ ! -e {word} ] || exit 0\n{size}umask 077\nnew={word}.new\nrm -f \"$new\"\nfallocate -l \"$size\" \"$new\"\nmkswap \"$new\"\nsync \"$new\"\nmv \"$new\" {word}\n"
    );
    let program = format!("{SCRIPTS}/swapfile");
    builder.file(&swap.place, &program, PROGRAM, text);
    let maker = "cloud-config-swapfile.service";
    let maker_text = format!(
        "[Unit]\nDescription=Swap File\nRequiresMountsFor={path}\n\n[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart={program}\nTimeoutStartSec=10min\n"
    );
    builder.file(&swap.place, &format!("/etc/systemd/system/{maker}"), PUBLIC, maker_text);
    let unit = format!("{}.swap", escape(path));
    let unit_text = format!(
        "[Unit]\nDescription=Cloud-Config: swap\nDefaultDependencies=no\nConflicts=umount.target\nBefore=umount.target\nRequires={maker}\nAfter={maker}\n\n\
         [Swap]\nWhat={}\n\n[Install]\nWantedBy=multi-user.target\n",
        path.replace('%', "%%")
    );
    builder.file(&swap.place, &format!("/etc/systemd/system/{unit}"), PUBLIC, unit_text);
    builder.every_boot(&swap.place, Action::Enable { unit: unit.clone(), persistence: Persistence::Persistent });
    builder.job(&swap.place, &unit, JobKind::Start);
}

fn bytes(size: SwapSize) -> Option<u64> {
    match size {
        SwapSize::Auto => None,
        SwapSize::Bytes(bytes) => Some(bytes),
    }
}

/// An automatic swap file is as large as the memory, and no larger than this, in bytes.
const AUTO_LIMIT: u64 = 4 << 30;

/// A path as the name of a unit, as `systemd-escape --path` has it.
fn escape(path: &str) -> String {
    let mut name = String::new();
    for (at, byte) in path.trim_matches('/').bytes().enumerate() {
        match byte {
            b'/' => name.push('-'),
            b'.' if at == 0 => name.push_str("\\x2e"),
            byte if byte.is_ascii_alphanumeric() || b":_.".contains(&byte) => name.push(char::from(byte)),
            byte => name.push_str(&format!("\\x{byte:02x}")),
        }
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_escaped_as_systemd_does() {
        for (path, name) in [
            ("/srv/data", "srv-data"),
            ("/mnt/my-disk", r"mnt-my\x2ddisk"),
            ("/.hidden/a", r"\x2ehidden-a"),
            ("/a b", r"a\x20b"),
            ("/dev/vdb", "dev-vdb"),
        ] {
            assert_eq!(escape(path), name);
        }
    }

    #[test]
    fn tags_are_links_of_udev() {
        for (device, path) in [
            ("LABEL=data", "/dev/disk/by-label/data"),
            ("UUID=\"1-2\"", "/dev/disk/by-uuid/1-2"),
            ("/dev/vdb", "/dev/vdb"),
            ("nas:/x", "nas:/x"),
        ] {
            assert_eq!(source(device), path);
        }
    }
}
