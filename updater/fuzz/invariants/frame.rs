//! A frame gives exactly as many bytes as were expected, or an error and none; it never allocates more than a frame holds.

use payload::{FRAME_BYTES, frame};

/// Panics when the invariant does not hold for `bytes`: three bytes of expected length, little endian, and a stored frame.
pub(crate) fn check(bytes: &[u8]) {
    let Some((length, stored)) = bytes.split_at_checked(3) else { return };
    let expected = length.iter().rev().fold(0, |sum, byte| sum << 8 | usize::from(*byte));
    let mut into = Vec::new();
    let result = frame::unpack(stored, expected, &mut into);
    assert_eq!(into.len(), if result.is_ok() { expected } else { 0 }, "{result:?}");
    assert!(into.capacity() <= FRAME_BYTES, "{} bytes allocated", into.capacity());
    if result.is_ok() {
        // The same frame is never good for another length.
        assert!(frame::unpack(stored, expected + 1, &mut into).is_err());
        assert!(frame::unpack(&stored[..stored.len() - 1], expected, &mut into).is_err());
    }
}
