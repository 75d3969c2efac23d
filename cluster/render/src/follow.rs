//! Following: what changes in etcd is gathered for a moment, and every file that it concerns is brought up to date.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::time::Duration;

use announce::Entries;
use cluster_store::watch::{Change, Follower, list};
use cluster_store::{Access, AccessError, Report};
use etcd_client::Client;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::install::sweep;
use crate::pass::{Outcome, Target};

/// After a change this long must pass without another before files are made,
const QUIET: Duration = Duration::from_millis(100);
/// unless changes have been coming for this long.
const AT_LATEST: Duration = Duration::from_millis(500);
/// What failed is tried again after this long,
const FIRST_RETRY: Duration = Duration::from_secs(1);
/// and after twice as long each time, up to this. A change does not wait for it.
const LAST_RETRY: Duration = Duration::from_secs(300);
/// Pauses between attempts to reach etcd grow from here,
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// to here.
const LAST_PAUSE: Duration = Duration::from_secs(10);
/// Answers of etcd that may wait while a check runs.
const WAITING: usize = 64;

/// The prefixes to watch, so that every key of every target is below exactly one.
#[must_use]
pub fn prefixes<'t>(targets: impl IntoIterator<Item = &'t Target>) -> Vec<String> {
    let mut all: Vec<&String> = targets.into_iter().flat_map(|target| &target.resource.keys).collect();
    all.sort();
    all.dedup();
    // In this order what begins like another comes after it.
    let mut prefixes: Vec<String> = Vec::new();
    for key in all {
        if !prefixes.iter().any(|prefix| key.starts_with(prefix.as_str())) {
            prefixes.push(key.clone());
        }
    }
    prefixes
}

/// What is known of etcd.
#[derive(Debug, Default)]
struct Known {
    entries: Entries,
    /// Prefixes that have not been read yet.
    missing: Vec<String>,
}

impl Known {
    /// Takes changes below `prefix` in; returns the keys that are others now, or `None` when everything below it may be.
    fn take(&mut self, prefix: &str, changes: Vec<Change>) -> Option<Vec<String>> {
        let mut keys = Some(Vec::new());
        for change in changes {
            match change {
                Change::All(all) => {
                    self.missing.retain(|missing| missing != prefix);
                    self.entries.retain(|key, _| !key.starts_with(prefix));
                    self.entries.extend(all);
                    keys = None;
                }
                Change::Put(key, value) => {
                    keys.iter_mut().for_each(|keys| keys.push(key.clone()));
                    self.entries.insert(key, value);
                }
                Change::Gone(key) => {
                    self.entries.remove(&key);
                    keys.iter_mut().for_each(|keys| keys.push(key.clone()));
                }
            }
        }
        keys
    }

    /// Whether all that `target` follows has been read.
    fn is_ready(&self, target: &Target) -> bool {
        !target.resource.keys.iter().any(|key| self.missing.iter().any(|missing| key.starts_with(missing.as_str())))
    }
}

/// When a target is due.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Due {
    /// The first change that is not in the file yet.
    changed: Option<Instant>,
    at: Option<Instant>,
    failures: u32,
}

impl Due {
    fn change(&mut self, now: Instant) {
        let first = *self.changed.get_or_insert(now);
        self.at = Some((now + QUIET).min(first + AT_LATEST));
    }

    fn done(&mut self) {
        *self = Self::default();
    }

    fn failed(&mut self, now: Instant) {
        let pause = FIRST_RETRY.saturating_mul(2_u32.saturating_pow(self.failures)).min(LAST_RETRY);
        *self = Self { changed: None, at: Some(now + pause), failures: self.failures.saturating_add(1) };
    }
}

/// Keeps all files up to date, for ever.
pub async fn follow(access: impl Fn() -> Result<Access, AccessError>, targets: &[Target], report: &Report) -> Infallible {
    for target in targets {
        sweep(&target.resource.dest);
    }
    let client = connect(access, report).await;
    let prefixes = prefixes(targets);
    let mut known = Known { entries: Entries::new(), missing: prefixes.clone() };
    let mut dues = vec![Due::default(); targets.len()];
    let mut wrong: BTreeMap<usize, String> = BTreeMap::new();
    let (changes, mut changed) = mpsc::channel(WAITING);
    // Dropped with this future, and with it all watches.
    let mut watches = JoinSet::new();
    for prefix in prefixes {
        watches.spawn(watch(client.clone(), prefix, changes.clone(), report.clone()));
    }
    loop {
        let next = (0..targets.len()).filter(|at| known.is_ready(&targets[*at])).filter_map(|at| Some((dues[at].at?, at))).min();
        let due = async {
            match next {
                Some((at, which)) => {
                    tokio::time::sleep_until(at).await;
                    which
                }
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            Some((prefix, news)) = changed.recv() => {
                let keys = known.take(&prefix, news);
                let now = Instant::now();
                for (due, target) in dues.iter_mut().zip(targets) {
                    let concerned = match &keys {
                        None => target.resource.keys.iter().any(|key| key.starts_with(prefix.as_str())),
                        Some(keys) => keys.iter().any(|key| target.resource.follows(key)),
                    };
                    if concerned {
                        due.change(now);
                    }
                }
            }
            at = due => {
                let target = &targets[at];
                match target.bring(&known.entries).await {
                    Ok(outcome) => {
                        wrong.remove(&at);
                        dues[at].done();
                        tell(target, &outcome);
                    }
                    Err(failure) => {
                        let text = failure.to_string();
                        if wrong.insert(at, text.clone()).as_ref() != Some(&text) {
                            tracing::error!("{text}");
                        }
                        dues[at].failed(Instant::now());
                    }
                }
                say(report, targets.len(), &wrong);
            }
        }
    }
}

/// Reads what `prefixes` hold now.
///
/// # Errors
/// etcd does not answer.
pub async fn read(client: &mut Client, prefixes: &[String]) -> Result<Entries, etcd_client::Error> {
    let mut entries = Entries::new();
    for prefix in prefixes {
        let (all, _) = list(client, prefix).await?;
        entries.extend(all);
    }
    Ok(entries)
}

async fn connect(access: impl Fn() -> Result<Access, AccessError>, report: &Report) -> Client {
    let mut pause = FIRST_PAUSE;
    loop {
        let connected = match access() {
            Ok(access) => access.connect().await,
            Err(error) => Err(error),
        };
        match connected {
            Ok(client) => return client,
            Err(error) => report.say("waiting", format!("{error}; trying again")),
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LAST_PAUSE);
    }
}

/// Sends what happens below one prefix, for as long as somebody listens.
async fn watch(client: Client, prefix: String, changes: mpsc::Sender<(String, Vec<Change>)>, report: Report) {
    let mut follower = Follower::new(client, prefix.as_str());
    let mut pause = FIRST_PAUSE;
    loop {
        match follower.next().await {
            Ok(news) => {
                pause = FIRST_PAUSE;
                if changes.send((prefix.clone(), news)).await.is_err() {
                    return;
                }
            }
            Err(error) => {
                report.say("waiting", format!("etcd: {error}; files stay as they are, trying again"));
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LAST_PAUSE);
            }
        }
    }
}

fn tell(target: &Target, outcome: &Outcome) {
    let dest = target.resource.dest.display();
    match outcome {
        Outcome::Installed => tracing::info!("{dest} is new"),
        Outcome::Reloaded => tracing::info!("{dest}: who reads it has been told"),
        Outcome::Adjusted => tracing::info!("{dest} has its owner and rights again"),
        Outcome::Unchanged | Outcome::Different { .. } => tracing::debug!("{dest} is as it should be"),
    }
}

fn say(report: &Report, files: usize, wrong: &BTreeMap<usize, String>) {
    match wrong.values().next() {
        None => report.say("following", format!("files that are up to date: {files}")),
        Some(first) => report.say("failing", format!("{} of {files} files; the first: {first}", wrong.len())),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::resource::Resource;

    fn target(keys: &str) -> Target {
        let text = format!("[template]\nsrc = \"a\"\ndest = \"/b\"\nkeys = {keys}\n");
        Target::new(Resource::parse(Path::new("/x/a.toml"), &text, |_| true).unwrap(), Path::new("/run"))
    }

    #[test]
    fn every_key_is_watched_once() {
        let targets = [target("[\"/web\", \"/web/a\", \"/website\"]"), target("[\"/db\", \"/web\"]")];
        assert_eq!(prefixes(&targets), ["/db", "/web"]);
        assert_eq!(prefixes(&[target("[\"\", \"/a\"]")]), [""]);
        assert!(prefixes(&[]).is_empty());
    }

    #[test]
    fn what_was_read_anew_replaces_what_was_known_below_the_same_prefix_only() {
        let mut known = Known { entries: Entries::new(), missing: vec!["/a".to_owned(), "/b".to_owned()] };
        let map = |pairs: &[(&str, &str)]| pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect::<Entries>();
        assert_eq!(known.take("/a", vec![Change::All(map(&[("/a/1", "x"), ("/a/2", "x")]))]), None);
        assert!(known.is_ready(&target("[\"/a/1\"]")) && !known.is_ready(&target("[\"/a\", \"/b\"]")));
        known.take("/b", vec![Change::All(map(&[("/b/1", "x")]))]);
        let changes = vec![Change::Gone("/a/1".to_owned()), Change::Put("/a/2".to_owned(), "y".to_owned())];
        assert_eq!(known.take("/a", changes), Some(vec!["/a/1".to_owned(), "/a/2".to_owned()]));
        assert_eq!(known.entries, map(&[("/a/2", "y"), ("/b/1", "x")]));
        known.take("/a", vec![Change::All(map(&[("/a/3", "z")]))]);
        assert_eq!(known.entries, map(&[("/a/3", "z"), ("/b/1", "x")]));
    }

    #[tokio::test(start_paused = true)]
    async fn changes_are_gathered_but_not_for_ever() {
        let begin = Instant::now();
        let mut due = Due::default();
        due.change(begin);
        assert_eq!(due.at, Some(begin + QUIET));
        for milliseconds in (50..450).step_by(50) {
            due.change(begin + Duration::from_millis(milliseconds));
            assert_eq!(due.at, Some((begin + Duration::from_millis(milliseconds) + QUIET).min(begin + AT_LATEST)));
        }
        due.change(begin + Duration::from_millis(499));
        assert_eq!(due.at, Some(begin + AT_LATEST));
    }

    #[tokio::test(start_paused = true)]
    async fn what_failed_is_tried_again_more_and_more_seldom_and_a_change_does_not_wait() {
        let now = Instant::now();
        let mut due = Due::default();
        let mut pauses = Vec::new();
        for _ in 0..11 {
            due.failed(now);
            pauses.push((due.at.unwrap() - now).as_secs());
        }
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
        due.change(now);
        assert_eq!(due.at, Some(now + QUIET));
        due.done();
        assert_eq!(due, Due::default());
    }
}
