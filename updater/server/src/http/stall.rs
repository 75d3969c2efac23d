//! A connection whose reader may be slow, but not stand still.
//!
//! The request's own limits end with the head of the answer; the body of a payload may take hours on a bad line. Somebody
//! who asks for a payload and then reads nothing would hold one of the server's places for ever without this.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

/// How long a client may take no byte at all. The kernel says that there is room again only when a third of its buffer is
/// free (up to 4 MiB of buffer, for clients that were fast before), so this allows for lines of about 11 kB/s at worst, and
/// of much less for clients that were always slow.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// A stream that breaks when a write makes no progress for too long.
#[derive(Debug)]
pub struct Impatient<S> {
    inner: S,
    patience: Duration,
    /// Set while a write waits.
    waiting: Option<Pin<Box<Sleep>>>,
}

impl<S> Impatient<S> {
    /// Around a stream.
    pub const fn new(inner: S, patience: Duration) -> Self {
        Self { inner, patience, waiting: None }
    }

    /// What to make of a write's outcome: progress ends the wait, none starts or continues it.
    fn judge<T>(&mut self, outcome: Poll<io::Result<T>>, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        if outcome.is_ready() {
            self.waiting = None;
            return outcome;
        }
        let patience = self.patience;
        ready!(self.waiting.get_or_insert_with(|| Box::pin(tokio::time::sleep(patience))).as_mut().poll(cx));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, format!("the client took nothing for {patience:?}"))))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Impatient<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.inner).poll_write(cx, bytes);
        self.judge(outcome, cx)
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.inner).poll_write_vectored(cx, bytes);
        self.judge(outcome, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut self.inner).poll_flush(cx);
        self.judge(outcome, cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut self.inner).poll_shutdown(cx);
        self.judge(outcome, cx)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Impatient<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buffer)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    const BYTES: usize = 10_000;

    #[tokio::test]
    async fn a_reader_that_stands_still_is_given_up() {
        let (mut reader, writer) = tokio::io::duplex(64);
        let mut writer = Impatient::new(writer, Duration::from_millis(20));
        assert_eq!(writer.write_all(&[7; BYTES]).await.unwrap_err().kind(), io::ErrorKind::TimedOut);
        drop(writer);
        let mut got = Vec::new();
        reader.read_to_end(&mut got).await.unwrap();
        assert_eq!(got, [7; 64], "no more than the buffer between them held");
    }

    #[tokio::test]
    async fn a_slow_reader_gets_everything() {
        let (mut reader, writer) = tokio::io::duplex(64);
        let writing = tokio::spawn(async move { Impatient::new(writer, Duration::from_secs(60)).write_all(&[7; BYTES]).await });
        let mut got = Vec::new();
        let mut piece = [0; 10];
        while let Ok(length @ 1..) = reader.read(&mut piece).await {
            got.extend_from_slice(&piece[..length]);
            tokio::task::yield_now().await;
        }
        assert_eq!(got, [7; BYTES]);
        writing.await.unwrap().unwrap();
    }
}
