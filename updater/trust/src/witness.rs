//! A second look, for a process that must not read what nobody vouched for.
//!
//! Whoever reads a file from the network could be taken over by it, and would then say anything. So its reader hands on a [`Statement`]: the
//! bytes that were signed, and the signatures. A [`Witness`] checks those over the bytes *as bytes*, with the keys of a root
//! it already trusts: no parser runs before enough keys have signed. Only then it reads them, and a file that it keeps is made anew
//! from what was checked.

use jiff::Timestamp;

use crate::envelope::{Envelope, require};
use crate::error::{Asked, Error};
use crate::key::{KeyId, Signature};
use crate::limits::MAX_SIGNATURES;
use crate::metadata::{Root, Targets};
use crate::role::Role;
use crate::verified::Verified;

/// What was signed, and by whom; believed by nobody yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// The canonical form of the signed part of a file.
    pub signed: Vec<u8>,
    /// Key ids and what they signed.
    pub signatures: Vec<(KeyId, Signature)>,
}

impl Statement {
    /// Takes a file of `role` apart. Signatures that could never count are left out.
    pub fn of(role: Role, bytes: &[u8]) -> Result<Self, Error> {
        let (signed, signatures) = Envelope::parse(role, bytes)?.into_parts();
        let signatures = signatures.into_iter().filter_map(|(id, signature)| Some((KeyId::from_hex(&id)?, signature?))).collect();
        Ok(Self { signed, signatures })
    }

    /// The file again: equal in content to the one that was taken apart, in a form of our own.
    fn file(&self) -> Vec<u8> {
        let signatures: Vec<String> = self
            .signatures
            .iter()
            .map(|(id, signature)| format!("{{\"keyid\":\"{id}\",\"sig\":\"{}\"}}", hex::encode(signature.to_bytes())))
            .collect();
        let mut file = format!("{{\"signatures\":[{}],\"signed\":", signatures.join(",")).into_bytes();
        file.extend_from_slice(&self.signed);
        file.push(b'}');
        file
    }
}

/// Checks statements against a root that is trusted already.
#[derive(Debug, Clone)]
pub struct Witness {
    root: Root,
}

impl Witness {
    /// Begins with the root that is kept, or came with the image.
    pub fn new(root: &[u8]) -> Result<Self, Error> {
        Ok(Self { root: Root::open(root)? })
    }

    /// Follows one rotation, and answers with the file to keep. From then on the new root counts.
    pub fn root(&mut self, statement: &Statement) -> Result<Vec<u8>, Error> {
        self.signed(Role::Root, statement)?;
        let file = statement.file();
        self.root = self.root.successor(&file)?;
        Ok(file)
    }

    /// The targets, which must not have expired `now`. Whether there are newer ones, only timestamp and snapshot know.
    pub fn targets(&self, statement: &Statement, now: Timestamp) -> Result<Verified<Targets>, Error> {
        self.signed(Role::Targets, statement)?;
        let envelope = Envelope::parse(Role::Targets, &statement.file())?;
        envelope.verify(self.root.role(Role::Targets), Asked::TrustedRoot(self.root.version))?;
        let targets = Targets::parse(&envelope.signed)?;
        targets.header().check_expiry(Role::Targets, now)?;
        Ok(Verified::vouch(targets))
    }

    /// Before anything is read: enough keys of `role` signed exactly these bytes.
    fn signed(&self, role: Role, statement: &Statement) -> Result<(), Error> {
        let count = statement.signatures.len();
        if count > MAX_SIGNATURES {
            return Err(Error::Malformed { role, reason: format!("it has {count} signatures, more than {MAX_SIGNATURES}") });
        }
        let keys = self.root.role(role);
        let good = keys.signers(&statement.signed, statement.signatures.iter().map(|(id, signature)| (id, signature)));
        require(role, None, keys, good, Asked::TrustedRoot(self.root.version))
    }
}
