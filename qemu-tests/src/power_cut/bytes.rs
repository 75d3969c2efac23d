//! Numbers in bytes, little endian; what reaches beyond the end reads as zero.

/// Two bytes at `at`.
#[must_use]
pub(super) fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from(byte(bytes, at)) | u16::from(byte(bytes, at + 1)) << 8
}

/// Four bytes at `at`.
#[must_use]
pub(super) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from(u16_at(bytes, at)) | u32::from(u16_at(bytes, at + 2)) << 16
}

/// Eight bytes at `at`.
#[must_use]
pub(super) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}

fn byte(bytes: &[u8], at: usize) -> u8 {
    bytes.get(at).copied().unwrap_or_default()
}
