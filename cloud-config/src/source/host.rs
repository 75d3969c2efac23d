//! What a source may do to this machine: read, ask, wait. Nothing else is in its reach, and tests replay all of it.

use std::time::Duration;

use super::error::ReadError;
use super::http::{Answer, HttpError, Request};
use super::probe::Filesystem;

/// The machine, as data sources see it.
pub trait Host {
    /// At most `max` bytes of the file at the absolute `path`; nothing when there is no such file.
    fn read(&self, path: &str, max: usize) -> Result<Option<Vec<u8>>, ReadError>;

    /// The block devices with a file system or a partition name that could be meant. Partitions follow their disk.
    fn devices(&self) -> Result<Vec<Device>, ReadError>;

    /// A device's file system, read-only, until the value is dropped.
    fn mount(&self, device: &Device) -> Result<Box<dyn Medium + '_>, ReadError>;

    /// What VMware's host says about `key`; nothing when it says nothing, or when there is no tool here to ask it with.
    fn guestinfo(&self, key: &str) -> Result<Option<Vec<u8>>, ReadError>;

    /// Sends a request once.
    fn http(&self, request: &Request) -> Result<Answer, HttpError>;

    /// Time since some fixed moment; never goes back.
    fn now(&self) -> Duration;

    /// Waits.
    fn sleep(&self, pause: Duration);
}

/// A file system that somebody else made.
pub trait Medium {
    /// At most `max` bytes of the file at `path`, which is relative; nothing when there is no such file. Links are followed
    /// as long as they stay on the medium.
    fn read(&self, path: &str, max: usize) -> Result<Option<Vec<u8>>, ReadError>;
}

/// A block device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// Node, e.g. `/dev/sr0`.
    pub node: String,
    /// The disk that this is a partition of.
    pub disk: Option<String>,
    /// Name of the partition in its table.
    pub partition_name: Option<String>,
    /// File system on it.
    pub filesystem: Option<Filesystem>,
    /// Label of that file system.
    pub label: String,
}
