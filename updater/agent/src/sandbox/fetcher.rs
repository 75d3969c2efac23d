//! What the daemon asks of the fetcher.

use payload::{Full, Part};
use tokio::net::UnixStream;

use super::link::{Kind, Workers};
use super::messages::{FetchAnswer, FetchAsk, FramesAsk, OmahaAsk, Reach, presentable};
use super::wire::{Pipe, WireError};
use crate::daemon::host::{Access, Failure, FailureKind};
use crate::disk::Aligned;
use crate::stage::{Fetched, Frames};

/// Largest file of certificate authorities, in bytes: a distribution's whole bundle is a quarter of this.
const CA_MAX_BYTES: u64 = 512 * 1024;

/// A conversation with the fetcher.
#[derive(Debug)]
pub struct Fetcher {
    pipe: Pipe<UnixStream>,
}

/// Turns a broken conversation into a failure of the daemon's work.
pub(super) fn broken(kind: Kind, error: &WireError) -> Failure {
    Failure::new(
        FailureKind::Helper,
        format!("the {} broke off: {}; see its messages in the journal", kind.name(), presentable(&error.to_string())),
    )
}

fn lost(error: WireError) -> Failure {
    broken(Kind::Fetch, &error)
}

fn unexpected(answer: &FetchAnswer) -> Failure {
    let name = match answer {
        FetchAnswer::Update { .. } => "update",
        FetchAnswer::NoUpdate { .. } => "no-update",
        FetchAnswer::Done => "done",
        FetchAnswer::Bytes => "bytes",
        FetchAnswer::Missing => "missing",
        FetchAnswer::Alive => "alive",
        FetchAnswer::Frame { .. } => "frame",
        FetchAnswer::Failed { kind, text } => return Failure::new(*kind, presentable(text)),
    };
    Failure::new(FailureKind::Helper, format!("the fetcher answered `{name}`, which was not asked"))
}

impl Fetcher {
    /// Starts a conversation.
    pub async fn connect(workers: &Workers, access: &Access) -> Result<Self, Failure> {
        let ca_pem = match &access.ca_file {
            Some(path) => {
                let wrong = |what: String| Failure::new(FailureKind::Internal, format!("reading ca-file {}: {what}", path.display()));
                let length = std::fs::metadata(path).map_err(|error| wrong(error.to_string()))?.len();
                if length > CA_MAX_BYTES {
                    return Err(wrong(format!("{length} bytes, {CA_MAX_BYTES} are the limit")));
                }
                Some(std::fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?)
            }
            None => None,
        };
        let mut this = Self { pipe: workers.connect(Kind::Fetch).await? };
        match this.ask(&FetchAsk::Reach(Reach { access: access.clone(), ca_pem })).await? {
            FetchAnswer::Done => Ok(this),
            other => Err(unexpected(&other)),
        }
    }

    /// A conversation that stands already, for tests.
    #[cfg(test)]
    pub(super) fn over(pipe: Pipe<UnixStream>) -> Self {
        Self { pipe }
    }

    async fn ask(&mut self, ask: &FetchAsk) -> Result<FetchAnswer, Failure> {
        self.pipe.send(ask).await.map_err(lost)?;
        self.answer().await
    }

    async fn answer(&mut self) -> Result<FetchAnswer, Failure> {
        loop {
            match self.pipe.receive().await.map_err(lost)? {
                FetchAnswer::Alive => {}
                answer => return Ok(answer),
            }
        }
    }

    /// One Omaha request; the answer is `Update`, `NoUpdate` or `Done`.
    pub async fn omaha(&mut self, ask: OmahaAsk) -> Result<FetchAnswer, Failure> {
        match self.ask(&FetchAsk::Omaha(ask)).await? {
            answer @ (FetchAnswer::Update { .. } | FetchAnswer::NoUpdate { .. } | FetchAnswer::Done) => Ok(answer),
            other => Err(unexpected(&other)),
        }
    }

    /// One small file; `None` when it is nowhere.
    pub async fn small(&mut self, urls: Vec<String>, max_bytes: u64) -> Result<Option<Vec<u8>>, Failure> {
        match self.ask(&FetchAsk::Small { urls, max_bytes }).await? {
            FetchAnswer::Bytes => {
                let max = usize::try_from(max_bytes).unwrap_or(usize::MAX);
                Ok(Some(self.pipe.receive_data(max).await.map_err(lost)?))
            }
            FetchAnswer::Missing => Ok(None),
            other => Err(unexpected(&other)),
        }
    }
}

/// Frames of a release from the fetcher, for [`crate::stage::stage`].
#[derive(Debug)]
pub struct FetchedFrames<'a> {
    workers: &'a Workers,
    access: &'a Access,
    bases: Vec<String>,
    current: Option<Fetcher>,
    /// Unpacked lengths of what is being fetched.
    lengths: (usize, usize, usize),
}

impl<'a> FetchedFrames<'a> {
    /// Frames of the files below `bases`.
    pub fn new(workers: &'a Workers, access: &'a Access, bases: Vec<String>) -> Self {
        Self { workers, access, bases, current: None, lengths: (0, 0, 0) }
    }
}

impl Frames for FetchedFrames<'_> {
    async fn begin(&mut self, full: &Full, part: &Part, wanted: &[u32]) -> Result<(), Failure> {
        // A new conversation each time: whatever the last one still had to say is gone with it.
        let mut fetcher = Fetcher::connect(self.workers, self.access).await?;
        let count = full.stored_frames.len();
        let last = part.frame_len(count.saturating_sub(1));
        let ask = FramesAsk {
            urls: self.bases.iter().map(|base| format!("{base}{}", full.file)).collect(),
            stored: full.stored_frames.clone(),
            frame_bytes: u32::try_from(part.frame_len(0)).unwrap_or(u32::MAX),
            last_bytes: u32::try_from(last).unwrap_or(u32::MAX),
            wanted: wanted.to_vec(),
        };
        fetcher.pipe.send(&FetchAsk::Frames(ask)).await.map_err(lost)?;
        self.lengths = (count, part.frame_len(0), last);
        self.current = Some(fetcher);
        Ok(())
    }

    async fn next(&mut self, into: &mut Aligned) -> Result<Fetched, Failure> {
        let Some(fetcher) = &mut self.current else {
            return Err(Failure::new(FailureKind::Internal, "no transfer has begun"));
        };
        match fetcher.answer().await? {
            FetchAnswer::Frame { number, url } => {
                let (count, usual, last) = self.lengths;
                into.resize(if number as usize + 1 == count { last } else { usual });
                fetcher.pipe.receive_data_into(into.bytes_mut()).await.map_err(lost)?;
                Ok(Fetched::Frame { number, place: url })
            }
            FetchAnswer::Done => Ok(Fetched::End),
            other => Err(unexpected(&other)),
        }
    }

    async fn distrust(&mut self, place: u32) -> Result<(), Failure> {
        self.current = None;
        let place = place as usize;
        if place >= self.bases.len() {
            return Err(Failure::new(FailureKind::Helper, "frames came from a place that was not named"));
        }
        let base = self.bases.remove(place);
        tracing::warn!(base, "sent bytes that are not the signed ones; not used again for this release");
        if self.bases.is_empty() { Err(Failure::new(FailureKind::Digest, "no place left to fetch from")) } else { Ok(()) }
    }
}
