//! How much a source may hand over, and how patiently it is asked. Time limits of single sources stand in their files.

use std::time::Duration;

/// Largest user data, vendor data or script, in bytes. The largest that any platform accepts is 256 KiB; this leaves room
/// for files on media and stays far from hurting a small machine.
pub const USER_DATA_BYTES: usize = 1 << 20;
/// Largest structured metadata (JSON, YAML, XML), in bytes. Real ones have a few KiB, or some tens with many network cards.
pub const METADATA_BYTES: usize = 256 << 10;
/// Largest single value that is served as a text of its own, in bytes.
pub const VALUE_BYTES: usize = 16 << 10;
/// Largest attribute of the firmware tables, and of the kernel command line, in bytes. The kernel's own limits are below it.
pub const ATTRIBUTE_BYTES: usize = 16 << 10;
/// SSH keys from one platform, at most.
pub const KEYS: usize = 64;
/// Longest SSH key, in bytes; RSA with 16384 bits needs less than 3 KiB.
pub const KEY_BYTES: usize = 8 << 10;
/// Longest name of a machine, in bytes (RFC 1123).
pub const HOSTNAME_BYTES: usize = 253;
/// Longest identity of a machine, in bytes.
pub const INSTANCE_ID_BYTES: usize = 128;
/// Longest URL that is followed, in bytes.
pub const URL_BYTES: usize = 2048;
/// Network cards described by one platform, at most.
pub const LINKS: usize = 32;
/// Block devices that are looked at, at most.
pub const DEVICES: usize = 256;

/// One try at a network source, from connecting to the last byte.
pub const ATTEMPT: Duration = Duration::from_secs(5);
/// Pause before the second try; it doubles with every further one.
pub const PAUSE: Duration = Duration::from_millis(250);
/// Longest pause between two tries.
pub const PAUSE_MAX: Duration = Duration::from_secs(4);
