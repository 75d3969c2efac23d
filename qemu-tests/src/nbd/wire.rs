//! The NBD protocol, as far as QEMU speaks it: fixed newstyle handshake and simple replies.
//!
//! Follows the specification of the NBD project, "The NBD protocol". Structured replies and TLS are declined.

use std::io::{self, Read, Write};

const GREETING: u64 = 0x4e42_444d_4147_4943; // "NBDMAGIC"
const OPTION: u64 = 0x4948_4156_454f_5054; // "IHAVEOPT"
const OPTION_REPLY: u64 = 0x0003_e889_0455_65a9;
const REQUEST: u32 = 0x2560_9513;
const REPLY: u32 = 0x6744_6698;
/// Handshake flags: fixed newstyle, no zero padding.
const HANDSHAKE_FLAGS: u16 = 0b11;

const OPT_EXPORT_NAME: u32 = 1;
const OPT_ABORT: u32 = 2;
const OPT_INFO: u32 = 6;
const OPT_GO: u32 = 7;
const REP_ACK: u32 = 1;
const REP_INFO: u32 = 3;
const REP_ERR_UNSUPPORTED: u32 = 0x8000_0001;
const INFO_EXPORT: u16 = 0;
const INFO_BLOCK_SIZE: u16 = 3;

/// Smallest unit of a request, in bytes: a sector.
pub const SECTOR_BYTES: u64 = 512;
/// What the client may prefer, in bytes.
const PREFERRED_BYTES: u32 = 4096;
/// Longest read or write, in bytes; the specification's default limit.
pub const REQUEST_BYTES_MAX: u32 = 32 << 20;
/// Longest option, in bytes: QEMU's are some dozen bytes long.
const OPTION_BYTES_MAX: u32 = 4096;
/// Options before a client must have made up its mind.
const OPTIONS_MAX: u32 = 64;
/// Length of a request's header, in bytes.
pub const HEADER_BYTES: usize = 28;

const FLAG_FUA: u16 = 1;
const CMD_READ: u16 = 0;
const CMD_WRITE: u16 = 1;
const CMD_DISC: u16 = 2;
const CMD_FLUSH: u16 = 3;
const CMD_TRIM: u16 = 4;
const CMD_WRITE_ZEROES: u16 = 6;

/// What a disk says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cache {
    /// Written data may be lost until it is flushed, as on a disk with a write cache.
    Volatile,
    /// What is answered is there for good, as in a flash chip; there is nothing to flush.
    None,
}

impl Cache {
    /// `NBD_FLAG_*` of the transmission phase.
    fn flags(self) -> u16 {
        const HAS_FLAGS: u16 = 1;
        const SEND_FLUSH: u16 = 1 << 2;
        const SEND_FUA: u16 = 1 << 3;
        const SEND_TRIM: u16 = 1 << 5;
        const SEND_WRITE_ZEROES: u16 = 1 << 6;
        match self {
            Self::Volatile => HAS_FLAGS | SEND_FLUSH | SEND_FUA | SEND_TRIM | SEND_WRITE_ZEROES,
            Self::None => HAS_FLAGS,
        }
    }
}

/// What a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Op {
    /// Bytes.
    Read,
    /// To keep bytes; they follow the header.
    Write,
    /// To end.
    Disconnect,
    /// To make durable what was answered before.
    Flush,
    /// To forget bytes; they read as zeroes here.
    Trim,
    /// To keep zeroes.
    Zero,
}

impl Op {
    /// Whether the content changes.
    #[must_use]
    pub fn changes(self) -> bool {
        matches!(self, Self::Write | Self::Trim | Self::Zero)
    }
}

/// One request without its data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request {
    /// What is asked.
    pub op: Op,
    /// Whether it must be durable before it is answered.
    pub fua: bool,
    /// The client's name for it.
    pub handle: u64,
    /// First byte.
    pub offset: u64,
    /// Number of bytes.
    pub len: u32,
}

impl Request {
    /// Reads a header; `size` is that of the disk. What is not aligned, too long or outside is refused.
    pub fn parse(header: &[u8; HEADER_BYTES], size: u64) -> io::Result<Self> {
        let (flags, kind) = (be16(&header[4..]), be16(&header[6..]));
        let (handle, offset, len) = (be64(&header[8..]), be64(&header[16..]), be32(&header[24..]));
        if be32(header) != REQUEST {
            return Err(wrong("a request without its magic number"));
        }
        let op = match kind {
            CMD_READ => Op::Read,
            CMD_WRITE => Op::Write,
            CMD_DISC => Op::Disconnect,
            CMD_FLUSH => Op::Flush,
            CMD_TRIM => Op::Trim,
            CMD_WRITE_ZEROES => Op::Zero,
            _ => return Err(wrong("a request of an unknown kind")),
        };
        let moves = matches!(op, Op::Read | Op::Write);
        let aligned = offset.is_multiple_of(SECTOR_BYTES) && u64::from(len).is_multiple_of(SECTOR_BYTES);
        if moves && (len > REQUEST_BYTES_MAX || !aligned) || (moves || op.changes()) && offset.saturating_add(len.into()) > size {
            return Err(wrong("a request that is too long, not aligned or outside of the disk"));
        }
        Ok(Self { op, fua: flags & FLAG_FUA != 0, handle, offset, len })
    }

    /// Bytes that follow the header.
    #[must_use]
    pub fn body(&self) -> usize {
        if self.op == Op::Write { self.len as usize } else { 0 }
    }
}

/// Answers a request; `errno` zero is success.
pub fn reply(out: &mut impl Write, handle: u64, errno: u32, data: &[u8]) -> io::Result<()> {
    let mut head = [0; 16];
    head[..4].copy_from_slice(&REPLY.to_be_bytes());
    head[4..8].copy_from_slice(&errno.to_be_bytes());
    head[8..].copy_from_slice(&handle.to_be_bytes());
    out.write_all(&head)?;
    out.write_all(data)
}

/// Greets a client and agrees on the only disk there is; false when it only wanted to look.
pub fn handshake(stream: &mut (impl Read + Write), size: u64, cache: Cache) -> io::Result<bool> {
    stream.write_all(&[&GREETING.to_be_bytes()[..], &OPTION.to_be_bytes(), &HANDSHAKE_FLAGS.to_be_bytes()].concat())?;
    let mut client = [0; 4];
    stream.read_exact(&mut client)?;
    let padded = be32(&client) & 0b10 == 0;
    for _ in 0..OPTIONS_MAX {
        let mut head = [0; 16];
        stream.read_exact(&mut head)?;
        let (option, len) = (be32(&head[8..]), be32(&head[12..]));
        if be64(&head) != OPTION || len > OPTION_BYTES_MAX {
            return Err(wrong("an option without its magic number, or too long"));
        }
        stream.read_exact(&mut vec![0; len as usize])?;
        let export = [&size.to_be_bytes()[..], &cache.flags().to_be_bytes()].concat();
        match option {
            OPT_EXPORT_NAME => {
                stream.write_all(&export)?;
                stream.write_all(if padded { &[0; 124] } else { &[] })?;
                return Ok(true);
            }
            OPT_INFO | OPT_GO => {
                let sizes = [SECTOR_BYTES as u32, PREFERRED_BYTES, REQUEST_BYTES_MAX].map(u32::to_be_bytes).concat();
                option_reply(stream, option, REP_INFO, &[&INFO_BLOCK_SIZE.to_be_bytes()[..], &sizes].concat())?;
                option_reply(stream, option, REP_INFO, &[&INFO_EXPORT.to_be_bytes()[..], &export].concat())?;
                option_reply(stream, option, REP_ACK, &[])?;
                if option == OPT_GO {
                    return Ok(true);
                }
            }
            OPT_ABORT => {
                option_reply(stream, option, REP_ACK, &[])?;
                return Ok(false);
            }
            _ => option_reply(stream, option, REP_ERR_UNSUPPORTED, &[])?,
        }
    }
    Err(wrong("a client that cannot make up its mind"))
}

fn option_reply(stream: &mut impl Write, option: u32, kind: u32, data: &[u8]) -> io::Result<()> {
    let len = u32::try_from(data.len()).map_err(io::Error::other)?;
    stream.write_all(&[&OPTION_REPLY.to_be_bytes()[..], &option.to_be_bytes(), &kind.to_be_bytes(), &len.to_be_bytes(), data].concat())
}

fn wrong(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the NBD client sent {what}"))
}

fn be16(bytes: &[u8]) -> u16 {
    u16::from_be_bytes([bytes[0], bytes[1]])
}

fn be32(bytes: &[u8]) -> u32 {
    u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
}

fn be64(bytes: &[u8]) -> u64 {
    u64::from(be32(bytes)) << 32 | u64::from(be32(&bytes[4..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(kind: u16, offset: u64, len: u32) -> [u8; HEADER_BYTES] {
        let bytes = [
            &REQUEST.to_be_bytes()[..],
            &1_u16.to_be_bytes(),
            &kind.to_be_bytes(),
            &7_u64.to_be_bytes(),
            &offset.to_be_bytes(),
            &len.to_be_bytes(),
        ]
        .concat();
        bytes.try_into().unwrap()
    }

    #[test]
    fn requests_are_read_or_refused() {
        let good = Request::parse(&header(CMD_WRITE, 512, 1024), 2048).unwrap();
        assert_eq!(good, Request { op: Op::Write, fua: true, handle: 7, offset: 512, len: 1024 });
        assert_eq!((good.body(), Request::parse(&header(CMD_FLUSH, 0, 0), 0).unwrap().body()), (1024, 0));
        for (kind, offset, len) in [
            (CMD_WRITE, 1, 512),
            (CMD_READ, 0, 511),
            (CMD_READ, 2048, 512),
            (CMD_READ, u64::MAX - 511, 512),
            (CMD_WRITE, 0, REQUEST_BYTES_MAX + 512),
            (CMD_TRIM, 0, 4096),
            (CMD_WRITE_ZEROES, 2048, 512),
            (99, 0, 0),
        ] {
            assert!(Request::parse(&header(kind, offset, len), 2048).is_err(), "{kind} {offset} {len}");
        }
        let mut bad = header(CMD_READ, 0, 512);
        bad[0] = 0;
        assert!(Request::parse(&bad, 2048).is_err());
    }

    /// What a client says, and a place for what it hears.
    struct Talk(io::Cursor<Vec<u8>>, Vec<u8>);

    impl Read for Talk {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            self.0.read(into)
        }
    }

    impl Write for Talk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.1.write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn talk(options: &[(u32, u32)]) -> (io::Result<bool>, Vec<u8>) {
        let mut said = 3_u32.to_be_bytes().to_vec();
        for (option, len) in options {
            said.extend([&OPTION.to_be_bytes()[..], &option.to_be_bytes(), &len.to_be_bytes()].concat());
            said.resize(said.len() + *len as usize, 0);
        }
        let mut talk = Talk(io::Cursor::new(said), Vec::new());
        (handshake(&mut talk, 4096, Cache::Volatile), talk.1)
    }

    #[test]
    fn a_client_is_told_size_and_abilities_however_it_asks() {
        let told = [&4096_u64.to_be_bytes()[..], &0x6d_u16.to_be_bytes()].concat();
        for options in [&[(OPT_EXPORT_NAME, 0)][..], &[(OPT_GO, 6)], &[(8, 0), (5, 0), (OPT_INFO, 6), (OPT_GO, 8)]] {
            let (result, heard) = talk(options);
            assert!(result.unwrap(), "{options:?}");
            assert!(heard.windows(told.len()).any(|window| window == told), "{options:?}");
        }
        assert!(!talk(&[(OPT_ABORT, 0)]).0.unwrap());
    }

    #[test]
    fn a_client_that_goes_on_and_on_is_left() {
        assert!(talk(&vec![(8, 0); OPTIONS_MAX as usize]).0.is_err());
        assert!(talk(&[(OPT_GO, OPTION_BYTES_MAX + 1)]).0.is_err());
        assert!(talk(&[]).0.is_err());
    }
}
