//! The superblock of a hash tree: 512 bytes, little endian, at the start of the tree's first block.

use uuid::Uuid;

use super::{BLOCK_BYTES, Blocks, Result, VerityError};

/// Room for the salt, in bytes.
pub(super) const SALT_MAX_BYTES: usize = 256;

const MAGIC: &[u8; 8] = b"verity\0\0";
/// The algorithm's name in its 32-byte field.
const ALGORITHM: &[u8] = b"sha256";

const AT_VERSION: usize = 8;
const AT_HASH_TYPE: usize = 12;
const AT_UUID: usize = 16;
const AT_ALGORITHM: usize = 32;
const AT_DATA_BLOCK_BYTES: usize = 64;
const AT_HASH_BLOCK_BYTES: usize = 68;
const AT_DATA_BLOCKS: usize = 72;
const AT_SALT_BYTES: usize = 80;
const AT_RESERVED: usize = 82;
const AT_SALT: usize = 88;

/// What a superblock says that is not the same in every tree of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Superblock {
    /// Identity of the tree; no digest covers it.
    pub uuid: Uuid,
    /// Number of 4096-byte data blocks.
    pub data_blocks: u64,
    /// Hashed before each block; at most 256 bytes.
    pub salt: Vec<u8>,
}

impl Superblock {
    pub(super) fn new(uuid: Uuid, data_blocks: u64, salt: &[u8]) -> Result<Self> {
        if salt.len() > SALT_MAX_BYTES {
            return Err(VerityError::Salt { bytes: salt.len() });
        }
        Ok(Self { uuid, data_blocks, salt: salt.to_vec() })
    }

    /// Reads and checks the first block of `tree`.
    pub fn read(tree: &impl Blocks) -> Result<Self> {
        let wrong = |problem: String| VerityError::Superblock { tree: tree.name().to_owned(), problem };
        let mut block = [0; BLOCK_BYTES as usize];
        tree.read_at(0, &mut block).map_err(|source| VerityError::Io { step: "reading", object: tree.name().to_owned(), source })?;
        parse(&block).map_err(wrong)
    }

    /// The whole first block of the tree; behind the 512 bytes in use it is zero.
    pub(super) fn to_bytes(&self) -> [u8; BLOCK_BYTES as usize] {
        let mut block = [0; BLOCK_BYTES as usize];
        let mut put = |at: usize, bytes: &[u8]| block[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, MAGIC);
        put(AT_VERSION, &1_u32.to_le_bytes());
        put(AT_HASH_TYPE, &1_u32.to_le_bytes());
        put(AT_UUID, self.uuid.as_bytes());
        put(AT_ALGORITHM, ALGORITHM);
        put(AT_DATA_BLOCK_BYTES, &(BLOCK_BYTES as u32).to_le_bytes());
        put(AT_HASH_BLOCK_BYTES, &(BLOCK_BYTES as u32).to_le_bytes());
        put(AT_DATA_BLOCKS, &self.data_blocks.to_le_bytes());
        put(AT_SALT_BYTES, &(self.salt.len() as u16).to_le_bytes());
        put(AT_SALT, &self.salt);
        block
    }
}

/// Accepts exactly what [`Superblock::to_bytes`] writes, so that no byte of the block may change unseen but those of its values.
pub(super) fn parse(block: &[u8; BLOCK_BYTES as usize]) -> std::result::Result<Superblock, String> {
    let u16_at = |at: usize| u16::from_le_bytes([block[at], block[at + 1]]);
    let u32_at = |at: usize| u32::from_le_bytes(block[at..at + 4].try_into().expect("four bytes"));
    let data_blocks = u64::from_le_bytes(block[AT_DATA_BLOCKS..AT_DATA_BLOCKS + 8].try_into().expect("eight bytes"));
    if block[..8] != *MAGIC {
        return Err("it does not begin with `verity`".into());
    }
    let fixed = [
        ("version", AT_VERSION, 1),
        ("hash type", AT_HASH_TYPE, 1),
        ("data block size", AT_DATA_BLOCK_BYTES, BLOCK_BYTES as u32),
        ("hash block size", AT_HASH_BLOCK_BYTES, BLOCK_BYTES as u32),
    ];
    for (name, at, expected) in fixed {
        if u32_at(at) != expected {
            return Err(format!("{name} is {}, not {expected}", u32_at(at)));
        }
    }
    if block[AT_ALGORITHM..][..ALGORITHM.len()] != *ALGORITHM {
        return Err("the algorithm is not sha256".into());
    }
    if data_blocks == 0 {
        return Err("the number of data blocks is zero".into());
    }
    let salt_bytes = usize::from(u16_at(AT_SALT_BYTES));
    if salt_bytes > SALT_MAX_BYTES {
        return Err(format!("the salt is {salt_bytes} bytes long, more than {SALT_MAX_BYTES}"));
    }
    let uuid = Uuid::from_slice(&block[AT_UUID..AT_ALGORITHM]).expect("sixteen bytes");
    let superblock = Superblock { uuid, data_blocks, salt: block[AT_SALT..AT_SALT + salt_bytes].to_vec() };
    match superblock.to_bytes().iter().zip(block).position(|(expected, actual)| expected != actual) {
        None => Ok(superblock),
        Some(at) if at < AT_DATA_BLOCK_BYTES => Err("the algorithm is not sha256".into()),
        Some(at @ AT_RESERVED..AT_SALT) => Err(format!("reserved byte {at} is not zero")),
        Some(at) => Err(format!("unused byte {at} is not zero")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let superblock = Superblock::new(Uuid::from_u128(7), 99, b"salt").unwrap();
        assert_eq!(parse(&superblock.to_bytes()), Ok(superblock));
    }

    #[test]
    fn a_salt_must_fit() {
        assert!(Superblock::new(Uuid::nil(), 1, &[0; 256]).is_ok());
        assert!(matches!(Superblock::new(Uuid::nil(), 1, &[0; 257]), Err(VerityError::Salt { bytes: 257 })));
    }

    #[test]
    fn every_byte_that_is_not_a_value_is_checked() {
        let good = Superblock::new(Uuid::from_u128(7), 99, b"salt").unwrap();
        for at in 0..BLOCK_BYTES as usize {
            let mut block = good.to_bytes();
            block[at] ^= 0x80;
            let result = parse(&block);
            let variable = at == AT_SALT_BYTES
                || (AT_UUID..AT_ALGORITHM).contains(&at)
                || (AT_DATA_BLOCKS..AT_SALT_BYTES).contains(&at)
                || (AT_SALT..AT_SALT + 4).contains(&at);
            assert_eq!(result.is_ok(), variable, "byte {at}: {result:?}");
        }
    }
}
