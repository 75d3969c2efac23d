//! A machine whose disk and firmware variables are served and recorded.

use std::fs::File;

use anyhow::Context;
use camino::{Utf8Path, Utf8PathBuf};
use image_builder::qemu::firmware::{self, SecureBoot};
use image_builder::slot::Slot;
use serde::{Deserialize, Serialize};

use crate::nbd::disk::Layered;
use crate::nbd::recorder::Recorder;
use crate::nbd::server::Server;
use crate::nbd::wire::Cache;
use crate::vm::{DISK_BYTES, Served};

/// Number of the system disk in a recording.
pub const DISK: usize = 0;
/// Number of the variable store in a recording.
pub const VARIABLES: usize = 1;

/// File of a recording that says what it is a recording of.
pub const ABOUT: &str = "about.json";
/// File of a recording with the variable store as it was at the beginning.
pub const FIRST_VARIABLES: &str = "variables.fd";

/// What a recording begins with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct About {
    /// The disk image; it is read only.
    pub image: Utf8PathBuf,
    /// Size of the disk in bytes; behind the image there are zeroes.
    pub disk_bytes: u64,
    /// What was recorded, for people.
    pub story: String,
    /// Versions that may be started in any state of it: the old one and the one that is tried, in this order.
    pub versions: Vec<String>,
    /// The slot that is written to.
    pub written: Slot,
    /// Versions that a machine may rest in: both, or the old one alone when the other is bad.
    pub rest: Vec<String>,
    /// Certificate (PEM) that boot entries are signed with.
    pub certificate: Utf8PathBuf,
}

/// One update.
#[derive(Debug, Clone, Copy)]
pub struct Change<'a> {
    /// Version that the machine runs.
    pub from: &'a str,
    /// Version that it is given.
    pub to: &'a str,
    /// The slot that this goes to.
    pub written: Slot,
    /// Versions that the machine may rest in afterwards, whenever the power fails.
    pub rest: &'a [&'a str],
}

/// The two servers of one machine.
#[derive(Debug)]
pub struct ServedMachine {
    /// The system disk.
    pub disk: Server,
    /// The firmware's variables.
    pub variables: Server,
    // Sockets.
    _scratch: tempfile::TempDir,
}

impl ServedMachine {
    /// Serves a disk and a variable store; with a recorder both are recorded.
    ///
    /// Flash has no cache: what the firmware's driver has been told to be written is there.
    pub fn start(disk: Layered, variables: Layered, recorder: Option<&Recorder>) -> anyhow::Result<Self> {
        let scratch = crate::scratch::dir("nbd")?;
        let folder = Utf8Path::from_path(scratch.path()).context("the temporary folder's name is not UTF-8")?.to_owned();
        let note = |number| recorder.map(|recorder| (number, recorder.clone()));
        Ok(Self {
            disk: Server::start(&folder.join("disk"), disk, Cache::Volatile, note(DISK))?,
            variables: Server::start(&folder.join("variables"), variables, Cache::None, note(VARIABLES))?,
            _scratch: scratch,
        })
    }

    /// Serves a new machine with `image` whose disk can be made to fail; nothing is recorded.
    pub fn fresh(image: &Utf8Path) -> anyhow::Result<Self> {
        let file = File::open(image).with_context(|| format!("opening {image}"))?;
        let disk = Layered::over(file, DISK_BYTES).context("making the disk")?;
        let template = firmware::find(SecureBoot::Off)?.vars_template;
        let file = File::open(&template).with_context(|| format!("opening {}", template.display()))?;
        let size = file.metadata().with_context(|| format!("looking at {}", template.display()))?.len();
        Self::start(disk, Layered::over(file, size).context("making the variables")?, None)
    }

    /// Serves a new machine with `image`, and begins a recording of it in `folder`.
    pub fn recorded(about: &About, folder: &Utf8Path) -> anyhow::Result<(Self, Recorder)> {
        let recorder = Recorder::create(folder)?;
        let text = serde_json::to_vec_pretty(about).context("writing JSON")?;
        std::fs::write(folder.join(ABOUT), text).with_context(|| format!("writing {folder}/{ABOUT}"))?;
        let template = firmware::find(SecureBoot::Off)?.vars_template;
        let first = folder.join(FIRST_VARIABLES);
        std::fs::copy(&template, &first).with_context(|| format!("copying {} to {first}", template.display()))?;
        let (disk, variables) = about.layers(folder)?;
        Ok((Self::start(disk, variables, Some(&recorder))?, recorder))
    }

    /// What a machine has to know of the servers.
    #[must_use]
    pub fn served(&self) -> Served {
        Served { disk: self.disk.socket().to_owned(), variables: self.variables.socket().to_owned() }
    }

    /// Ends serving: when this returns, nothing more is answered or noted.
    pub fn stop(&self) {
        self.disk.stop();
        self.variables.stop();
    }

    /// Why one of the servers ended a connection, if that happened.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        self.disk.trouble().or_else(|| self.variables.trouble())
    }
}

impl About {
    /// A machine with `image` that `story` happens to.
    #[must_use]
    pub fn new(image: Utf8PathBuf, keys: &Utf8Path, change: &Change<'_>, story: String) -> Self {
        let owned = |versions: &[&str]| versions.iter().map(|version| (*version).to_owned()).collect();
        let (versions, rest) = (owned(&[change.from, change.to]), owned(change.rest));
        let certificate = keys.join("public/secure-boot.crt");
        Self { image, disk_bytes: DISK_BYTES, story, versions, written: change.written, rest, certificate }
    }

    /// The version that is tried.
    #[must_use]
    pub fn tried(&self) -> &str {
        self.versions.last().map_or("", String::as_str)
    }

    /// Reads it.
    pub fn read(folder: &Utf8Path) -> anyhow::Result<Self> {
        let path = folder.join(ABOUT);
        let bytes = std::fs::read(&path).with_context(|| format!("reading {path}"))?;
        serde_json::from_slice(&bytes).with_context(|| format!("reading {path}"))
    }

    /// Both disks as they were at the beginning.
    pub fn layers(&self, folder: &Utf8Path) -> anyhow::Result<(Layered, Layered)> {
        let image = File::open(&self.image).with_context(|| format!("opening {}", self.image))?;
        let disk = Layered::over(image, self.disk_bytes).context("making the disk")?;
        let first = folder.join(FIRST_VARIABLES);
        let file = File::open(&first).with_context(|| format!("opening {first}"))?;
        let size = file.metadata().with_context(|| format!("looking at {first}"))?.len();
        Ok((disk, Layered::over(file, size).context("making the variables")?))
    }
}
