//! Copy-on-write disks: the image stays as it was built, and can be seen bigger than it is.

use std::path::Path;

use crate::cmd::{Cmd, CmdError};

/// Format of a disk file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// The bytes of the disk.
    Raw,
    /// QEMU's copy-on-write format.
    Qcow2,
}

impl Format {
    /// QEMU's name for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Qcow2 => "qcow2",
        }
    }
}

/// Makes an overlay at `overlay` over the raw image `base`, `size_bytes` large if that is more than the image.
pub fn create(base: &Path, overlay: &Path, size_bytes: Option<u64>) -> Result<(), CmdError> {
    let base_size = base.metadata().map(|data| data.len()).unwrap_or(0);
    let cmd = over(base, Format::Raw, overlay);
    match size_bytes.filter(|size| *size > base_size) {
        Some(size) => cmd.arg(size.to_string()).run(),
        None => cmd.run(),
    }
}

/// Makes an overlay at `overlay` over another one, which nobody may write to from then on.
pub fn stack(base: &Path, overlay: &Path) -> Result<(), CmdError> {
    over(base, Format::Qcow2, overlay).run()
}

fn over(base: &Path, format: Format, overlay: &Path) -> Cmd {
    let backing = std::path::absolute(base).unwrap_or_else(|_| base.to_owned());
    Cmd::new("qemu-img").args(["create", "-q", "-f", "qcow2", "-F", format.name(), "-b"]).arg(backing).arg(overlay)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn virtual_size(overlay: &Path) -> u64 {
        let text = Cmd::new("qemu-img").args(["info", "--output=json"]).arg(overlay).text().unwrap();
        let info: serde_json::Value = serde_json::from_str(&text).unwrap();
        info["virtual-size"].as_u64().unwrap()
    }

    #[test]
    fn an_overlay_grows_but_never_shrinks_the_disk() {
        let dir = tempfile::tempdir().unwrap();
        let base = dir.path().join("disk.raw");
        std::fs::File::create(&base).unwrap().set_len(4 << 20).unwrap();
        for (asked, seen) in [(None, 4 << 20), (Some(1 << 20), 4 << 20), (Some(8 << 20), 8 << 20)] {
            let overlay = dir.path().join("overlay.qcow2");
            create(&base, &overlay, asked).unwrap();
            assert_eq!(virtual_size(&overlay), seen);
            let second = dir.path().join("second.qcow2");
            stack(&overlay, &second).unwrap();
            assert_eq!(virtual_size(&second), seen);
        }
    }
}
