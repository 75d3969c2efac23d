//! Just enough HTTP/1.1: one request, one answer with a `Content-Length`, over and over.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// The longest head of an answer.
const MAX_HEAD_BYTES: usize = 16 * 1024;
/// The longest answer; an Omaha answer has about one kilobyte.
const MAX_BODY_BYTES: usize = 256 * 1024;
/// Read at a time: an answer fits.
const CHUNK_BYTES: usize = 8 * 1024;

/// What an answer says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    /// 200, with a release on offer.
    Offer,
    /// 200, with no release on offer.
    Nothing,
    /// Any other status.
    Status(u16),
}

/// Why a connection is of no use any more.
#[derive(Debug, thiserror::Error)]
pub(super) enum Broken {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("the server closed the connection in the middle of an answer")]
    Closed,
    #[error("the answer is not HTTP/1.1 with a Content-Length, or too long")]
    Strange,
}

/// A connection that is kept alive.
#[derive(Debug)]
pub(super) struct Connection<S> {
    stream: S,
    buffer: Vec<u8>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    pub(super) fn new(stream: S) -> Self {
        Self { stream, buffer: Vec::with_capacity(CHUNK_BYTES) }
    }

    /// Sends `request` and waits for the whole answer.
    pub(super) async fn ask(&mut self, request: &[u8]) -> Result<Answer, Broken> {
        self.stream.write_all(request).await?;
        let head_end = loop {
            if let Some(end) = find(&self.buffer, b"\r\n\r\n") {
                break end + 4;
            }
            self.read(MAX_HEAD_BYTES).await?;
        };
        let (status, length) = head(self.buffer.get(..head_end).unwrap_or_default()).ok_or(Broken::Strange)?;
        let end = head_end + length;
        while self.buffer.len() < end {
            self.read(end).await?;
        }
        let body = self.buffer.get(head_end..end).unwrap_or_default();
        let answer = match status {
            200 if find(body, b"<manifest").is_some() => Answer::Offer,
            200 => Answer::Nothing,
            other => Answer::Status(other),
        };
        self.buffer.drain(..end);
        Ok(answer)
    }

    async fn read(&mut self, most: usize) -> Result<(), Broken> {
        if self.buffer.len() >= most {
            return Err(Broken::Strange);
        }
        self.buffer.reserve(CHUNK_BYTES);
        match self.stream.read_buf(&mut self.buffer).await? {
            0 => Err(Broken::Closed),
            _ => Ok(()),
        }
    }
}

/// Status and length of the body.
fn head(head: &[u8]) -> Option<(u16, usize)> {
    let text = std::str::from_utf8(head).ok()?;
    let mut lines = text.split("\r\n");
    let status = lines.next()?.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()?;
    let header = |line: &str| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    };
    let length = lines.find_map(header)?;
    (length <= MAX_BODY_BYTES).then_some((status, length))
}

fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    text.windows(wanted.len()).position(|window| window == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Asks once per element of `pieces`, written by the server one after the other, and returns the answers.
    async fn ask(pieces: &[&str], times: usize) -> Vec<Result<Answer, String>> {
        let (client, mut server) = tokio::io::duplex(1 << 20);
        for piece in pieces {
            server.write_all(piece.as_bytes()).await.unwrap();
        }
        server.shutdown().await.unwrap();
        let mut connection = Connection::new(client);
        let mut answers = Vec::new();
        for _ in 0..times {
            answers.push(connection.ask(b"request").await.map_err(|broken| broken.to_string()));
        }
        answers
    }

    const NOTHING: &str = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n<no>";
    const OFFER: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/xml\r\ncontent-length: 17\r\n\r\n<manifest></manif";
    const BUSY: &str = "HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\ncontent-length: 0\r\n\r\n";

    #[tokio::test]
    async fn answers_are_told_apart_however_they_are_cut() {
        let whole = [NOTHING, OFFER, BUSY, NOTHING].concat();
        let (first, rest) = whole.split_at(30);
        for pieces in [vec![whole.as_str()], vec![NOTHING, OFFER, BUSY, NOTHING], vec![first, rest]] {
            let answers = ask(&pieces, 4).await;
            assert_eq!(answers, [Ok(Answer::Nothing), Ok(Answer::Offer), Ok(Answer::Status(503)), Ok(Answer::Nothing)]);
        }
    }

    #[tokio::test]
    async fn a_closed_connection_is_an_error() {
        for cut in [0, 10, NOTHING.len() - 1] {
            let answers = ask(&[&NOTHING[..cut]], 1).await;
            assert_eq!(answers, [Err("the server closed the connection in the middle of an answer".to_owned())], "cut at {cut}");
        }
    }

    #[tokio::test]
    async fn refuses_what_it_does_not_understand() {
        let endless = "a".repeat(MAX_HEAD_BYTES + 1);
        for strange in [
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
            "HTTP/1.0 200 OK\r\ncontent-length: 0\r\n\r\n",
            "HTTP/1.1 xyz OK\r\ncontent-length: 0\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 99999999\r\n\r\n",
            &endless,
        ] {
            assert_eq!(ask(&[strange], 1).await, [Err(Broken::Strange.to_string())], "{}", &strange[..20]);
        }
    }
}
