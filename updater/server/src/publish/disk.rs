//! Every step that changes what is on the disk, by name, so that a test can let each of them fail or be the last one.

use std::fmt;
use std::io;
use std::sync::Arc;

/// A step of an upload or a publication; it is announced before it is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Step {
    CreatePart,
    WritePart,
    SyncPart,
    NamePart,
    SyncStaging,
    MoveTarget,
    SyncTarget,
    SyncTargets,
    WriteMetadata,
    SyncMetadata,
    SyncSet,
    LinkSet,
    Switch,
    SyncRepository,
    Forget,
    Record,
    Clear,
}

type Hook = dyn Fn(Step) -> io::Result<()> + Send + Sync;

/// The disk. In production nothing is asked and nothing in the way.
#[derive(Clone, Default)]
pub struct Disk(Option<Arc<Hook>>);

impl Disk {
    /// One on which every step is asked of `hook` first.
    pub fn asking(hook: impl Fn(Step) -> io::Result<()> + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(hook)))
    }

    /// Announces a step.
    ///
    /// # Errors
    /// What the hook says in its place.
    pub fn step(&self, step: Step) -> io::Result<()> {
        self.0.as_ref().map_or(Ok(()), |hook| hook(step))
    }
}

impl fmt::Debug for Disk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Disk(asking)" } else { "Disk" })
    }
}
