//! The data folder and database that most subcommands work on.

use std::path::PathBuf;

use anyhow::{Context, bail};

use crate::publish::Layout;
use crate::store::{self, Db};

/// Which server's data.
#[derive(Debug, Clone, clap::Args)]
pub struct Place {
    /// The server's data folder.
    #[arg(long, value_name = "DIR", env = "SLIPWAY_SERVER_DATA")]
    pub data: PathBuf,
    /// Database of several replicas, e.g. postgres://user@host/slipway; without it, SQLite in the data folder. All replicas share
    /// one data folder (its files), e.g. over a network file system.
    #[arg(long, value_name = "URL", env = "SLIPWAY_SERVER_DATABASE", hide_env_values = true)]
    pub database: Option<String>,
}

/// What marks a data folder as made by `init`.
const MARK: &str = ".update-server";

impl Place {
    /// Opens what `init` made.
    ///
    /// # Errors
    /// There is no such data folder, or its database cannot be opened.
    pub async fn open(&self) -> anyhow::Result<(Db, Layout)> {
        if !self.data.join(MARK).exists() {
            bail!("{} is no data folder of an update server; make one with: update-server init --data {0}", self.data.display());
        }
        let layout = Layout::new(&self.data);
        layout.create()?;
        Ok((self.connect().await?, layout))
    }

    /// Makes the folder and the database.
    ///
    /// # Errors
    /// The disk's or the database's.
    pub async fn create(&self) -> anyhow::Result<Db> {
        std::fs::create_dir_all(&self.data).with_context(|| format!("making data folder {}", self.data.display()))?;
        let mode = <std::fs::Permissions as std::os::unix::fs::PermissionsExt>::from_mode(0o700);
        std::fs::set_permissions(&self.data, mode).with_context(|| format!("protecting data folder {}", self.data.display()))?;
        Layout::new(&self.data).create()?;
        let db = self.connect().await?;
        std::fs::write(self.data.join(MARK), "1\n").with_context(|| format!("marking data folder {}", self.data.display()))?;
        Ok(db)
    }

    async fn connect(&self) -> anyhow::Result<Db> {
        let what =
            if self.database.is_some() { "the database server".to_owned() } else { format!("the database in {}", self.data.display()) };
        store::open(&self.data, self.database.as_deref()).await.with_context(|| format!("opening {what}"))
    }
}
