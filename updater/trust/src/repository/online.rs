//! What the server signs by itself: which targets are current, and that they still are.

use jiff::Timestamp;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::SPEC_VERSION;
use super::cosign::verified;
use super::signing::sign;
use crate::envelope::Envelope;
use crate::error::Error;
use crate::limits::MAX_VERSION;
use crate::metadata::{Header, Root, Snapshot, Targets, format_time};
use crate::role::Role;
use crate::signer::Signer;

/// One more than the version of `previous`, a file of `role` whose signatures do not matter here; 1 when there is none.
pub fn next_version(role: Role, previous: Option<&[u8]>) -> Result<u64, Error> {
    let Some(previous) = previous else {
        return Ok(1);
    };
    let version = Header::parse(role, &Envelope::parse(role, previous)?.signed)?.version + 1;
    if version > MAX_VERSION { Err(Error::VersionTooHigh { role, version }) } else { Ok(version) }
}

/// Signs a snapshot of `targets`, a file that must itself be signed as `root` asks.
pub fn snapshot(root: &Root, targets: &[u8], version: u64, expires: Timestamp, signers: &[&dyn Signer]) -> Result<Vec<u8>, Error> {
    let listed = Targets::parse(&verified(Role::Targets, targets, root)?)?.version;
    one_file(Role::Snapshot, Role::Targets, listed, targets, version, expires, root, signers)
}

/// Signs a timestamp for `snapshot`, a file that must itself be signed as `root` asks.
pub fn timestamp(root: &Root, snapshot: &[u8], version: u64, expires: Timestamp, signers: &[&dyn Signer]) -> Result<Vec<u8>, Error> {
    let listed = Snapshot::parse(&verified(Role::Snapshot, snapshot, root)?)?.header.version;
    one_file(Role::Timestamp, Role::Snapshot, listed, snapshot, version, expires, root, signers)
}

/// Both list exactly one file, with version, length and digest.
#[expect(clippy::too_many_arguments, reason = "private, and each is one member of the file")]
fn one_file(
    role: Role,
    of: Role,
    listed: u64,
    bytes: &[u8],
    version: u64,
    expires: Timestamp,
    root: &Root,
    signers: &[&dyn Signer],
) -> Result<Vec<u8>, Error> {
    let entry = json!({"version": listed, "length": bytes.len(), "hashes": {"sha256": hex::encode(Sha256::digest(bytes))}});
    let signed: Value = json!({
        "_type": role.name(),
        "spec_version": SPEC_VERSION,
        "version": version,
        "expires": format_time(expires),
        "meta": {of.file_name(): entry},
    });
    Header::parse(role, &signed)?;
    sign(role, &signed, root.role(role), signers)
}
