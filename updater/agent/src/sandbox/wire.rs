//! Messages between the daemon and its workers: a kind, a length, that many bytes.
//!
//! Control messages are small JSON documents, data messages are raw bytes which only the side that asked for them may expect. A
//! length is checked before anything is allocated, and the daemon never waits for a worker longer than its patience.

use std::io;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

/// Longest control message, in bytes: a verified release of 2048 frames, its longest content, stays below.
pub const MAX_CONTROL_BYTES: usize = 1 << 20;
/// Kind and length.
const HEADER_BYTES: usize = 5;
const CONTROL: u8 = b'C';
const DATA: u8 = b'D';

/// Why a conversation ended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WireError {
    /// The connection failed or ended.
    #[error("the connection broke: {0}")]
    Io(#[from] io::Error),
    /// Nothing (or not all of a message) came in time.
    #[error("no answer within {} s", .0.as_secs())]
    Silent(Duration),
    /// More bytes than this message may have.
    #[error("a message of {got} bytes where {max} are the limit")]
    Long {
        /// The announced length.
        got: usize,
        /// The limit.
        max: usize,
    },
    /// A control message instead of data, or the other way round.
    #[error("a message of kind {got:#04x} where {want:#04x} was due")]
    Kind {
        /// What came.
        got: u8,
        /// What had to come.
        want: u8,
    },
    /// A data message of another length than announced.
    #[error("{got} bytes of data where {want} were announced")]
    Length {
        /// What came.
        got: usize,
        /// What had to come.
        want: usize,
    },
    /// A control message that is not the expected JSON.
    #[error("a message that makes no sense: {0}")]
    Json(#[from] serde_json::Error),
}

/// One end of a conversation.
#[derive(Debug)]
pub struct Pipe<S> {
    stream: S,
    patience: Option<Duration>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Pipe<S> {
    /// A conversation over `stream`; with `patience`, each message must come and go within that time.
    pub fn new(stream: S, patience: Option<Duration>) -> Self {
        Self { stream, patience }
    }

    /// Sends a control message.
    pub async fn send<T: Serialize>(&mut self, message: &T) -> Result<(), WireError> {
        let bytes = serde_json::to_vec(message)?;
        if bytes.len() > MAX_CONTROL_BYTES {
            return Err(WireError::Long { got: bytes.len(), max: MAX_CONTROL_BYTES });
        }
        self.write(CONTROL, &bytes).await
    }

    /// Sends a data message.
    pub async fn send_data(&mut self, bytes: &[u8]) -> Result<(), WireError> {
        self.write(DATA, bytes).await
    }

    /// Receives a control message.
    pub async fn receive<T: DeserializeOwned>(&mut self) -> Result<T, WireError> {
        let patience = self.patience;
        within(patience, async {
            let length = self.header(CONTROL, MAX_CONTROL_BYTES).await?;
            let mut bytes = vec![0; length];
            self.stream.read_exact(&mut bytes).await?;
            Ok(serde_json::from_slice(&bytes)?)
        })
        .await
    }

    /// Receives a data message of at most `max` bytes.
    pub async fn receive_data(&mut self, max: usize) -> Result<Vec<u8>, WireError> {
        let patience = self.patience;
        within(patience, async {
            let length = self.header(DATA, max).await?;
            let mut bytes = vec![0; length];
            self.stream.read_exact(&mut bytes).await?;
            Ok(bytes)
        })
        .await
    }

    /// Receives a data message that must fill `into` exactly.
    pub async fn receive_data_into(&mut self, into: &mut [u8]) -> Result<(), WireError> {
        let patience = self.patience;
        within(patience, async {
            let length = self.header(DATA, into.len()).await?;
            if length != into.len() {
                return Err(WireError::Length { got: length, want: into.len() });
            }
            self.stream.read_exact(into).await?;
            Ok(())
        })
        .await
    }

    async fn header(&mut self, want: u8, max: usize) -> Result<usize, WireError> {
        let mut header = [0; HEADER_BYTES];
        self.stream.read_exact(&mut header).await?;
        let [kind, length @ ..] = header;
        if kind != want {
            return Err(WireError::Kind { got: kind, want });
        }
        let got = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
        if got > max { Err(WireError::Long { got, max }) } else { Ok(got) }
    }

    async fn write(&mut self, kind: u8, bytes: &[u8]) -> Result<(), WireError> {
        let length = u32::try_from(bytes.len()).map_err(|_| WireError::Long { got: bytes.len(), max: u32::MAX as usize })?;
        let [a, b, c, d] = length.to_be_bytes();
        within(self.patience, async {
            self.stream.write_all(&[kind, a, b, c, d]).await?;
            self.stream.write_all(bytes).await?;
            self.stream.flush().await?;
            Ok(())
        })
        .await
    }
}

async fn within<T>(patience: Option<Duration>, work: impl Future<Output = Result<T, WireError>>) -> Result<T, WireError> {
    match patience {
        Some(patience) => timeout(patience, work).await.unwrap_or(Err(WireError::Silent(patience))),
        None => work.await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::UnixStream;

    fn pair() -> (UnixStream, Pipe<UnixStream>) {
        let (theirs, ours) = UnixStream::pair().unwrap();
        (theirs, Pipe::new(ours, Some(Duration::from_millis(200))))
    }

    #[tokio::test]
    async fn messages_arrive_as_they_were_sent() {
        let (theirs, mut ours) = pair();
        let mut theirs = Pipe::new(theirs, None);
        theirs.send(&("hello", 3)).await.unwrap();
        theirs.send_data(b"abc").await.unwrap();
        theirs.send_data(b"").await.unwrap();
        theirs.send_data(b"xyz").await.unwrap();
        assert_eq!(ours.receive::<(String, u32)>().await.unwrap(), ("hello".to_owned(), 3));
        assert_eq!(ours.receive_data(3).await.unwrap(), b"abc");
        assert_eq!(ours.receive_data(0).await.unwrap(), b"");
        let mut into = [0; 3];
        ours.receive_data_into(&mut into).await.unwrap();
        assert_eq!(&into, b"xyz");
    }

    #[tokio::test]
    async fn every_broken_message_is_a_typed_error() {
        let cases: &[(&[u8], &str)] = &[
            (b"C\xff\xff\xff\xffxxxx", "a message of 4294967295 bytes where 1048576 are the limit"),
            (b"C\0\x10\0\x01", "a message of 1048577 bytes"),
            (b"D\0\0\0\0", "a message of kind 0x44 where 0x43 was due"),
            (b"?\0\0\0\0", "a message of kind 0x3f"),
            (b"C\0\0\0\x02{]", "a message that makes no sense"),
            (b"C\0\0\0\0", "a message that makes no sense"),
            (b"C\0\0\0\x09{}", "no answer within 0 s"),
            (b"C\0", "no answer within 0 s"),
        ];
        for (bytes, expected) in cases {
            let (mut theirs, mut ours) = pair();
            theirs.write_all(bytes).await.unwrap();
            let error = ours.receive::<u32>().await.unwrap_err().to_string();
            assert!(error.starts_with(expected), "{error}");
        }
    }

    #[tokio::test]
    async fn data_of_another_length_is_refused_before_it_is_read() {
        for (length, expected) in [(2_u8, "2 bytes of data where 3 were announced"), (4, "a message of 4 bytes where 3 are the limit")] {
            let (mut theirs, mut ours) = pair();
            theirs.write_all(&[DATA, 0, 0, 0, length]).await.unwrap();
            assert_eq!(ours.receive_data_into(&mut [0; 3]).await.unwrap_err().to_string(), expected);
        }
    }

    #[tokio::test]
    async fn a_worker_that_dies_or_stops_reading_is_noticed() {
        let (theirs, mut ours) = pair();
        drop(theirs);
        assert!(matches!(ours.receive::<u32>().await, Err(WireError::Io(_))));
        let (_theirs, mut ours) = pair();
        assert!(matches!(ours.send_data(&vec![0; 8 << 20]).await, Err(WireError::Silent(_))));
    }
}
