//! Clients may be slow, but not for the sake of it: whoever keeps the server waiting spends an allowance, and bytes that move
//! earn it back.
//!
//! Without this, somebody who sends or takes one byte a minute would hold one of the server's places for hours. An allowance
//! judges the mean over its length and not each moment, so lines that stall and recover are let be.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::body::{Body, Bytes, Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

/// How slow a client may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// How long it may keep the server waiting without a byte; an allowance never grows beyond this.
    pub patience: Duration,
    /// Bytes a second that keep an allowance as it is.
    pub rate: u32,
}

/// Of what is sent to clients. The kernel says that there is room again only when a third of its buffer is free (up to 4 MiB of
/// buffer, for clients that were fast before), so two minutes allow for lines of about 11 kB/s at worst, and of 1 kB/s for
/// clients that were always slow: 300 MiB would take those three days, and a part is resumed, so nobody needs less.
pub const ANSWER: Pace = Pace { patience: Duration::from_secs(120), rate: 1024 };
/// Of bodies that clients send. Machines send some kilobytes at once; publishers have better lines than machines.
pub const BODY: Pace = Pace { patience: Duration::from_secs(20), rate: 1024 };

/// What is left of a client's [`Pace`].
#[derive(Debug, Clone, Copy)]
struct Allowance {
    pace: Pace,
    left: Duration,
    /// Since when the client keeps the server waiting.
    since: Option<Instant>,
}

impl Allowance {
    const fn new(pace: Pace) -> Self {
        Self { pace, left: pace.patience, since: None }
    }

    /// Something moved.
    fn earn(&mut self, bytes: usize, now: Instant) {
        if let Some(since) = self.since.take() {
            self.left = self.left.saturating_sub(now.saturating_duration_since(since));
        }
        if self.left < self.pace.patience {
            let earned = Duration::from_secs(1) * u32::try_from(bytes).unwrap_or(u32::MAX) / self.pace.rate.max(1);
            self.left = self.left.saturating_add(earned).min(self.pace.patience);
        }
    }

    /// Nothing moves: when the allowance will be used up.
    fn spend(&mut self, now: Instant) -> Instant {
        *self.since.get_or_insert(now) + self.left
    }
}

/// An [`Allowance`] with an alarm clock.
#[derive(Debug)]
struct Watch {
    allowance: Allowance,
    /// Set while the client keeps the server waiting.
    alarm: Option<Pin<Box<Sleep>>>,
}

impl Watch {
    const fn new(pace: Pace) -> Self {
        Self { allowance: Allowance::new(pace), alarm: None }
    }

    fn moved(&mut self, bytes: usize) {
        self.allowance.earn(bytes, Instant::now());
        self.alarm = None;
    }

    /// An error once the allowance is used up.
    fn waits(&mut self, cx: &mut Context<'_>) -> Result<(), TooSlow> {
        let Self { allowance, alarm } = self;
        let alarm = alarm.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(allowance.spend(Instant::now()))));
        if alarm.as_mut().poll(cx).is_ready() { Err(TooSlow(allowance.pace)) } else { Ok(()) }
    }
}

/// The client was too slow for too long.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the client moved less than {} bytes a second for {:?}", .0.rate, .0.patience)]
pub struct TooSlow(Pace);

impl From<TooSlow> for io::Error {
    fn from(slow: TooSlow) -> Self {
        Self::new(io::ErrorKind::TimedOut, slow)
    }
}

/// A stream that breaks when its reader is too slow. Only writing is judged: when a client has to send something is known
/// elsewhere (the time for headers, and [`Paced`]).
#[derive(Debug)]
pub struct Impatient<S> {
    inner: S,
    watch: Watch,
}

impl<S> Impatient<S> {
    /// Around a stream.
    pub const fn new(inner: S, pace: Pace) -> Self {
        Self { inner, watch: Watch::new(pace) }
    }

    fn judge<T>(&mut self, outcome: Poll<io::Result<T>>, bytes: impl Fn(&T) -> usize, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        match &outcome {
            Poll::Ready(Ok(done)) => self.watch.moved(bytes(done)),
            Poll::Ready(Err(_)) => {}
            Poll::Pending => self.watch.waits(cx)?,
        }
        outcome
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Impatient<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.inner).poll_write(cx, bytes);
        self.judge(outcome, |written| *written, cx)
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.inner).poll_write_vectored(cx, bytes);
        self.judge(outcome, |written| *written, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut self.inner).poll_flush(cx);
        self.judge(outcome, |()| 0, cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut self.inner).poll_shutdown(cx);
        self.judge(outcome, |()| 0, cx)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Impatient<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buffer)
    }
}

/// A request's body that breaks when its sender is too slow. Time that the server itself takes between two pieces is not counted.
#[derive(Debug)]
pub struct Paced<B> {
    inner: B,
    watch: Watch,
}

impl<B> Paced<B> {
    /// Around a body.
    pub const fn new(inner: B, pace: Pace) -> Self {
        Self { inner, watch: Watch::new(pace) }
    }
}

impl<B> Body for Paced<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    type Data = Bytes;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        match Pin::new(&mut self.inner).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                self.watch.moved(frame.data_ref().map_or(0, Bytes::len));
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(end) => Poll::Ready(end.map(|frame| frame.map_err(Into::into))),
            Poll::Pending => match self.watch.waits(cx) {
                Ok(()) => Poll::Pending,
                Err(slow) => Poll::Ready(Some(Err(slow.into()))),
            },
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    const BYTES: usize = 10_000;

    #[test]
    fn an_allowance_judges_the_mean_and_never_grows_beyond_its_patience() {
        let mut allowance = Allowance::new(Pace { patience: Duration::from_secs(100), rate: 100 });
        let mut now = Instant::now();
        // What was fast for long may not stand still for longer than anybody else.
        allowance.earn(1_000_000, now);
        for (wait, bytes, left) in [(90, 1000, 20), (10, 500, 15), (14, 100, 2), (0, 100_000, 100), (100, 0, 0), (0, 100, 1)] {
            let end = allowance.spend(now);
            now += Duration::from_secs(wait);
            assert_eq!(allowance.spend(now), end, "waiting on does not put the end off");
            assert!(end >= now, "it lasts for the {wait} s");
            allowance.earn(bytes, now);
            assert_eq!(allowance.left, Duration::from_secs(left), "after {wait} s and {bytes} bytes");
        }
    }

    /// A reader that takes 64 bytes every `pause` milliseconds under a pace of 20,000 bytes a second over 50 ms; how much it got.
    async fn served(pause: u64) -> usize {
        let (mut reader, writer) = tokio::io::duplex(64);
        let pace = Pace { patience: Duration::from_millis(50), rate: 20_000 };
        let writing = tokio::spawn(async move { Impatient::new(writer, pace).write_all(&[7; BYTES]).await.map_err(|e| e.kind()) });
        let (mut got, mut buffer) = (0, [0; 64]);
        while let Ok(length @ 1..) = reader.read(&mut buffer).await {
            got += length;
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
        assert_eq!(writing.await.unwrap(), if got == BYTES { Ok(()) } else { Err(io::ErrorKind::TimedOut) });
        got
    }

    #[tokio::test]
    async fn a_reader_that_trickles_or_stands_still_is_given_up() {
        assert_eq!(served(0).await, BYTES, "as fast as it goes");
        for (what, pause, most) in [("3,200 bytes a second", 20, 2000), ("nothing any more", 200, 128)] {
            let got = served(pause).await;
            assert!((64..=most).contains(&got), "{what}: {got}");
        }
    }

    #[tokio::test]
    async fn a_body_that_trickles_breaks_off() {
        for (pause, whole) in [(0, true), (20, false)] {
            let (mut sender, receiver) = tokio::io::duplex(64);
            let body = axum::body::Body::from_stream(tokio_util::io::ReaderStream::new(receiver));
            let pace = Pace { patience: Duration::from_millis(50), rate: 20_000 };
            let sending = tokio::spawn(async move {
                for _ in 0..20 {
                    if sender.write_all(&[7; 64]).await.is_err() {
                        return;
                    }
                    tokio::time::sleep(Duration::from_millis(pause)).await;
                }
            });
            let got = axum::body::to_bytes(axum::body::Body::new(Paced::new(body, pace)), BYTES).await;
            assert_eq!(got.is_ok_and(|bytes| bytes.len() == 20 * 64), whole, "a piece every {pause} ms");
            sending.await.unwrap();
        }
    }
}
