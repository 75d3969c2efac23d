//! The real machine behind [`Host`].

mod block;
mod guestinfo;
mod medium;
mod udev;

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use rustix::fs::OFlags;

use super::error::ReadError;
use super::host::{Device, Host, Medium};
use super::http::{Answer, Client, HttpError, Options, Request, Route};

/// This machine, or the part of it below another root directory.
#[derive(Debug)]
pub struct SystemHost {
    root: PathBuf,
    started: Instant,
    metadata: OnceLock<Result<Client, HttpError>>,
    internet: OnceLock<Result<Client, HttpError>>,
}

impl SystemHost {
    /// The machine whose root directory is `root`: `/`, but for tests.
    #[must_use]
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into(), started: Instant::now(), metadata: OnceLock::new(), internet: OnceLock::new() }
    }

    fn path(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }
}

impl Host for SystemHost {
    fn read(&self, path: &str, max: usize) -> Result<Option<Vec<u8>>, ReadError> {
        match open(&self.path(path)) {
            Ok(file) => regular(file, max).map(Some),
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn devices(&self) -> Result<Vec<Device>, ReadError> {
        // Only this machine's own disks can be late.
        if self.root == Path::new("/") {
            udev::settle(self);
        }
        block::devices(&self.path("/sys/class/block"), &self.path("/dev"))
    }

    fn mount(&self, device: &Device) -> Result<Box<dyn Medium + '_>, ReadError> {
        Ok(Box::new(medium::Mounted::new(device)?))
    }

    fn guestinfo(&self, key: &str) -> Result<Option<Vec<u8>>, ReadError> {
        guestinfo::get(&self.root, key)
    }

    fn http(&self, request: &Request) -> Result<Answer, HttpError> {
        let client = match request.route {
            Route::Metadata => self.metadata.get_or_init(Client::metadata),
            Route::Internet => self.internet.get_or_init(|| Client::internet(&Options::default())),
        };
        client.as_ref().map_err(Clone::clone)?.send(request)
    }

    fn now(&self) -> Duration {
        self.started.elapsed()
    }

    fn sleep(&self, pause: Duration) {
        std::thread::sleep(pause);
    }
}

fn open(path: &Path) -> std::io::Result<File> {
    // A pipe in a file's place must not make the boot wait for its other end.
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
    File::options().read(true).custom_flags(flags.bits().cast_signed()).open(path)
}

/// At most `max` bytes of a regular file.
fn regular(file: File, max: usize) -> Result<Vec<u8>, ReadError> {
    if !file.metadata()?.is_file() {
        return Err(ReadError::NotAFile);
    }
    let mut bytes = Vec::new();
    let limit = u64::try_from(max).unwrap_or(u64::MAX).saturating_add(1);
    file.take(limit).read_to_end(&mut bytes)?;
    if bytes.len() > max { Err(ReadError::TooLarge(max)) } else { Ok(bytes) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_read_below_the_root_and_up_to_their_limit() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("etc/slipway")).unwrap();
        std::fs::write(dir.path().join("etc/slipway/a"), "12345").unwrap();
        let host = SystemHost::new(dir.path());
        assert_eq!(host.read("/etc/slipway/a", 5).unwrap().as_deref(), Some(b"12345".as_slice()));
        assert_eq!(host.read("/etc/slipway/a", 4), Err(ReadError::TooLarge(4)));
        assert_eq!(host.read("/etc/slipway/b", 4), Ok(None));
        assert_eq!(host.read("/etc/slipway/a/b", 4), Ok(None));
        assert_eq!(host.read("/etc/slipway", 4), Err(ReadError::NotAFile));
        assert_eq!(host.devices(), Ok(Vec::new()), "no /sys, no devices");
        assert_eq!(host.guestinfo("guestinfo.userdata"), Ok(None), "no tools");
    }
}
