//! Threads and sockets under the switch: for each port one thread that reads and one that writes.

use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context;

use super::bridge::Due;
use super::frame::{Decoder, Frame};
use super::{Port, Shared};

/// How often a writer looks up from a frame that its machine does not read. A machine that boots reads nothing for minutes, and its cable
/// stays plugged in meanwhile: what the others send it waits in its queue, and is lost when that is full.
const WRITE_TIMEOUT: Duration = if cfg!(test) { Duration::from_millis(5) } else { Duration::from_secs(1) };
/// How long a writer sleeps at most when nothing is to be sent.
const IDLE: Duration = Duration::from_millis(200);
/// How much is read at once, in bytes.
const BLOCK: usize = 128 << 10;

/// The running threads; dropping this ends them.
#[derive(Debug)]
pub(super) struct Wire {
    ends: Vec<Arc<End>>,
    threads: Vec<JoinHandle<()>>,
    sockets: Vec<camino::Utf8PathBuf>,
}

/// One port's end of the cable.
#[derive(Debug, Default)]
struct End {
    stream: Mutex<Option<UnixStream>>,
    /// Rung when there may be something to send.
    bell: Condvar,
    over: AtomicBool,
}

impl Wire {
    pub(super) fn start(ports: &[Port], shared: &Arc<Shared>) -> anyhow::Result<Self> {
        let ends: Vec<Arc<End>> = ports.iter().map(|_| Arc::default()).collect();
        let mut wire = Self { ends: ends.clone(), threads: Vec::new(), sockets: Vec::new() };
        for (index, port) in ports.iter().enumerate() {
            let listener = UnixListener::bind(port.socket()).with_context(|| format!("opening port {} of the switch", port.number()))?;
            wire.sockets.push(port.socket().to_owned());
            let (reader, writer) = ((Arc::clone(shared), ends.clone()), (Arc::clone(shared), Arc::clone(&ends[index])));
            wire.threads.push(std::thread::spawn(move || accept(&listener, &reader.0, &reader.1, index)));
            wire.threads.push(std::thread::spawn(move || send(&writer.0, &writer.1, index)));
        }
        Ok(wire)
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        for end in &self.ends {
            end.over.store(true, Ordering::SeqCst);
            end.hang_up();
            end.bell.notify_all();
        }
        for socket in &self.sockets {
            // Wakes the thread that waits for a machine; it sees that it is over.
            drop(UnixStream::connect(socket));
        }
        for thread in self.threads.drain(..) {
            // A thread that panicked has said so.
            let _ = thread.join();
        }
    }
}

impl End {
    fn stream(&self) -> std::sync::MutexGuard<'_, Option<UnixStream>> {
        self.stream.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hang_up(&self) {
        if let Some(stream) = self.stream().take() {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    fn write(&self, frame: &Frame) {
        let stream = self.stream().as_ref().and_then(|stream| stream.try_clone().ok());
        // Half a frame would make nonsense of all that follow: it is finished, or the cable is pulled.
        if let Some(stream) = stream
            && self.write_whole(stream, &frame.packed()).is_err()
        {
            self.hang_up();
        }
    }

    fn write_whole(&self, mut stream: UnixStream, mut bytes: &[u8]) -> std::io::Result<()> {
        while !bytes.is_empty() {
            match stream.write(bytes) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(count) => bytes = &bytes[count..],
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) && !self.is_over() => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn is_over(&self) -> bool {
        self.over.load(Ordering::SeqCst)
    }
}

/// Serves the machines that connect to a port, one after the other.
fn accept(listener: &UnixListener, shared: &Shared, ends: &[Arc<End>], port: usize) {
    let end = &ends[port];
    while !end.is_over() {
        let Ok((stream, _)) = listener.accept() else { continue };
        let writing = stream.try_clone().and_then(|writing| writing.set_write_timeout(Some(WRITE_TIMEOUT)).map(|()| writing));
        if let Ok(writing) = writing {
            *end.stream() = Some(writing);
            end.bell.notify_all();
            receive(stream, shared, ends, port);
        }
        end.hang_up();
    }
}

/// Reads frames until the machine hangs up or says something that is none.
fn receive(mut stream: UnixStream, shared: &Shared, ends: &[Arc<End>], port: usize) {
    let mut decoder = Decoder::default();
    let mut block = vec![0; BLOCK];
    while !ends[port].is_over() {
        let Ok(count @ 1..) = stream.read(&mut block) else { return };
        decoder.push(&block[..count]);
        loop {
            match decoder.take() {
                Ok(Some(frame)) => {
                    let now = shared.now();
                    let mut state = shared.lock();
                    state.capture.keep(now, frame.bytes());
                    state.bridge.receive(now, port, frame);
                }
                Ok(None) => break,
                Err(error) => {
                    tracing::warn!(port, %error, "the switch hangs up");
                    return;
                }
            }
        }
        ends.iter().for_each(|end| end.bell.notify_all());
    }
}

/// Sends what is due at a port. While nobody is connected, frames vanish as they do on a cable that is plugged in nowhere.
fn send(shared: &Shared, end: &End, port: usize) {
    let mut state = shared.lock();
    while !end.is_over() {
        let now = shared.now();
        let wait = match state.bridge.take(now, port) {
            Due::Now(frame) => {
                drop(state);
                end.write(&frame);
                state = shared.lock();
                continue;
            }
            Due::At(at) => at.saturating_sub(now).min(IDLE),
            Due::Nothing => IDLE,
        };
        // The bell is rung by those who have changed the state, so no ring is missed between looking and waiting.
        state = end.bell.wait_timeout(state, wait).unwrap_or_else(PoisonError::into_inner).0;
    }
}
