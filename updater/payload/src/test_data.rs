//! Bytes for tests.

/// `length` bytes that do not compress, always the same.
pub(crate) fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    (0..length).map(|_| next()).collect()
}

/// A small release that passes every check, for machines called vm.
pub(crate) fn release() -> crate::Release {
    static RELEASE: std::sync::LazyLock<crate::Release> = std::sync::LazyLock::new(make);
    RELEASE.clone()
}

fn make() -> crate::Release {
    use crate::{PartName, pack, verity};

    let root: Vec<u8> = noise(crate::FRAME_BYTES + 8192);
    let mut tree = std::io::Cursor::new(Vec::new());
    let hash = verity::tree(&root[..], root.len() as u64, b"salt", uuid::Uuid::nil(), &mut tree).expect("memory takes every byte");
    let part =
        |name: PartName, bytes: &[u8], file: &str| pack::pack(bytes, std::io::sink(), 1).expect("memory can be read").into_part(name, file);
    crate::Release {
        format: 1,
        app_id: crate::app_id("slipway", "vm"),
        name: "slipway".into(),
        variant: "vm".into(),
        version: crate::Version::new(1, 2, 3),
        arch: "amd64".into(),
        root_hash: crate::Sha256Digest(hash.0),
        minimum_version: Some(crate::Version::new(1, 0, 0)),
        rollback_index: 7,
        parts: vec![
            part(PartName::Root, &root, "root.erofs.zst"),
            part(PartName::Verity, tree.get_ref(), "root.verity.zst"),
            part(PartName::Uki, &noise(100), "slipway.efi.zst"),
        ],
        notes: "A first line.\n\tA second.".into(),
    }
}
