//! What every request may use.

use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::Mutex;

use super::discovery::{self, Waiting};
use super::limiter::Limiter;
use crate::background::findings::Findings;
use crate::checkin::batch::Engine;
use crate::checkin::writer::Writer;
use crate::clock::Clock;
use crate::metrics::Metrics;
use crate::policy::Time;
use crate::publish::{Disk, Layout, online};
use crate::store::Db;

/// What the command line says.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// The data folder.
    pub data: PathBuf,
    /// What machines are told to download from; without it, the host that they asked.
    pub base_url: Option<String>,
    /// How often machines are to ask, in seconds.
    pub poll_secs: Option<u32>,
    /// How clusters find themselves.
    pub discovery: discovery::Settings,
    /// What the steps of publishing are announced to; tests let them fail.
    pub disk: Disk,
}

/// Shared by all requests; cloning is cheap.
#[derive(Debug, Clone)]
pub struct App(Arc<Inner>);

/// See [`App`].
#[derive(Debug)]
pub struct Inner {
    /// What is kept.
    pub db: Db,
    /// The time.
    pub clock: Clock,
    /// Where check-ins are handed over.
    pub writer: Writer,
    /// What is counted.
    pub metrics: Metrics,
    /// The folders of files.
    pub layout: Layout,
    /// The online keys, if this server has them.
    pub keys: online::Keys,
    /// Held while something is published: one at a time.
    pub publishing: Mutex<()>,
    /// Check-ins by source address.
    pub limiter: Limiter,
    /// New discovery tokens by source address.
    pub new_tokens: Limiter,
    /// Machines that wait for others of their cluster.
    pub waiting: Waiting,
    /// What needs somebody.
    pub findings: Findings,
    /// What the command line says.
    pub settings: Settings,
}

impl App {
    /// Puts it together and starts the task that writes; that task ends, after its last batch, when all clones are gone.
    #[must_use]
    pub fn new(db: Db, clock: Clock, keys: online::Keys, settings: Settings) -> (Self, tokio::task::JoinHandle<()>) {
        let metrics = Metrics::new();
        let (writer, task) = Writer::start(Engine::new(db.clone(), clock.clone()), metrics.clone());
        let layout = Layout::new(&settings.data).with(settings.disk.clone());
        let limiter = Limiter::default();
        let inner = Inner {
            db,
            clock,
            writer,
            metrics,
            layout,
            keys,
            publishing: Mutex::new(()),
            limiter,
            new_tokens: Limiter::new(discovery::NEW_TOKENS),
            waiting: Waiting::default(),
            findings: Findings::default(),
            settings,
        };
        (Self(Arc::new(inner)), task)
    }

    /// The time.
    #[must_use]
    pub fn now(&self) -> Time {
        self.clock.now()
    }
}

impl std::ops::Deref for App {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}
