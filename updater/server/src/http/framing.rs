//! Where one request ends and the next begins, by RFC 9112's strict reading.
//!
//! Whoever gets a proxy in front of this server and this server to disagree about that can hide a request inside another one
//! (request smuggling). The HTTP library forgives what the standard lets it forgive: a length beside chunks, the same length
//! twice, extensions of chunks, bare line feeds. A proxy may read each of these in another way, and no client of ours sends
//! them, so here they are refused.
//!
//! The guard looks at the bytes on their way to the library and holds nothing back. At the first byte that breaks a rule it puts
//! one that no parser takes in its place, and nothing follows: so the library itself answers 400 in the right place of the
//! order of answers and hangs up, and no byte behind the mistake is ever read as a request.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Refused by every parser of HTTP wherever it stands: in request lines, names, values, and sizes of chunks.
const POISON: u8 = 0;
/// Digits of a chunk's size: 256 MiB, far more than any client's buffer, and far from where sizes overflow.
const CHUNK_DIGITS: u8 = 7;
/// Digits of a length: 10^15 bytes, as above.
const LENGTH_DIGITS: u8 = 15;
/// Longest name of a field that means something here: `transfer-encoding`.
const NAME: usize = 17;

/// Where in a connection's bytes we are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    /// Before a request; empty lines may stand here.
    Start,
    /// In a request line.
    Request,
    /// At the beginning of a line of the head.
    Line,
    /// In the name of a field.
    Name,
    /// In a value that does not matter.
    Value,
    /// In the value of `content-length`: digits so far; `over` once blanks follow them.
    Length { digits: u8, over: bool },
    /// In the value of `transfer-encoding`: letters of `chunked` so far; `over` once blanks follow them.
    Coding { letters: u8, over: bool },
    /// Behind a carriage return; only a line feed may follow, and then comes this.
    Feed(Next),
    /// In a body of known length.
    Body(u64),
    /// In the size of a chunk.
    Size { digits: u8, size: u64 },
    /// In a chunk.
    Chunk(u64),
    /// Behind a chunk: the carriage return.
    ChunkEnd,
    /// Behind the last chunk: the carriage return, and no trailers, which could only repeat what the head must say.
    LastEnd,
    /// A rule was broken.
    Refused,
}

/// What comes after a line feed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    Start,
    Line,
    Headless,
    Chunk(u64),
    Size,
    Done,
}

/// Reads along; see the module.
#[derive(Debug)]
pub struct Framing {
    at: At,
    name: [u8; NAME],
    named: usize,
    length: Option<u64>,
    chunked: bool,
}

impl Default for Framing {
    fn default() -> Self {
        Self { at: At::Start, name: [0; NAME], named: 0, length: None, chunked: false }
    }
}

impl Framing {
    /// Reads along; how many of these bytes may go on. Where that is not all of them the last one was replaced, and nothing that
    /// follows may go on.
    pub fn pass(&mut self, bytes: &mut [u8]) -> usize {
        let mut place = 0;
        while place < bytes.len() {
            // Content is nobody's business here.
            if let At::Body(left) | At::Chunk(left) = &mut self.at {
                let skip = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len() - place);
                *left -= skip as u64;
                place += skip;
                match self.at {
                    At::Body(0) => self.at = At::Start,
                    At::Chunk(0) => self.at = At::ChunkEnd,
                    _ => {}
                }
                continue;
            }
            if self.at == At::Refused {
                return place;
            }
            self.at = self.step(bytes[place]).unwrap_or(At::Refused);
            if self.at == At::Refused {
                bytes[place] = POISON;
            }
            place += 1;
        }
        place
    }

    /// Whether a rule was broken.
    #[must_use]
    pub fn refused(&self) -> bool {
        self.at == At::Refused
    }

    fn step(&mut self, byte: u8) -> Option<At> {
        Some(match (self.at, byte) {
            (At::Feed(next), b'\n') => return self.after(next),
            (At::Feed(_), _) | (_, b'\n') => return None,
            (At::Start, b'\r') => At::Feed(Next::Start),
            (At::Start, _) => {
                *self = Self::default();
                At::Request
            }
            (At::Request | At::Value, b'\r') => At::Feed(Next::Line),
            (At::Request | At::Value, _) => self.at,
            (At::Line, b'\r') => At::Feed(Next::Headless),
            // A line that continues the one before (obsolete folding), or a field without a name.
            (At::Line, b' ' | b'\t' | b':') => return None,
            (At::Line, _) => {
                self.named = 0;
                self.note(byte);
                At::Name
            }
            (At::Name, b':') => return self.field(),
            (At::Name, b'\r' | b' ' | b'\t') => return None,
            (At::Name, _) => {
                self.note(byte);
                At::Name
            }
            (At::Length { digits: 0, .. }, b' ' | b'\t') => self.at,
            (At::Length { digits, over: false }, b'0'..=b'9') if digits < LENGTH_DIGITS => {
                self.length = Some(self.length.unwrap_or(0) * 10 + u64::from(byte - b'0'));
                At::Length { digits: digits + 1, over: false }
            }
            (At::Length { digits: 1.., .. }, b'\r') => At::Feed(Next::Line),
            (At::Length { digits, .. }, b' ' | b'\t') => At::Length { digits, over: true },
            (At::Coding { letters: 0, .. }, b' ' | b'\t') => self.at,
            (At::Coding { letters, over: false }, _) if b"chunked".get(usize::from(letters)) == Some(&byte.to_ascii_lowercase()) => {
                At::Coding { letters: letters + 1, over: false }
            }
            (At::Coding { letters: 7, .. }, b'\r') => At::Feed(Next::Line),
            (At::Coding { letters: 7, .. }, b' ' | b'\t') => At::Coding { letters: 7, over: true },
            (At::Size { digits, size }, _) if byte.is_ascii_hexdigit() && digits < CHUNK_DIGITS => {
                let digit = char::from(byte).to_digit(16)?;
                At::Size { digits: digits + 1, size: size * 16 + u64::from(digit) }
            }
            (At::Size { digits: 1.., size }, b'\r') => At::Feed(Next::Chunk(size)),
            (At::ChunkEnd, b'\r') => At::Feed(Next::Size),
            (At::LastEnd, b'\r') => At::Feed(Next::Done),
            _ => return None,
        })
    }

    /// Keeps as much of a name as matters; a longer one matches nothing.
    fn note(&mut self, byte: u8) {
        if let Some(place) = self.name.get_mut(self.named) {
            *place = byte.to_ascii_lowercase();
        }
        self.named += 1;
    }

    /// Behind the name of a field. Length and coding may be said once, and only one of the two.
    fn field(&mut self) -> Option<At> {
        let known = self.length.is_some() || self.chunked;
        match self.name.get(..self.named) {
            Some(b"content-length" | b"transfer-encoding") if known => None,
            Some(b"content-length") => Some(At::Length { digits: 0, over: false }),
            Some(b"transfer-encoding") => {
                self.chunked = true;
                Some(At::Coding { letters: 0, over: false })
            }
            _ => Some(At::Value),
        }
    }

    /// Behind a line feed.
    fn after(&self, next: Next) -> Option<At> {
        Some(match next {
            Next::Start | Next::Done => At::Start,
            Next::Line => At::Line,
            Next::Headless if self.chunked => At::Size { digits: 0, size: 0 },
            Next::Headless => self.length.filter(|length| *length > 0).map_or(At::Start, At::Body),
            Next::Chunk(0) => At::LastEnd,
            Next::Chunk(size) => At::Chunk(size),
            Next::Size => At::Size { digits: 0, size: 0 },
        })
    }
}

/// A stream whose reader never sees a request that breaks a rule.
#[derive(Debug)]
pub struct Framed<S> {
    inner: S,
    framing: Framing,
}

impl<S> Framed<S> {
    /// Around a stream, from its first byte on.
    pub fn new(inner: S) -> Self {
        Self { inner, framing: Framing::default() }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Framed<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.framing.refused() {
            // The end, as far as the library is to know.
            return Poll::Ready(Ok(()));
        }
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.inner).poll_read(cx, buffer))?;
        let kept = before + self.framing.pass(&mut buffer.filled_mut()[before..]);
        buffer.set_filled(kept);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Framed<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(cx, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// How many bytes go on when they come in pieces of `piece` bytes, and what they are.
    fn pass(text: &[u8], piece: usize) -> (usize, Vec<u8>) {
        let (mut framing, mut bytes, mut kept) = (Framing::default(), text.to_vec(), 0);
        for piece in bytes.chunks_mut(piece.max(1)) {
            let passed = framing.pass(piece);
            kept += passed;
            if framing.refused() {
                break;
            }
            assert_eq!(passed, piece.len());
        }
        bytes.truncate(kept);
        (kept, bytes)
    }

    #[test]
    fn what_clients_and_proxies_send_goes_on_untouched() {
        for text in [
            "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
            "\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\nGET /2 HTTP/1.1\r\nHost: x\r\n\r\n",
            "POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nhelloGET / HTTP/1.1\r\n\r\n",
            "POST / HTTP/1.1\r\ncontent-LENGTH:5 \t\r\n\r\n\n\r\0\n GET / HTTP/1.1\r\nx:\r\n\r\n",
            "POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\nGET / HTTP/1.1\r\n\r\n",
            "PUT / HTTP/1.1\r\nTransfer-Encoding: Chunked\r\n\r\n5\r\nhello\r\n0A\r\n0123456789\r\n0\r\n\r\nGET / HTTP/1.1\r\n\r\n",
            "GET / HTTP/1.1\r\nContent-Length-Of-Mine: x\r\nX-Transfer-Encoding: y\r\ncontent-lengt: 1\r\n\r\nGET / HTTP/1.1\r\n\r\n",
        ] {
            for piece in [1, 2, 7, 1000] {
                assert_eq!(pass(text.as_bytes(), piece), (text.len(), text.as_bytes().to_vec()), "{text:?} in pieces of {piece}");
            }
        }
    }

    #[test]
    fn what_two_readers_could_read_differently_ends_at_the_mistake() {
        // The `!` stands where the first wrong byte is; it is no part of the text.
        for marked in [
            "POST / HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding!: chunked\r\n\r\n",
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length!: 5\r\n\r\n",
            "POST / HTTP/1.1\r\nContent-Length: 5\r\nContent-Length!: 5\r\n\r\n",
            "POST / HTTP/1.1\r\nContent-Length: 5!, 5\r\n\r\n",
            "POST / HTTP/1.1\r\nContent-Length: !+5\r\n\r\n",
            "POST / HTTP/1.1\r\nContent-Length: !-5\r\n\r\n",
            "POST / HTTP/1.1\r\nContent-Length: 0!x5\r\n\r\n",
            "POST / HTTP/1.1\r\nContent-Length: 5 !5\r\n\r\n",
            "POST / HTTP/1.1\r\nContent-Length: !\r\n\r\n",
            "POST / HTTP/1.1\r\nContent-Length: 184467440737095!51621\r\n\r\n",
            "POST / HTTP/1.1\r\nTransfer-Encoding: !gzip, chunked\r\n\r\n",
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked!, chunked\r\n\r\n",
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked!x\r\n\r\n",
            "POST / HTTP/1.1\r\nTransfer-Encoding: chu!\r\n\r\n",
            "POST / HTTP/1.1\r\nTransfer-Encoding: !\r\n\r\n",
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding!: chunked\r\n\r\n",
            "POST / HTTP/1.1\r\nTransfer-Encoding! : chunked\r\n\r\n",
            "POST / HTTP/1.1\r\nX: y\r\n! folded\r\n\r\n",
            "POST / HTTP/1.1\r\n!\tContent-Length: 5\r\n\r\n",
            "POST / HTTP/1.1\r\n!: nameless\r\n\r\n",
            "POST / HTTP/1.1!\nHost: x\n\n",
            "POST / HTTP/1.1\r\nHost: x!\n\r\n",
            "POST / HTTP/1.1\r\nHost: x\r\n!\n",
            "POST / HTTP/1.1\r\nHost: x\r!Content-Length: 5\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: x\r\n\r!POST",
            "!\nPOST / HTTP/1.1\r\n\r\n",
            "POST / HTTP/1.1\r\nnocolon!\r\n\r\n",
            "PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5!;a=b\r\nhello\r\n0\r\n\r\n",
            "PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5! \r\nhello\r\n0\r\n\r\n",
            "PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n! 5\r\nhello\r\n0\r\n\r\n",
            "PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0!x5\r\nhello\r\n0\r\n\r\n",
            "PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n!-5\r\nhello\r\n0\r\n\r\n",
            "PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n!\r\nhello\r\n0\r\n\r\n",
            "PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5!\nhello\r\n0\r\n\r\n",
            "PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello!X0\r\n\r\n",
            "PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1000000!0000000005\r\nhello\r\n0\r\n\r\n",
            "PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n!Content-Length: 5\r\n\r\n",
        ] {
            let text = marked.replacen('!', "", 1);
            let wrong = marked.find('!').unwrap();
            let mut wanted = text.as_bytes()[..=wrong].to_vec();
            wanted[wrong] = POISON;
            for piece in [1, 3, 1000] {
                assert_eq!(pass(text.as_bytes(), piece), (wrong + 1, wanted.clone()), "{marked:?} in pieces of {piece}");
            }
        }
    }

    proptest! {
        #[test]
        fn pieces_make_no_difference(text in prop::collection::vec(prop::sample::select(b"GET / HTTP/1.1\r\n:05aF;Content-Length: 3\r\n\r\n".to_vec()), 0..300), piece in 1usize..50) {
            prop_assert_eq!(pass(&text, piece), pass(&text, 1000));
        }
    }
}
