//! locksmith's semaphore, and who may have it: pure.
//!
//! The value in etcd is locksmith's own JSON, `{"semaphore": free, "max": most, "holders": [ids]}`, so that its tools and dashboards
//! go on to work. What locksmith does not have is an end for the turn of a machine that died: here each holder has a leased key beside
//! the semaphore, and a holder without one is as good as gone. Whoever wants the semaphore drops such holders, in the same transaction.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// Most machines that may be set to reboot at the same time.
pub const MAX_MAX: u32 = 1000;
/// Longest value that is read, in bytes: [`MAX_MAX`] ids of 40 bytes fit.
const VALUE_MAX: usize = 64 * 1024;

/// How many may hold it, and who does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Semaphore {
    /// Most holders at a time; at least 1.
    pub max: u32,
    /// Ids of the holders, in the order in which they came.
    pub holders: Vec<String>,
}

/// As it is written.
#[derive(Serialize, Deserialize)]
struct Written {
    /// How many more may hold it; what was lowered below the number of holders is negative, as with locksmith.
    semaphore: i64,
    max: u32,
    /// `null` where nobody ever held it.
    holders: Option<Vec<String>>,
}

/// A value in etcd that is no semaphore.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}; delete the key, or write what locksmith would")]
pub struct NotASemaphore(String);

impl Semaphore {
    /// A semaphore that nobody holds.
    #[must_use]
    pub fn new(max: u32) -> Self {
        Self { max: max.clamp(1, MAX_MAX), holders: Vec::new() }
    }

    /// Reads locksmith's JSON. How many are free is worked out anew: a count that does not fit its list helps nobody.
    ///
    /// # Errors
    /// It is something else, or larger than any semaphore.
    pub fn parse(json: &[u8]) -> Result<Self, NotASemaphore> {
        if json.len() > VALUE_MAX {
            return Err(NotASemaphore(format!("the semaphore has {} bytes, more than {VALUE_MAX}", json.len())));
        }
        let written: Written =
            serde_json::from_slice(json).map_err(|error| NotASemaphore(format!("the semaphore makes no sense: {error}")))?;
        let mut semaphore = Self::new(written.max);
        for id in written.holders.unwrap_or_default() {
            if !semaphore.holders.contains(&id) {
                semaphore.holders.push(id);
            }
        }
        Ok(semaphore)
    }

    /// locksmith's JSON.
    #[must_use]
    pub fn to_json(&self) -> String {
        let free = i64::from(self.max) - i64::try_from(self.holders.len()).unwrap_or(i64::MAX);
        let written = Written { semaphore: free, max: self.max, holders: Some(self.holders.clone()) };
        serde_json::to_string(&written).unwrap_or_default()
    }

    fn without(&self, id: &str) -> Self {
        Self { max: self.max, holders: self.holders.iter().filter(|holder| *holder != id).cloned().collect() }
    }
}

/// The semaphore and the leased keys beside it, at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// The semaphore; what it would be like where there is none yet.
    pub semaphore: Semaphore,
    /// Revision at which it was written last; 0 where there is none.
    pub revision: i64,
    /// Ids that have a leased key.
    pub alive: BTreeSet<String>,
}

/// What becomes of a wish for the semaphore.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Taking {
    /// It is ours already.
    Already,
    /// It becomes ours with this change.
    With(Change),
    /// Others have it.
    Full {
        /// Those of them that are alive.
        holders: Vec<String>,
    },
}

/// A change, valid only if the semaphore is still what was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// What it becomes.
    pub becomes: Semaphore,
    /// Holders that are dropped because they are dead; they must still be.
    pub dropped: Vec<String>,
}

/// `id` wants the semaphore.
#[must_use]
pub fn take(seen: &Seen, id: &str) -> Taking {
    let (alive, dropped): (Vec<String>, Vec<String>) =
        seen.semaphore.holders.iter().cloned().partition(|holder| seen.alive.contains(holder));
    if alive.iter().any(|holder| holder == id) {
        return Taking::Already;
    }
    if alive.len() >= seen.semaphore.max as usize {
        return Taking::Full { holders: alive };
    }
    let mut becomes = Semaphore { max: seen.semaphore.max, holders: alive };
    becomes.holders.push(id.to_owned());
    Taking::With(Change { becomes, dropped })
}

/// `id` does not want it any more; `None` when it does not have it. Nobody else's turn ends with this.
#[must_use]
pub fn release(seen: &Seen, id: &str) -> Option<Change> {
    let held = seen.semaphore.holders.iter().any(|holder| holder == id);
    held.then(|| Change { becomes: seen.semaphore.without(id), dropped: Vec::new() })
}

/// Another number of holders; those that are too many keep their turn.
#[must_use]
pub fn set_max(seen: &Seen, max: u32) -> Change {
    let semaphore = Semaphore { holders: seen.semaphore.holders.clone(), ..Semaphore::new(max) };
    Change { becomes: semaphore, dropped: Vec::new() }
}

#[cfg(test)]
#[path = "semaphore_tests.rs"]
mod tests;
