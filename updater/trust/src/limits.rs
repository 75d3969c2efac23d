//! Every bound that hostile metadata meets, with its unit and its reason.

/// Bytes of a `N.root.json`. Roots list keys: kilobytes in practice.
pub const MAX_ROOT_BYTES: u64 = 1024 * 1024;
/// Bytes of `timestamp.json`, which describes one file and is the only one fetched with nothing known about it but its signer.
pub const MAX_TIMESTAMP_BYTES: u64 = 64 * 1024;
/// Bytes of `snapshot.json` when the timestamp does not list its length, and the most that a listed length may ask for.
pub const MAX_SNAPSHOT_BYTES: u64 = 1024 * 1024;
/// Bytes of `targets.json`, as above. Some ten thousand targets.
pub const MAX_TARGETS_BYTES: u64 = 4 * 1024 * 1024;
/// New roots followed in one run, the number the specification suggests. What was followed is kept, so that another run goes on from there.
pub const MAX_ROOT_ROTATIONS: u64 = 1024;
/// Signatures on one file: bounds the curve arithmetic that an unsigned file can ask for.
pub const MAX_SIGNATURES: usize = 64;
/// Keys in one root. Humans hold a few; more is an attack on the verifier's time.
pub const MAX_KEYS: usize = 128;
/// Levels of JSON arrays and objects within each other. TUF needs eight; `custom` may add some.
pub const MAX_DEPTH: usize = 32;
/// Highest version number of any metadata: the largest integer that every JSON implementation reads back unchanged.
///
/// A stolen online key can thus not push a counter to where adding one overflows.
pub const MAX_VERSION: u64 = (1 << 53) - 1;
/// Bytes of a target's name.
pub const MAX_NAME_BYTES: usize = 512;
