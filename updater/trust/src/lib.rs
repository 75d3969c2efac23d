//! Signed release metadata: The Update Framework with ed25519, without any I/O.
//!
//! Offline keys say what a release is, online keys say which one is current; a stolen server can delay updates but never make one.
//! The client's side is a machine that asks for files and believes only what the keys in its root vouch for.
//! The publisher's side writes the same files and refuses to write what a client would refuse to read.
//!
//! - [`refresh`]: the client workflow. Start at [`Refresh`].
//! - [`repository`]: roots, rotations, targets, snapshots, timestamps.
//! - [`canonical`]: the one spelling of JSON that is signed, and a reader that refuses double meanings.
//! - [`Error`]: what is wrong, with roles, versions and key ids, and what to do; [`Kind`] for machines.
//! - [`limits`]: every bound; [`clock`]: which time decides about expiry.
//! - [`Statement`], [`Witness`]: a second look at what a reader claims, without reading before it is signed.
//! - [`Root`], [`Targets`], [`Target`], [`TargetName`]: what metadata says. [`Verified`]: the mark of what was checked.
//! - [`PublicKey`], [`KeyId`], [`Signature`], [`Signer`], [`KeySigner`]: keys.
//!
//! A tiny repository is signed and read back, all in memory:
//!
//! ```
//! use std::collections::BTreeMap;
//! use trust::repository::{self, RootDraft, TargetsDraft};
//! use trust::{Answer, KeySigner, Refresh, Role, Root, Signer, Target, Trusted};
//!
//! let (now, soon) = ("2027-01-01T00:00:00Z".parse()?, "2027-02-01T00:00:00Z".parse()?);
//! let key = KeySigner::from_seed(&[7; 32]); // one key for all; in earnest each role has its own
//! let mut draft = RootDraft::new(soon);
//! for role in Role::ALL {
//!     draft = draft.role(role, 1, [key.public_key()]);
//! }
//! let root_json = draft.sign(&[&key])?;
//! let root = Root::open(&root_json)?;
//!
//! let mut targets = TargetsDraft::new(soon);
//! targets.add("slipway-vm-1.0.0-amd64/release.json", &Target::of(b"{}"))?;
//! let targets = targets.sign(&root, &[&key])?;
//! let snapshot = repository::snapshot(&root, &targets, 1, soon, &[&key])?;
//! let timestamp = repository::timestamp(&root, &snapshot, 1, soon, &[&key])?;
//! let files = BTreeMap::from([("targets.json", targets), ("snapshot.json", snapshot), ("timestamp.json", timestamp)]);
//!
//! let mut refresh = Refresh::new(Trusted::new(root_json), now)?;
//! while let Some(want) = refresh.want() {
//!     let file = files.get(want.path.as_str()).cloned();
//!     refresh.supply(file.map_or(Answer::Missing, Answer::Bytes))?;
//! }
//! let release = refresh.finish()?.find("slipway-vm-1.0.0-amd64/release.json").cloned();
//! assert!(release.expect("listed above").check(b"{}").is_ok());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod canonical;
pub mod clock;
mod envelope;
mod error;
mod key;
pub mod limits;
mod metadata;
mod name;
pub mod refresh;
pub mod repository;
mod role;
mod signer;
mod verified;
mod witness;

pub use error::{Asked, Error, Kind};
pub use key::{KeyError, KeyId, PublicKey, Signature};
pub use metadata::{RoleKeys, Root, Target, Targets};
pub use name::TargetName;
pub use refresh::{Answer, Refresh, Summary, Trusted, Want};
pub use role::Role;
pub use signer::{KeySigner, SignError, Signer};
pub use verified::Verified;
pub use witness::{Statement, Witness};
