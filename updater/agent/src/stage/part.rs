//! One part: recognise what is there, fetch the rest, write it, flush.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use payload::{FRAME_BYTES, Part, Sha256Digest};
use tokio::sync::mpsc;

use super::disk_failure;
use super::engine::{Fetched, Frames, Lease, blocking};
use crate::daemon::host::{Failure, FailureKind};
use crate::disk::Aligned;
use crate::disk::Medium;

/// Buffers of one frame each: one being received, one waiting, one being written.
const BUFFERS: usize = 3;

/// What filling a part needs to know.
pub(super) struct Job {
    pub(super) part: Arc<Part>,
    pub(super) lease: Lease,
    pub(super) stop: Arc<AtomicBool>,
    /// Bytes of the release in place.
    pub(super) done: Arc<AtomicU64>,
}

impl Job {
    fn named(&self, step: &str, number: u32) -> String {
        format!("{step} frame {number} of the {}", self.part.name.as_str())
    }
}

/// A frame on its way to the medium.
struct Parcel {
    number: u32,
    place: u32,
    bytes: Aligned,
}

/// What became of a parcel.
enum Outcome {
    Written,
    /// Not the signed bytes: nothing was written.
    Wrong,
}

/// Fills `medium` with the part and returns it flushed.
pub(super) async fn fill(job: &Job, medium: Box<dyn Medium>, frames: &mut impl Frames) -> Result<Box<dyn Medium>, Failure> {
    let (mut medium, mut missing) = recognise(job, medium).await?;
    let mut last =
        Failure::new(FailureKind::Response, format!("no known way to get the {}; a newer updater may know one", job.part.name.as_str()));
    for full in job.part.known_ways() {
        while !missing.is_empty() {
            let wanted: Vec<u32> = missing.iter().copied().collect();
            if let Err(failure) = frames.begin(full, &job.part, &wanted).await {
                last = failure;
                break;
            }
            let (returned, ended) = transfer(job, medium, frames, &mut missing).await?;
            medium = returned;
            match ended {
                Ended::Complete => break,
                // The fetcher has tried all places for as long as it is worth it.
                Ended::Unfetched(failure) => {
                    last = failure;
                    break;
                }
                Ended::Distrusted { place, number } => {
                    last = Failure::new(FailureKind::Digest, format!("{}: not the signed bytes", job.named("fetching", number)));
                    if frames.distrust(place).await.is_err() {
                        break;
                    }
                }
            }
        }
        if missing.is_empty() {
            break;
        }
    }
    if !missing.is_empty() {
        return Err(last);
    }
    let name = job.part.name.as_str();
    blocking(&job.lease, move || {
        medium.flush().map_err(|error| disk_failure(&format!("flushing the {name}"), &error))?;
        Ok(medium)
    })
    .await
}

/// Finds the frames that are not on the medium yet.
async fn recognise(job: &Job, mut medium: Box<dyn Medium>) -> Result<(Box<dyn Medium>, BTreeSet<u32>), Failure> {
    let (part, stop, done) = (Arc::clone(&job.part), Arc::clone(&job.stop), Arc::clone(&job.done));
    blocking(&job.lease, move || {
        let mut missing = BTreeSet::new();
        let mut buffer = Aligned::new(part.frame_len(0));
        for (index, digest) in part.frames.iter().enumerate() {
            if stop.load(Ordering::Relaxed) {
                return Err(cancelled());
            }
            let length = part.frame_len(index);
            buffer.resize(length);
            // A block that cannot be read may well be written.
            let there = medium.read_at((index * FRAME_BYTES) as u64, &mut buffer).is_ok() && Sha256Digest::of(buffer.bytes()) == *digest;
            if there {
                done.fetch_add(length as u64, Ordering::Relaxed);
            } else {
                missing.insert(u32::try_from(index).unwrap_or(u32::MAX));
            }
        }
        Ok((medium, missing))
    })
    .await
}

fn cancelled() -> Failure {
    Failure::new(FailureKind::Internal, "cancelled")
}

enum Ended {
    Complete,
    Unfetched(Failure),
    Distrusted { place: u32, number: u32 },
}

/// Receives frames while a thread checks and writes the ones before. The outer error is the slot's, and final.
async fn transfer(
    job: &Job,
    medium: Box<dyn Medium>,
    frames: &mut impl Frames,
    missing: &mut BTreeSet<u32>,
) -> Result<(Box<dyn Medium>, Ended), Failure> {
    let (to_writer, parcels) = mpsc::channel::<Parcel>(1);
    let (to_us, mut written) = mpsc::channel::<(Parcel, Outcome)>(BUFFERS);
    let (part, stop, done) = (Arc::clone(&job.part), Arc::clone(&job.stop), Arc::clone(&job.done));
    let writer = blocking(&job.lease, move || write_all(&part, medium, parcels, &to_us, &stop, &done));
    let mut buffers: Vec<Aligned> = (0..BUFFERS).map(|_| Aligned::new(job.part.frame_len(0))).collect();
    let receiver = async {
        let mut ended = None;
        while ended.is_none() {
            let mut buffer = match buffers.pop() {
                Some(buffer) => buffer,
                None => match written.recv().await {
                    Some(parcel) => match settle(parcel, missing) {
                        Ok(buffer) => buffer,
                        Err(distrusted) => {
                            ended = Some(distrusted);
                            break;
                        }
                    },
                    // The writer has failed and says why itself.
                    None => break,
                },
            };
            match frames.next(&mut buffer).await {
                Ok(Fetched::Frame { number, place }) => {
                    if !missing.contains(&number) || buffer.len() != job.part.frame_len(number as usize) {
                        let text = format!("{}, which was not asked for", job.named("the fetcher sent", number));
                        ended = Some(Ended::Unfetched(Failure::new(FailureKind::Helper, text)));
                    } else if to_writer.send(Parcel { number, place, bytes: buffer }).await.is_err() {
                        break;
                    }
                }
                Ok(Fetched::End) => ended = Some(Ended::Complete),
                Err(failure) => ended = Some(Ended::Unfetched(failure)),
            }
        }
        drop(to_writer);
        while let Some(parcel) = written.recv().await {
            if let Err(distrusted) = settle(parcel, missing) {
                ended = Some(distrusted);
            }
        }
        ended
    };
    let (medium, ended) = tokio::join!(writer, receiver);
    let ended = match ended {
        Some(Ended::Complete) if !missing.is_empty() => {
            Ended::Unfetched(Failure::new(FailureKind::Helper, "the fetcher said it was done before it was"))
        }
        Some(ended) => ended,
        None => Ended::Complete,
    };
    Ok((medium?, ended))
}

/// Notes what became of a frame and takes its buffer back.
fn settle((parcel, outcome): (Parcel, Outcome), missing: &mut BTreeSet<u32>) -> Result<Aligned, Ended> {
    match outcome {
        Outcome::Written => {
            missing.remove(&parcel.number);
            Ok(parcel.bytes)
        }
        Outcome::Wrong => Err(Ended::Distrusted { place: parcel.place, number: parcel.number }),
    }
}

/// The writing thread: checks each frame against its signed digest, then writes it.
fn write_all(
    part: &Part,
    mut medium: Box<dyn Medium>,
    mut parcels: mpsc::Receiver<Parcel>,
    results: &mpsc::Sender<(Parcel, Outcome)>,
    stop: &AtomicBool,
    done: &AtomicU64,
) -> Result<Box<dyn Medium>, Failure> {
    while let Some(parcel) = parcels.blocking_recv() {
        if stop.load(Ordering::Relaxed) {
            return Err(cancelled());
        }
        let number = parcel.number;
        let signed = part.frames.get(number as usize);
        let outcome = if signed == Some(&Sha256Digest::of(parcel.bytes.bytes())) {
            medium.write_at(u64::from(number) * FRAME_BYTES as u64, &parcel.bytes).map_err(|error| {
                let name = part.name.as_str();
                disk_failure(&format!("writing frame {number} of the {name}"), &error)
            })?;
            done.fetch_add(parcel.bytes.len() as u64, Ordering::Relaxed);
            Outcome::Written
        } else {
            Outcome::Wrong
        };
        if results.blocking_send((parcel, outcome)).is_err() {
            return Err(cancelled());
        }
    }
    Ok(medium)
}
