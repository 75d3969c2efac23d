//! One disk behind a Unix socket.
//!
//! Everything the client has sent is read and noted as asked before the first of it is answered. So a flush that was sent while a
//! write was still unanswered never seems to cover that write.

use std::io::{self, Read};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use anyhow::Context;
use camino::{Utf8Path, Utf8PathBuf};

use super::disk::Layered;
use super::fault::{Faults, What};
use super::recorder::Recorder;
use super::wire::{self, Cache, HEADER_BYTES, Op, REQUEST_BYTES_MAX, Request};

/// How much is read at once, in bytes; more than Linux lets wait in a Unix socket by default.
const READ_BYTES: usize = 1 << 20;

/// A served disk. It is served until this is dropped.
#[derive(Debug)]
pub struct Server {
    socket: Utf8PathBuf,
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug)]
struct Shared {
    cache: Cache,
    state: Mutex<State>,
    recorder: Option<(usize, Recorder)>,
}

#[derive(Debug)]
struct State {
    disk: Layered,
    faults: Faults,
    /// The power is gone.
    cut: bool,
    closing: bool,
    connection: Option<UnixStream>,
    /// Why a connection ended that should not have.
    trouble: Option<String>,
}

impl Server {
    /// Serves `disk` on `socket` to one client after the other; a recorder notes it as the disk of that number.
    pub fn start(socket: &Utf8Path, disk: Layered, cache: Cache, recorder: Option<(usize, Recorder)>) -> anyhow::Result<Self> {
        let listener = UnixListener::bind(socket).with_context(|| format!("listening on {socket}"))?;
        let state = State { disk, faults: Faults::default(), cut: false, closing: false, connection: None, trouble: None };
        let shared = Arc::new(Shared { cache, state: Mutex::new(state), recorder });
        let served = Arc::clone(&shared);
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if served.lock().closing {
                    break;
                }
                if let Err(error) = stream.and_then(|stream| served.serve(stream)) {
                    served.lock().trouble.get_or_insert(error.to_string());
                }
            }
        });
        Ok(Self { socket: socket.to_owned(), shared, thread: Mutex::new(Some(thread)) })
    }

    /// Where it listens.
    #[must_use]
    pub fn socket(&self) -> &Utf8Path {
        &self.socket
    }

    /// Changes what goes wrong.
    pub fn faults(&self, change: impl FnOnce(&mut Faults)) {
        let mut state = self.shared.lock();
        state.disk.remember();
        change(&mut state.faults);
    }

    /// Cuts the power now: what was not flushed is lost, and the connection ends.
    pub fn cut(&self) -> anyhow::Result<()> {
        self.shared.lock().lose_power().context("cutting the power of a disk")
    }

    /// Turns the power on again after a cut, without any faults; the next client finds what was durable.
    pub fn restore(&self) {
        let mut state = self.shared.lock();
        state.cut = false;
        state.faults.clear();
    }

    /// Looks at the disk, or changes it behind the client's back.
    pub fn disk<T>(&self, look: impl FnOnce(&mut Layered) -> T) -> T {
        look(&mut self.shared.lock().disk)
    }

    /// Why a connection ended that should not have, if one did.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        self.shared.lock().trouble.clone()
    }

    /// Ends serving: when this returns, nothing more is answered or noted.
    pub fn stop(&self) {
        let Some(thread) = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take() else { return };
        {
            let mut state = self.shared.lock();
            state.closing = true;
            state.hang_up();
        }
        // Wakes the thread that waits for a client.
        drop(UnixStream::connect(&self.socket));
        let _ = thread.join();
        let _ = std::fs::remove_file(&self.socket);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

/// One request with its data and its number in the recording.
struct Asked {
    request: Request,
    body: Vec<u8>,
    id: Option<u64>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn serve(&self, mut stream: UnixStream) -> io::Result<()> {
        let size = {
            let mut state = self.lock();
            if state.cut {
                return Ok(());
            }
            state.connection = Some(stream.try_clone()?);
            state.disk.size()
        };
        let mut input = Vec::new();
        let served = wire::handshake(&mut stream, size, self.cache).and_then(|begin| {
            let mut go_on = begin;
            while go_on {
                let asked = self.read_requests(&mut stream, &mut input, size)?;
                go_on = !asked.is_empty();
                for one in &asked {
                    go_on &= self.answer(&mut stream, one)?;
                }
            }
            Ok(())
        });
        let mut state = self.lock();
        state.connection = None;
        // A client that dies, or a server that hangs up, is no trouble.
        match served {
            Err(error) if error.kind() == io::ErrorKind::InvalidData && !state.cut && !state.closing => Err(error),
            _ => Ok(()),
        }
    }

    /// All requests that can be read without waiting for a further one; none when the client is gone.
    fn read_requests(&self, stream: &mut UnixStream, input: &mut Vec<u8>, size: u64) -> io::Result<Vec<Asked>> {
        let mut asked = Vec::new();
        let mut chunk = vec![0; READ_BYTES];
        while asked.is_empty() {
            let count = stream.read(&mut chunk)?;
            if count == 0 {
                return Ok(Vec::new());
            }
            input.extend_from_slice(&chunk[..count]);
            let mut at = 0;
            while let Some(header) = input.get(at..at + HEADER_BYTES) {
                let header: &[u8; HEADER_BYTES] = header.try_into().map_err(io::Error::other)?;
                let request = Request::parse(header, size)?;
                let end = at + HEADER_BYTES + request.body();
                let Some(body) = input.get(at + HEADER_BYTES..end) else { break };
                let body = body.to_vec();
                let id = match &self.recorder {
                    Some((disk, recorder)) if request.op.changes() || request.op == Op::Flush => {
                        Some(recorder.submitted(*disk, &request, &body)?)
                    }
                    _ => None,
                };
                asked.push(Asked { request, body, id });
                at = end;
            }
            input.drain(..at);
            // One unfinished request at most is kept.
            if input.len() > HEADER_BYTES + REQUEST_BYTES_MAX as usize + READ_BYTES {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "the NBD client sends more than it may"));
            }
        }
        Ok(asked)
    }

    /// Does what is asked; false when nothing more will be answered.
    fn answer(&self, stream: &mut UnixStream, asked: &Asked) -> io::Result<bool> {
        let request = &asked.request;
        let mut data = Vec::new();
        let fault = self.lock().faults.decide(request);
        if let Some(What::Delay(time)) = fault {
            std::thread::sleep(time);
        }
        let mut state = self.lock();
        if state.cut || request.op == Op::Disconnect {
            return Ok(false);
        }
        let errno = match fault {
            Some(What::Cut) => {
                state.lose_power()?;
                return Ok(false);
            }
            Some(What::Fail(error)) => error.errno(),
            Some(What::Delay(_)) | None => {
                state.perform(request, &asked.body, &mut data)?;
                0
            }
        };
        drop(state);
        if let (Some(id), Some((_, recorder))) = (asked.id, &self.recorder) {
            recorder.answered(id, errno == 0)?;
        }
        wire::reply(stream, request.handle, errno, &data)?;
        Ok(true)
    }
}

impl State {
    fn perform(&mut self, request: &Request, body: &[u8], data: &mut Vec<u8>) -> io::Result<()> {
        match request.op {
            Op::Read => {
                data.resize(request.len as usize, 0);
                self.disk.read(request.offset, data)?;
            }
            Op::Write => self.disk.write(request.offset, body)?,
            Op::Trim | Op::Zero => {
                // Only whole sectors can be forgotten.
                let start = request.offset.next_multiple_of(wire::SECTOR_BYTES);
                let end = (request.offset + u64::from(request.len)) / wire::SECTOR_BYTES * wire::SECTOR_BYTES;
                self.disk.zero(start, end.saturating_sub(start))?;
            }
            Op::Flush => self.disk.flush(),
            Op::Disconnect => {}
        }
        // A flush of everything is more than one durable write asks for; only a live cut could tell the difference.
        if request.fua {
            self.disk.flush();
        }
        Ok(())
    }

    fn lose_power(&mut self) -> io::Result<()> {
        self.cut = true;
        self.hang_up();
        self.disk.lose_unflushed()
    }

    fn hang_up(&mut self) {
        if let Some(connection) = self.connection.take() {
            let _ = connection.shutdown(std::net::Shutdown::Both);
        }
    }
}

#[cfg(test)]
mod tests;
