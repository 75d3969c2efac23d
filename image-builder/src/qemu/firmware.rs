//! Finds the UEFI firmware (OVMF): a read-only code image and a template of the variable store.

use std::path::{Path, PathBuf};

/// Directories that distributions use, and the three files in each: plain code, code with Secure Boot, variables.
///
/// Only the 4 MiB layout: the older 2 MiB one has too little room for variables. The Secure Boot build needs a
/// machine with SMM; the plain one boots everywhere.
const PLACES: &[(&str, &str, &str, &str)] = &[
    ("usr/share/OVMF", "OVMF_CODE_4M.fd", "OVMF_CODE_4M.secboot.fd", "OVMF_VARS_4M.fd"),
    ("usr/share/edk2/x64", "OVMF_CODE.4m.fd", "OVMF_CODE.secboot.4m.fd", "OVMF_VARS.4m.fd"),
];

/// Whether the firmware checks signatures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SecureBoot {
    /// It can, with keys in the variable store.
    On,
    /// It cannot.
    Off,
}

/// A firmware: code and an empty variable store that belongs to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Firmware {
    /// Mapped read-only.
    pub code: PathBuf,
    /// Template; every machine needs a copy of its own.
    pub vars_template: PathBuf,
}

/// No firmware was found.
#[derive(Debug, thiserror::Error)]
#[error("no UEFI firmware found (looked for {looked_for}); install it with: apt-get install ovmf")]
pub struct NoFirmware {
    looked_for: String,
}

/// The firmware of this host.
pub fn find(secure_boot: SecureBoot) -> Result<Firmware, NoFirmware> {
    find_below(Path::new("/"), secure_boot)
}

fn find_below(root: &Path, secure_boot: SecureBoot) -> Result<Firmware, NoFirmware> {
    let candidates = PLACES.iter().map(|(dir, plain, secure, vars)| {
        let code = if secure_boot == SecureBoot::On { secure } else { plain };
        Firmware { code: root.join(dir).join(code), vars_template: root.join(dir).join(vars) }
    });
    let candidates: Vec<Firmware> = candidates.collect();
    let found = candidates.iter().find(|firmware| firmware.code.is_file() && firmware.vars_template.is_file());
    found.cloned().ok_or_else(|| {
        let looked_for: Vec<String> = candidates.iter().map(|firmware| firmware.code.display().to_string()).collect();
        NoFirmware { looked_for: looked_for.join(", ") }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_image_counts_only_together_with_its_variables() {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("usr/share/OVMF");
        std::fs::create_dir_all(&dir).unwrap();
        std::fs::write(dir.join("OVMF_CODE_4M.fd"), "code").unwrap();
        let error = find_below(root.path(), SecureBoot::Off).unwrap_err().to_string();
        assert!(error.contains("OVMF_CODE_4M.fd") && error.ends_with("apt-get install ovmf"), "{error}");

        std::fs::write(dir.join("OVMF_VARS_4M.fd"), "vars").unwrap();
        assert_eq!(find_below(root.path(), SecureBoot::Off).unwrap().code, dir.join("OVMF_CODE_4M.fd"));
        assert!(find_below(root.path(), SecureBoot::On).is_err());

        std::fs::write(dir.join("OVMF_CODE_4M.secboot.fd"), "code").unwrap();
        assert_eq!(find_below(root.path(), SecureBoot::On).unwrap().code, dir.join("OVMF_CODE_4M.secboot.fd"));
    }
}
