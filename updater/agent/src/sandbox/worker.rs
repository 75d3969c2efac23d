//! The entry points of the worker processes.

use std::io;
use std::os::fd::AsFd;

use tokio::net::UnixStream;

use super::fetch::{self, Limits};
use super::verify;

/// The connection that systemd hands over as standard input.
fn connection() -> io::Result<UnixStream> {
    let fd = io::stdin().as_fd().try_clone_to_owned()?;
    let stream = std::os::unix::net::UnixStream::from(fd);
    // Fails unless it is a socket, so that a person who tries the command gets an answer.
    stream.local_addr().map_err(|error| io::Error::new(error.kind(), format!("standard input is not the daemon's socket: {error}")))?;
    stream.set_nonblocking(true)?;
    UnixStream::from_std(stream)
}

/// `updater internal-fetch`: answers one conversation, then ends.
pub fn run_fetch() -> anyhow::Result<()> {
    // One thread for the network, others as needed for unpacking.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(2).build()?;
    runtime.block_on(async { Ok(fetch::serve(connection()?, Limits::default()).await?) })
}

/// `updater internal-verify`: answers one conversation, then ends.
pub fn run_verify() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async { Ok(verify::serve(connection()?).await?) })
}
