//! From a build to a signed release: a folder of plain files that any web server, bucket or USB stick can carry.
//!
//! | module | content |
//! | --- | --- |
//! | [`pack`] | the files of a release, packed from the output folder of a build |
//! | [`repository`] | all releases and the metadata that vouches for them, on disk |
//! | [`root`] | which keys may sign what: the first root, and its rotations |
//! | [`signers`] | who signs: keys in files, and keys that another process holds |
//! | [`publish`] | sending a repository to a server |

pub mod pack;
pub mod publish;
pub mod repository;
pub mod root;
pub mod signers;

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use anyhow::Context;
use sha2::{Digest, Sha256};

/// How much of a file is hashed at once, in bytes.
const HASH_BYTES: usize = 1 << 20;

/// Length and SHA-256 of a file.
fn digest_of(path: &Path) -> anyhow::Result<(u64, [u8; 32])> {
    let hashed = || -> io::Result<_> {
        let (mut file, mut hash, mut length) = (File::open(path)?, Sha256::new(), 0);
        let mut buffer = vec![0; HASH_BYTES];
        loop {
            match file.read(&mut buffer)? {
                0 => return Ok((length, hash.finalize().into())),
                count => {
                    hash.update(&buffer[..count]);
                    length += count as u64;
                }
            }
        }
    };
    hashed().with_context(|| format!("reading {}", path.display()))
}
