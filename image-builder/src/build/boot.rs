//! What the firmware starts: the signed UKI, the slots' addons, the loader, and the ESP that holds them.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use super::Options;
use super::root::{Assembled, Root};
use crate::esp::expected;
use crate::esp::write::{self as esp, Content, EspFile, EspSpec};
use crate::progress::Progress;
use crate::sign::sign_pe;
use crate::slot::Slot;
use crate::tools::Tools;
use crate::uki::{self, Uki};

/// Where systemd keeps its EFI programs.
const EFI_DIR: &str = "usr/lib/systemd/boot/efi";

/// The largest UKI, in bytes; firmware allocates it in one piece and two have to fit on the ESP with room to spare.
const UKI_MAX_BYTES: usize = 150 * 1024 * 1024;

/// The Secure Boot key and its certificate.
#[derive(Debug)]
pub struct Keys {
    key: PathBuf,
    /// The certificate, PEM.
    pub certificate: PathBuf,
    /// The root of trust for releases, which the image carries.
    pub root: Vec<u8>,
    /// SHA-256 of the certificate file, for cache keys.
    pub fingerprint: String,
}

impl Keys {
    /// Finds the files in a folder made by `keygen`.
    pub fn load(dir: &Path) -> anyhow::Result<Self> {
        let key = std::path::absolute(dir.join("private/secure-boot.key"))?;
        let certificate = std::path::absolute(dir.join("public/secure-boot.crt"))?;
        let root = crate::release::root::newest(dir);
        if !key.exists() || !certificate.exists() {
            bail!("{} holds no keys; make some with: image-builder keygen {}", dir.display(), dir.display());
        }
        let root = fs::read(&root)
            .with_context(|| format!("reading {}; make it with: image-builder root init {}", root.display(), dir.display()))?;
        let bytes = fs::read(&certificate).with_context(|| format!("reading {}", certificate.display()))?;
        Ok(Self { key, root, fingerprint: hex::encode(Sha256::digest(bytes)), certificate })
    }
}

/// The signed results, in a temporary folder.
#[derive(Debug)]
pub struct Boot {
    /// The signed UKI.
    pub uki: PathBuf,
    /// The ESP's file system.
    pub esp: PathBuf,
    _dir: TempDir,
}

/// Assembles, signs and packs everything that boots.
pub fn make(
    assembled: &Assembled,
    root: &Root,
    tools: &Tools,
    keys: &Keys,
    options: &Options<'_>,
    progress: &Progress,
) -> anyhow::Result<Boot> {
    let _phase = progress.phase("signing the UKI and writing the ESP", 0);
    // In the output folder: a full disk shows here, before anything has a final name.
    let dir = tempfile::Builder::new().prefix(".boot-").tempdir_in(options.out).context("making a folder for the boot files")?;
    let efi = |name: &str| fs::read(tools.file(&format!("{EFI_DIR}/{name}"))).with_context(|| format!("reading {name} of the tools"));
    let initrd = fs::read(&root.initrd).context("reading the initrd")?;
    let uki = Uki {
        osrel: assembled.os_release.as_bytes(),
        cmdline: &format!("roothash={} {}", root.hash, assembled.manifest.cmdline),
        uname: &assembled.manifest.kernel,
        initrd: &initrd,
        linux: &assembled.linux,
        sbat: None,
    }
    .assemble(&efi("linuxx64.efi.stub")?)?;
    if uki.len() > UKI_MAX_BYTES {
        bail!(
            "the UKI has {} bytes, more than {UKI_MAX_BYTES}; remove modules from [kernel] initrd-modules or files from [initrd]",
            uki.len()
        );
    }
    let addon_stub = efi("addonx64.efi.stub")?;
    let sign = |name: &str, bytes: &[u8]| -> anyhow::Result<PathBuf> {
        let (unsigned, signed) = (dir.path().join(format!("{name}.unsigned")), dir.path().join(name));
        fs::write(&unsigned, bytes).with_context(|| format!("writing {}", unsigned.display()))?;
        sign_pe(tools, &keys.key, &keys.certificate, assembled.epoch, &unsigned, &signed).with_context(|| format!("signing {name}"))?;
        fs::remove_file(&unsigned)?;
        Ok(signed)
    };
    let signed_uki = sign("slipway.efi", &uki)?;
    let addon_a = sign("addon-a.efi", &uki::addon(&addon_stub, &Slot::A.addon_cmdline())?)?;
    let addon_b = sign("addon-b.efi", &uki::addon(&addon_stub, &Slot::B.addon_cmdline())?)?;
    let loader = sign("systemd-boot.efi", &efi("systemd-bootx64.efi")?)?;
    let conf = Slot::A.loader_conf();
    let (uki_path, addons) = (Slot::A.uki_path(), Slot::ALL.map(Slot::addon_path));
    // Slot B gets its UKI with its first update: an entry whose root is empty could only fail.
    let files = [
        EspFile { path: expected::FALLBACK_LOADER, content: Content::File(&loader) },
        EspFile { path: expected::LOADER, content: Content::File(&loader) },
        EspFile { path: &uki_path, content: Content::File(&signed_uki) },
        EspFile { path: &addons[0], content: Content::File(&addon_a) },
        EspFile { path: &addons[1], content: Content::File(&addon_b) },
        EspFile { path: expected::LOADER_CONF, content: Content::Bytes(conf.as_bytes()) },
        EspFile { path: expected::ENTRIES_SREL, content: Content::Bytes(expected::ENTRIES_SREL_CONTENT) },
    ];
    let out = dir.path().join("esp.fat");
    let size_bytes = crate::disk::layout::PARTITIONS[0].size_bytes;
    // The root hash stands for the release: two releases have different volume ids.
    let volume_id = u32::from_le_bytes([root.hash.0[0], root.hash.0[1], root.hash.0[2], root.hash.0[3]]);
    esp::write(tools, &EspSpec { size_bytes, volume_id, unix_time: assembled.epoch, files: &files }, &out)?;
    Ok(Boot { uki: signed_uki, esp: out, _dir: dir })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_without_keys_says_how_to_make_them() {
        let dir = tempfile::tempdir().unwrap();
        let error = Keys::load(dir.path()).unwrap_err().to_string();
        assert!(error.contains("image-builder keygen"), "{error}");
    }
}
