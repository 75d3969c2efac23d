//! What is below a prefix now, and every change after that, with none lost.
//!
//! A watch begins at the revision after the one that was read. Watching from "now" instead would lose what happened in between.
//! When etcd has forgotten that revision (it was compacted), or has become another one (restored from a snapshot, so that revisions begin
//! anew), everything is read again: the caller sees a [`Change::All`].

use std::collections::BTreeMap;

use etcd_client::{Client, Error, EventType, GetOptions, WatchOptions, WatchStream};

/// Most keys of one answer; what is beyond comes with the next page.
const PAGE: i64 = 500;

/// What a watcher is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Everything that is there now, instead of all that was known before.
    All(BTreeMap<String, String>),
    /// A key has this value now.
    Put(String, String),
    /// A key is gone.
    Gone(String),
}

/// Follows the keys below a prefix.
pub struct Follower {
    client: Client,
    prefix: String,
    /// The next revision that is not known yet.
    next: i64,
    /// The cluster whose revisions these are; 0 before the first answer to a watch.
    cluster: u64,
    stream: Option<WatchStream>,
}

impl std::fmt::Debug for Follower {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Follower").field("prefix", &self.prefix).field("next", &self.next).finish_non_exhaustive()
    }
}

impl Follower {
    /// Begins with what is there.
    #[must_use]
    pub fn new(client: Client, prefix: impl Into<String>) -> Self {
        Self { client, prefix: prefix.into(), next: 0, cluster: 0, stream: None }
    }

    /// Waits for the next changes, the first time for everything that is there. Never empty.
    ///
    /// # Errors
    /// etcd does not answer. Call it again after a while: it goes on where it was.
    pub async fn next(&mut self) -> Result<Vec<Change>, Error> {
        if self.next == 0 {
            return self.read_all().await;
        }
        let result = self.follow().await;
        if result.is_err() {
            self.stream = None;
        }
        result
    }

    async fn read_all(&mut self) -> Result<Vec<Change>, Error> {
        self.stream = None;
        // Should this fail, the next attempt reads again as well.
        self.next = 0;
        let (all, revision) = list(&mut self.client, &self.prefix).await?;
        self.next = revision + 1;
        Ok(vec![Change::All(all)])
    }

    async fn follow(&mut self) -> Result<Vec<Change>, Error> {
        loop {
            let stream = match &mut self.stream {
                Some(stream) => stream,
                none => {
                    let options = WatchOptions::new().with_prefix().with_start_revision(self.next).with_progress_notify();
                    none.insert(self.client.watch(self.prefix.as_str(), Some(options)).await?)
                }
            };
            let Some(answer) = stream.message().await? else {
                // The connection ended; the next one begins where this one was.
                self.stream = None;
                continue;
            };
            if answer.compact_revision() > 0 {
                return self.read_all().await;
            }
            if answer.canceled() {
                return Err(Error::WatchError(answer.cancel_reason().to_owned()));
            }
            if let Some(header) = answer.header() {
                let known = std::mem::replace(&mut self.cluster, header.cluster_id());
                let is_another = known != 0 && known != header.cluster_id();
                // A watch from a revision that is yet to come would be silent until it has come.
                if is_another || (answer.created() && header.revision() + 1 < self.next) {
                    return self.read_all().await;
                }
                // Only a sign of life without events says that all up to its revision was sent. That of an answer with events, or of the
                // first one, is the store's: what lies before it may still be on its way.
                if !answer.created() && answer.events().is_empty() {
                    self.next = self.next.max(header.revision() + 1);
                }
            }
            let mut changes = Vec::new();
            for event in answer.events() {
                let Some(kv) = event.kv() else { continue };
                self.next = self.next.max(kv.mod_revision() + 1);
                let key = String::from_utf8_lossy(kv.key()).into_owned();
                changes.push(match event.event_type() {
                    EventType::Put => Change::Put(key, String::from_utf8_lossy(kv.value()).into_owned()),
                    EventType::Delete => Change::Gone(key),
                });
            }
            if !changes.is_empty() {
                return Ok(changes);
            }
        }
    }
}

/// Everything below `prefix` at one revision, and that revision.
///
/// # Errors
/// etcd does not answer.
pub async fn list(client: &mut Client, prefix: &str) -> Result<(BTreeMap<String, String>, i64), Error> {
    let mut all = BTreeMap::new();
    let mut revision = 0;
    let mut from = prefix.as_bytes().to_vec();
    loop {
        let options = GetOptions::new().with_range(end_of(prefix)).with_limit(PAGE).with_revision(revision);
        let answer = client.get(from.as_slice(), Some(options)).await?;
        if revision == 0 {
            revision = answer.header().map_or(0, etcd_client::ResponseHeader::revision);
        }
        for kv in answer.kvs() {
            all.insert(String::from_utf8_lossy(kv.key()).into_owned(), String::from_utf8_lossy(kv.value()).into_owned());
        }
        match answer.kvs().last() {
            Some(last) if answer.more() => {
                from = last.key().to_vec();
                from.push(0);
            }
            _ => return Ok((all, revision)),
        }
    }
}

/// The first key after all that begin with `prefix`; a single zero byte means "to the end".
fn end_of(prefix: &str) -> Vec<u8> {
    let mut end = prefix.as_bytes().to_vec();
    while let Some(last) = end.pop() {
        if last < u8::MAX {
            end.push(last + 1);
            return end;
        }
    }
    vec![0]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_prefix_is_the_first_key_after_it() {
        assert_eq!(end_of("slipway/"), b"slipway0");
        assert_eq!(end_of("a"), b"b");
        assert_eq!(end_of(""), [0]);
    }
}
