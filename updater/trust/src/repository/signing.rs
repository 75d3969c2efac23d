//! From a `signed` value to the bytes of a file.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::canonical;
use crate::envelope::Envelope;
use crate::error::Error;
use crate::key::{KeyId, PublicKey, Signature};
use crate::metadata::RoleKeys;
use crate::role::Role;
use crate::signer::{SignError, Signer};

/// Signatures by key id, in the order in which they are written.
pub(super) type Signatures = BTreeMap<String, String>;

/// Signatures of those `signers` whose keys are among `accepted`. The others are passed over: callers may bring a whole key ring.
pub(super) fn signatures(role: Role, signed: &Value, accepted: &[&RoleKeys], signers: &[&dyn Signer]) -> Result<Signatures, Error> {
    let message = canonical::to_vec(signed).map_err(|reason| Error::Json { role, reason })?;
    let mut signatures = Signatures::new();
    for signer in signers {
        let key = signer.public_key();
        for key_id in accepted.iter().filter_map(|keys| id_of(keys, &key)) {
            let sign = || -> Result<Signature, SignError> {
                let signature = signer.sign(&message)?;
                // Hardware and commands fail in interesting ways; better here than on ten thousand hosts.
                let good = key.verify(&message, &signature);
                if good { Ok(signature) } else { Err(SignError::new("what came back is not a signature of this key over this file")) }
            };
            let signature = sign().map_err(|reason| Error::Signing { role, key_id: key_id.clone(), reason })?;
            signatures.insert(key_id.to_string(), hex::encode(signature.to_bytes()));
        }
    }
    Ok(signatures)
}

fn id_of<'a>(keys: &'a RoleKeys, key: &PublicKey) -> Option<&'a KeyId> {
    keys.keys.iter().find_map(|(id, listed)| (listed == key).then_some(id))
}

/// The file: readable, keys sorted, a line feed at the end; the same input gives the same bytes.
pub(super) fn render(role: Role, signed: &Value, signatures: &Signatures) -> Result<Vec<u8>, Error> {
    let signatures: Vec<_> = signatures.iter().map(|(id, sig)| json!({"keyid": id, "sig": sig})).collect();
    let file = json!({"signatures": signatures, "signed": signed});
    let mut bytes = serde_json::to_vec_pretty(&file).map_err(|error| Error::Malformed { role, reason: error.to_string() })?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// Checks that enough of `keys` signed the file, and says which are missing.
pub(super) fn enough(role: Role, file: &Envelope, keys: &RoleKeys) -> Result<(), Error> {
    let signed = file.signers(keys);
    if signed.len() as u64 >= keys.threshold {
        return Ok(());
    }
    let needed = usize::try_from(keys.threshold).unwrap_or(usize::MAX);
    Err(Error::MissingSigners { role, needed, accepted: keys.keys.keys().cloned().collect(), signed })
}

/// Signs a file of a role other than root.
pub(super) fn sign(role: Role, signed: &Value, keys: &RoleKeys, signers: &[&dyn Signer]) -> Result<Vec<u8>, Error> {
    let bytes = render(role, signed, &signatures(role, signed, &[keys], signers)?)?;
    enough(role, &Envelope::parse(role, &bytes)?, keys)?;
    Ok(bytes)
}
