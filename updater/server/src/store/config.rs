//! The memory copy of everything that people set, which every batch of check-ins decides with.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::catalog::Stored;
use super::{StoreError, Tx, catalog, rollouts};
use crate::policy::{Catalog, Group, ReleaseId, RolloutId};

/// Groups, releases, channels, and which rollouts there are (not how they stand: that is read in each transaction).
#[derive(Debug, Default)]
pub struct Config {
    /// The generation it was read at.
    pub generation: i64,
    /// Groups by name.
    pub groups: HashMap<String, Group>,
    /// Releases and channels.
    pub catalog: Catalog,
    /// Releases with their files.
    pub releases: HashMap<ReleaseId, Arc<Stored>>,
    /// Rollouts by group and release.
    pub rollouts: HashMap<String, HashMap<ReleaseId, RolloutId>>,
    /// Applications there is any release of.
    pub apps: HashSet<String>,
}

impl Config {
    /// Reads it inside a transaction.
    ///
    /// # Errors
    /// The database's.
    pub async fn read(tx: &mut Tx, generation: i64) -> Result<Self, StoreError> {
        let groups: Vec<Group> =
            tx.rows("SELECT doc FROM groups", &[]).await?.iter().map(|row| row.document(0)).collect::<Result<_, _>>()?;
        let stored = catalog::releases_in(tx).await?;
        let channels = catalog::channels_in(tx).await?;
        let mut index: HashMap<String, HashMap<ReleaseId, RolloutId>> = HashMap::new();
        for (group, release, rollout) in rollouts::index(tx).await? {
            index.entry(group).or_default().insert(release, rollout);
        }
        Ok(Self {
            generation,
            groups: groups.into_iter().map(|group| (group.name.clone(), group)).collect(),
            catalog: Catalog { releases: stored.iter().map(|stored| stored.release.clone()).collect(), channels },
            apps: stored.iter().map(|stored| stored.release.app.clone()).collect(),
            releases: stored.into_iter().map(|stored| (stored.release.id, Arc::new(stored))).collect(),
            rollouts: index,
        })
    }

    /// The rollout of `release` in `group`.
    #[must_use]
    pub fn rollout(&self, group: &str, release: ReleaseId) -> Option<RolloutId> {
        self.rollouts.get(group)?.get(&release).copied()
    }
}
