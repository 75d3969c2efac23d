//! Packed files: one request for many frames, each unpacked and handed over while the next is on its way.

use payload::{FRAME_BYTES, frame};
use reqwest::header::{CONTENT_ENCODING, CONTENT_RANGE, ETAG, HeaderMap, IF_RANGE, RANGE};
use reqwest::{Response, StatusCode};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};

use super::body::{Body, Bucket};
use super::client::Network;
use super::get::{pauses, send as send_request, status_trouble};
use super::limits::MAX_URLS;
use super::{ALIVE_EVERY, Trouble, alive};
use crate::daemon::host::FailureKind;
use crate::sandbox::messages::{FetchAnswer, FramesAsk};
use crate::sandbox::wire::{Pipe, WireError};

/// A stored frame may be this much longer than an unpacked one: zstd's overhead on noise, generously.
const STORED_OVERHEAD_BYTES: usize = 64 * 1024;

/// What is known about a file on one place.
#[derive(Debug, Default)]
struct Seen {
    /// Its strong entity tag: all ranges must come from the same content.
    etag: Option<String>,
}

/// A stretch of adjacent frames, to be had with one request.
#[derive(Debug, Clone, Copy)]
struct Run {
    /// First byte in the stored file.
    from: u64,
    /// Byte after the last.
    to: u64,
    /// Length of the stored file.
    total: u64,
}

/// Sends all wanted frames over `pipe`, trying one place after the other. The outer error is the daemon's end, the inner the network's.
pub(super) async fn send<S>(network: &Network, ask: &FramesAsk, pipe: &mut Pipe<S>) -> Result<Result<(), Trouble>, WireError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    if let Err(trouble) = check(ask) {
        return Ok(Err(trouble));
    }
    let deadline = Instant::now() + network.limits.file_total;
    let mut bucket = Bucket::new(network.bandwidth);
    let mut done = 0;
    let mut last = Trouble::new(FailureKind::Network, "no place to fetch from");
    for (place, url) in ask.urls.iter().take(MAX_URLS).enumerate() {
        let mut seen = Seen::default();
        let mut pause = pauses(&network.limits);
        while done < ask.wanted.len() {
            let before = done;
            let mut transfer = Transfer { network, ask, url, place, seen: &mut seen, bucket: &mut bucket, deadline };
            let Err(trouble) = transfer.run(pipe, &mut done).await? else { continue };
            if done > before {
                pause = pauses(&network.limits);
            }
            tracing::warn!(url, %trouble, frames = done, "transfer interrupted");
            let again = trouble.is_transient() && Instant::now() < deadline;
            last = trouble.on(url);
            match pause.next().filter(|_| again) {
                Some(pause) => alive(pipe, sleep(pause)).await?,
                None => break,
            }
        }
        if done == ask.wanted.len() {
            return Ok(Ok(()));
        }
    }
    Ok(Err(last))
}

fn check(ask: &FramesAsk) -> Result<(), Trouble> {
    let ascending = ask.wanted.windows(2).all(|pair| pair[0] < pair[1]);
    let known = ask.wanted.last().is_none_or(|&last| (last as usize) < ask.stored.len());
    let sizes = ask.frame_bytes as usize <= FRAME_BYTES && ask.last_bytes <= ask.frame_bytes;
    let stored = ask.stored.iter().all(|&length| length as usize <= FRAME_BYTES + STORED_OVERHEAD_BYTES);
    if ascending && known && sizes && stored { Ok(()) } else { Err(Trouble::new(FailureKind::Internal, "asked for frames that cannot be")) }
}

/// One request and what came of it.
struct Transfer<'a> {
    network: &'a Network,
    ask: &'a FramesAsk,
    url: &'a str,
    place: usize,
    seen: &'a mut Seen,
    bucket: &'a mut Bucket,
    deadline: Instant,
}

impl Transfer<'_> {
    /// Sends the next run of adjacent frames; `done` counts the wanted frames that the daemon has.
    async fn run<S>(&mut self, pipe: &mut Pipe<S>, done: &mut usize) -> Result<Result<(), Trouble>, WireError>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let (ask, place) = (self.ask, u32::try_from(self.place).unwrap_or(u32::MAX));
        let run = adjacent(&ask.wanted[*done..]);
        // One frame waits while one is unpacked and one arrives: three frames of memory at most.
        let (sender, receiver) = mpsc::channel::<(u32, Vec<u8>)>(1);
        let produce = self.produce(run, sender);
        // It owns the receiver: when it gives up, the producer must not wait for it.
        let consume = async move {
            let (mut receiver, done, pipe) = (receiver, done, pipe);
            loop {
                let Ok(next) = timeout(ALIVE_EVERY, receiver.recv()).await else {
                    pipe.send(&FetchAnswer::Alive).await?;
                    continue;
                };
                let Some((number, stored)) = next else { return Ok(Ok(())) };
                let expected = if number as usize + 1 == ask.stored.len() { ask.last_bytes } else { ask.frame_bytes };
                let unpacked = match tokio::task::spawn_blocking(move || unpack(&stored, expected as usize)).await {
                    Ok(Ok(unpacked)) => unpacked,
                    Ok(Err(error)) => return Ok(Err(Trouble::new(FailureKind::Digest, format!("frame {number}: {error}")))),
                    Err(error) => return Ok(Err(Trouble::new(FailureKind::Internal, format!("frame {number}: {error}")))),
                };
                pipe.send(&FetchAnswer::Frame { number, url: place }).await?;
                pipe.send_data(&unpacked).await?;
                *done += 1;
            }
        };
        let (produced, consumed): (_, Result<Result<(), Trouble>, WireError>) = tokio::join!(produce, consume);
        Ok(consumed?.and(produced))
    }

    /// Fetches the run and cuts it into stored frames.
    async fn produce(&mut self, run: &[u32], sender: mpsc::Sender<(u32, Vec<u8>)>) -> Result<(), Trouble> {
        let stored = &self.ask.stored;
        let (first, last) = (run[0] as usize, run[run.len() - 1] as usize);
        let sum = |lengths: &[u32]| lengths.iter().map(|&length| u64::from(length)).sum::<u64>();
        let span = Run { from: sum(&stored[..first]), to: sum(&stored[..=last]), total: sum(stored) };
        let (response, mut skip) = self.open(span).await?;
        let mut body = Body::new(response, &self.network.limits, self.bucket, self.deadline);
        let mut numbers = run.iter().copied();
        let Some(mut number) = numbers.next() else { return Ok(()) };
        let mut frame = Vec::with_capacity(stored[number as usize] as usize);
        while let Some(chunk) = body.chunk().await? {
            let mut bytes = chunk.as_ref();
            let skipped = usize::try_from(skip).unwrap_or(usize::MAX).min(bytes.len());
            skip -= skipped as u64;
            bytes = &bytes[skipped..];
            while !bytes.is_empty() {
                let length = stored[number as usize] as usize;
                let taken = (length - frame.len()).min(bytes.len());
                frame.extend_from_slice(&bytes[..taken]);
                bytes = &bytes[taken..];
                if frame.len() < length {
                    continue;
                }
                if sender.send((number, std::mem::take(&mut frame))).await.is_err() {
                    return Ok(());
                }
                // Whatever comes after the last frame is not ours: hang up.
                let Some(next) = numbers.next() else { return Ok(()) };
                number = next;
                frame.reserve_exact(stored[number as usize] as usize);
            }
        }
        Err(Trouble::new(FailureKind::Network, format!("the answer ended within frame {number}")))
    }

    /// Asks for a span; answers with how many bytes of the body to skip.
    async fn open(&mut self, span: Run) -> Result<(Response, u64), Trouble> {
        let url = self.network.guard.url(self.url).map_err(|reason| Trouble::new(FailureKind::Response, reason.to_string()))?;
        let mut request = self.network.client.get(url);
        if span.from > 0 || span.to < span.total {
            request = request.header(RANGE, format!("bytes={}-{}", span.from, span.to - 1));
            if let Some(etag) = &self.seen.etag {
                request = request.header(IF_RANGE, etag);
            }
        }
        let response = send_request(self.network, request).await?;
        let skip = judge(response.status(), response.headers(), span, response.content_length())?;
        let etag = response.headers().get(ETAG).and_then(|etag| etag.to_str().ok()).filter(|etag| etag.starts_with('"') && etag.len() <= 256);
        match (&self.seen.etag, etag) {
            (Some(seen), Some(now)) if seen != now => return Err(wrong("the file changed while it was fetched")),
            (None, Some(now)) => self.seen.etag = Some(now.to_owned()),
            _ => {}
        }
        Ok((response, skip))
    }
}

/// Whether an answer is the asked span of the right file, and how many bytes of its body come before the span.
fn judge(status: StatusCode, headers: &HeaderMap, span: Run, length: Option<u64>) -> Result<u64, Trouble> {
    if let Some(encoding) = headers.get(CONTENT_ENCODING).filter(|&encoding| encoding != "identity") {
        return Err(wrong(&format!("the answer is encoded as {encoding:?}, which was not asked for")));
    }
    match status {
        // The server does not know ranges, or starts over because the content is new: then the entity tag tells.
        StatusCode::OK if length.is_none_or(|length| length == span.total) => Ok(span.from),
        StatusCode::OK => Err(wrong(&format!("the file has {} bytes, the release says {}", length.unwrap_or_default(), span.total))),
        StatusCode::PARTIAL_CONTENT => {
            let range = headers.get(CONTENT_RANGE).and_then(|range| range.to_str().ok()).and_then(content_range);
            let Some((from, last, total)) = range else { return Err(wrong("a partial answer that does not say which part")) };
            let fits = from == span.from && last >= from && last < span.to && total.is_none_or(|total| total == span.total);
            if fits { Ok(0) } else { Err(wrong(&format!("asked for bytes {}-{} of {}, got another range", span.from, span.to - 1, span.total))) }
        }
        status => Err(status_trouble(status)),
    }
}

fn wrong(text: &str) -> Trouble {
    Trouble::new(FailureKind::Response, text)
}

/// `bytes FROM-LAST/TOTAL` or `bytes FROM-LAST/*`.
fn content_range(text: &str) -> Option<(u64, u64, Option<u64>)> {
    let (range, total) = text.strip_prefix("bytes ")?.split_once('/')?;
    let (from, last) = range.split_once('-')?;
    let total = if total == "*" { None } else { Some(total.parse().ok()?) };
    Some((from.parse().ok()?, last.parse().ok()?, total))
}

/// The longest beginning of `wanted` that has no gaps.
fn adjacent(wanted: &[u32]) -> &[u32] {
    let length = wanted.windows(2).take_while(|pair| pair[0] + 1 == pair[1]).count() + 1;
    &wanted[..length.min(wanted.len())]
}

fn unpack(stored: &[u8], expected: usize) -> Result<Vec<u8>, frame::FrameError> {
    let mut unpacked = Vec::with_capacity(expected);
    frame::unpack(stored, expected, &mut unpacked)?;
    Ok(unpacked)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_end_where_the_gaps_are() {
        let cases: [(&[u32], &[u32]); 4] = [(&[3], &[3]), (&[0, 1, 2], &[0, 1, 2]), (&[0, 1, 3], &[0, 1]), (&[7, 9], &[7])];
        for (wanted, expected) in cases {
            assert_eq!(adjacent(wanted), expected);
        }
    }

    #[test]
    fn only_the_asked_range_of_the_right_file_is_taken() {
        let span = Run { from: 100, to: 200, total: 1000 };
        let partial = |range: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_RANGE, range.parse().unwrap());
            judge(StatusCode::PARTIAL_CONTENT, &headers, span, None).is_ok()
        };
        assert!(partial("bytes 100-199/1000") && partial("bytes 100-199/*") && partial("bytes 100-150/1000"));
        for range in ["bytes 0-99/1000", "bytes 100-200/1000", "bytes 101-199/1000", "bytes 100-199/999", "bytes 100-99/1000", "bytes 100-199", "100-199/1000", ""] {
            assert!(!partial(range), "{range}");
        }
        let none = HeaderMap::new();
        assert_eq!(judge(StatusCode::OK, &none, span, Some(1000)), Ok(100), "200 in place of 206: skip");
        assert!(judge(StatusCode::OK, &none, span, Some(999)).is_err());
        assert!(judge(StatusCode::PARTIAL_CONTENT, &none, span, None).is_err());
        assert_eq!(judge(StatusCode::BAD_GATEWAY, &none, span, None).unwrap_err().kind, FailureKind::Http(502));
        let mut encoded = HeaderMap::new();
        encoded.insert(CONTENT_ENCODING, "gzip".parse().unwrap());
        assert!(judge(StatusCode::OK, &encoded, span, Some(1000)).is_err());
    }

    #[test]
    fn questions_that_cannot_be_are_refused() {
        let ask = |wanted: &[u32], stored: u32, last_bytes| FramesAsk {
            urls: vec![],
            stored: vec![stored; 3],
            frame_bytes: FRAME_BYTES as u32,
            last_bytes,
            wanted: wanted.to_vec(),
        };
        assert!(check(&ask(&[0, 2], 5, 7)).is_ok() && check(&ask(&[], 5, 7)).is_ok());
        for bad in [ask(&[3], 5, 7), ask(&[1, 1], 5, 7), ask(&[0], u32::MAX, 7), ask(&[0], 5, u32::MAX)] {
            assert!(check(&bad).is_err());
        }
    }
}
