//! Several people, several machines: adding signatures to a file and checking the outcome.

use serde_json::Value;

use super::signing::{Signatures, render, signatures};
use crate::canonical;
use crate::envelope::Envelope;
use crate::error::{Asked, Error};
use crate::metadata::{RoleKeys, Root};
use crate::role::Role;
use crate::signer::Signer;

/// Adds signatures to `file`, of `role`, whose keys `root` names. What was signed stays as it is.
pub fn cosign(role: Role, file: &[u8], root: &Root, signers: &[&dyn Signer]) -> Result<Vec<u8>, Error> {
    add(role, file, &[root.role(role)], signers)
}

/// Adds signatures to a root draft; keys of the `previous` root count as well as its own.
pub fn cosign_root(file: &[u8], previous: Option<&Root>, signers: &[&dyn Signer]) -> Result<Vec<u8>, Error> {
    let own = Root::parse(&Envelope::parse(Role::Root, file)?.signed)?;
    let mut accepted = vec![own.role(Role::Root)];
    accepted.extend(previous.map(|previous| previous.role(Role::Root)));
    add(Role::Root, file, &accepted, signers)
}

fn add(role: Role, file: &[u8], accepted: &[&RoleKeys], signers: &[&dyn Signer]) -> Result<Vec<u8>, Error> {
    let signed = Envelope::parse(role, file)?.signed;
    let json = canonical::parse(file).map_err(|reason| Error::Json { role, reason })?;
    let text = |entry: &Value, name| entry.get(name).and_then(Value::as_str).map(str::to_owned);
    let present = json.get("signatures").and_then(Value::as_array).into_iter().flatten();
    let mut all: Signatures = present.filter_map(|entry| Some((text(entry, "keyid")?, text(entry, "sig")?))).collect();
    all.extend(signatures(role, &signed, accepted, signers)?);
    render(role, &signed, &all)
}

/// Checks that `file`, of `role`, is signed as `root` asks.
pub fn check(role: Role, file: &[u8], root: &Root) -> Result<(), Error> {
    verified(role, file, root).map(drop)
}

/// Checks that `next` is what clients at `previous` accept: both thresholds, the very next version.
pub fn check_next_root(previous: &Root, next: &[u8]) -> Result<Root, Error> {
    previous.successor(next)
}

/// The `signed` object of a file that is signed as `root` asks.
pub(super) fn verified(role: Role, file: &[u8], root: &Root) -> Result<Value, Error> {
    let file = Envelope::parse(role, file)?;
    file.verify(root.role(role), Asked::TrustedRoot(root.version))?;
    Ok(file.signed)
}
