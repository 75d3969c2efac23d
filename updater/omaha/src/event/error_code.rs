//! Error codes of update_engine, after masking.

/// The machine came back with the version it had before the update.
pub const ROLLBACK: i64 = 44;
/// HTTP status `N` is `HTTP + N`; 2999 stands for a status that is none.
pub const HTTP: i64 = 2000;

/// What a masked code means, in a few words.
#[must_use]
pub const fn describe(code: i64) -> &'static str {
    match code {
        0 => "success",
        1 => "generic error",
        2 => "the request failed",
        3 => "the response could not be handled",
        4 => "copying the file system failed",
        5 => "the post-install step failed",
        7 => "the target device could not be opened",
        8 => "the kernel device could not be opened",
        9 => "the download failed",
        10 => "the payload's hash is wrong",
        11 => "the payload's size is wrong",
        12 => "the payload's signature is wrong",
        13 => "the new partition's hash or size is wrong",
        14 => "writing failed",
        15 => "the new root could not be verified",
        16 => "the new kernel could not be verified",
        17 => "the delta is not signed",
        18 => "the public key could not be used",
        20 => "the state could not be set up",
        21 => "the payload is not a payload",
        22 => "the signature is missing",
        23 => "the manifest could not be parsed",
        24..=26 => "the metadata's signature is wrong",
        27..=29 => "an operation of the payload failed",
        30 => "the response was empty",
        31 => "the response is not XML",
        32 | 33 => "the metadata's size or signature is wrong",
        34 => "the response is not valid",
        35 => "ignored by policy",
        36 => "deferred by policy",
        37 => "HTTP error",
        38 | 39 => "a hash or signature is missing",
        40 => "deferred by back-off",
        41 => "factory reset",
        42 | 43 => "the TPM policy could not be updated",
        ROLLBACK => "rolled back",
        2000..=2999 => "HTTP status",
        _ => "unknown error",
    }
}
