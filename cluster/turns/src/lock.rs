//! The semaphore in etcd, with a lease for each holder.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime};

use cluster_store::Access;
use etcd_client::{Client, Compare, CompareOp, Error, GetOptions, PutOptions, Txn, TxnOp, TxnOpResponse};
use serde::{Deserialize, Serialize};

use crate::group;
use crate::semaphore::{self, Change, MAX_MAX, Seen, Semaphore, Taking};
use crate::{Group, Kind, Reason, Refusal};

/// A turn ends by itself after this many seconds without a word from its holder: longer than any reboot, its checks of memory
/// included. While its machine is up, the daemon renews it.
pub(crate) const LEASE_SECS: i64 = 30 * 60;
/// Attempts to change the semaphore while others change it too. Each failure means that somebody else succeeded.
const TRIES: u32 = 32;
/// Pause after a lost race, times the number of the attempt.
const RACE_PAUSE: Duration = Duration::from_millis(20);
/// How long a change may take in all; then etcd is as good as gone, and the answer is no.
const PATIENCE: Duration = Duration::from_secs(20);
/// Most keys of one look; there are never more holders than [`MAX_MAX`], and hardly more machines that wait.
const KEYS_MAX: i64 = 4 * MAX_MAX as i64;

/// The leased key of a holder or of a machine that waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Note {
    /// Short name of the machine.
    machine: String,
    /// Since when, in seconds since 1970.
    since: u64,
    /// Why it waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

/// The semaphore of one group, for one machine.
#[derive(Debug, Clone)]
pub struct EtcdLock {
    access: Access,
    group: Group,
    /// Id of the machine among the holders.
    id: String,
    /// Its short name.
    name: String,
    /// [`Semaphore::max`] where there is none yet.
    max: u32,
    /// Seconds after which a silent holder is dropped.
    lease: i64,
}

impl EtcdLock {
    /// The lock of `group` for the machine `id`, called `name`; a semaphore that does not exist yet is made for `max` holders.
    #[must_use]
    pub fn new(access: Access, group: Group, id: &str, name: &str, max: u32) -> Self {
        Self { access, group, id: id.to_owned(), name: name.to_owned(), max, lease: LEASE_SECS }
    }

    /// The same with another lease; for tests that cannot wait for half an hour.
    #[must_use]
    pub fn with_lease(self, seconds: i64) -> Self {
        Self { lease: seconds, ..self }
    }

    /// Takes the lock, or finds that it is held already. Holders whose lease is over are dropped.
    ///
    /// # Errors
    /// Others hold it, or etcd does not answer or has no quorum.
    pub async fn take(&self) -> Result<(), Refusal> {
        within(self.try_to_take()).await.map_err(unreachable)?
    }

    async fn try_to_take(&self) -> Result<Result<(), Refusal>, Error> {
        let mut client = connect(&self.access).await?;
        for attempt in 0..TRIES {
            let seen = match self.see(&mut client).await? {
                Ok(seen) => seen,
                Err(reason) => return Ok(Err(Refusal::new(Kind::NotReady, reason))),
            };
            let change = match semaphore::take(&seen.seen, &self.id) {
                // The lease may end between the look and the renewal; then it is a wish like any other.
                Taking::Already if self.renew(&mut client, seen.lease).await? => return Ok(Ok(())),
                Taking::Already => continue,
                Taking::Full { holders } => {
                    let names: Vec<String> = holders.iter().map(|id| seen.names.get(id).unwrap_or(id).clone()).collect();
                    let reason = format!(
                        "{} {} the reboot lock of group {} ({} at a time)",
                        names.join(", "),
                        if names.len() == 1 { "has" } else { "have" },
                        self.group,
                        seen.seen.semaphore.max
                    );
                    return Ok(Err(Refusal::new(Kind::LockHeld, reason)));
                }
                Taking::With(change) => change,
            };
            let lease = client.lease_grant(self.lease, None).await?.id();
            let note = Note { machine: self.name.clone(), since: seconds_now(), reason: None };
            let mine = TxnOp::put(self.holding(&self.id), json(&note), Some(PutOptions::new().with_lease(lease)));
            if self.commit(&mut client, &seen.seen, &change, mine).await? {
                return Ok(Ok(()));
            }
            let _ = client.lease_revoke(lease).await;
            tokio::time::sleep(RACE_PAUSE * attempt).await;
        }
        Ok(Err(Refusal::new(Kind::LockHeld, format!("the reboot lock of group {} is fought over", self.group))))
    }

    /// Gives back this machine's turn; that it has none is fine.
    ///
    /// # Errors
    /// etcd does not answer or has no quorum.
    pub async fn release(&self) -> Result<(), Reason> {
        self.release_of(&self.id).await.map(drop)
    }

    /// Ends the turn of `id`, for an operator who knows better; whether it had one.
    ///
    /// # Errors
    /// etcd does not answer or has no quorum.
    pub async fn release_of(&self, id: &str) -> Result<bool, Reason> {
        let released = self.change(|seen| semaphore::release(seen, id), TxnOp::delete(self.holding(id), None)).await?;
        Ok(released.is_some())
    }

    /// Sets how many machines of the group may reboot at the same time; answers with what is set.
    ///
    /// # Errors
    /// etcd does not answer or has no quorum.
    pub async fn set_max(&self, max: u32) -> Result<u32, Reason> {
        let nothing = TxnOp::get(self.group.semaphore(), None);
        let set = self.change(|seen| Some(semaphore::set_max(seen, max)), nothing).await?;
        Ok(set.map_or(max, |change| change.becomes.max))
    }

    /// Whether this machine is among the holders.
    ///
    /// # Errors
    /// etcd does not answer or has no quorum.
    pub async fn held(&self) -> Result<bool, Reason> {
        let look = async {
            let mut client = connect(&self.access).await?;
            Ok(self.see(&mut client).await?.map(|seen| seen.seen.semaphore.holders.contains(&self.id)))
        };
        within(look).await.map_err(|error| failed(&error))?
    }

    /// Renews the lease of this machine's turn; whether there is one.
    ///
    /// # Errors
    /// etcd does not answer or has no quorum.
    pub async fn extend(&self) -> Result<bool, Reason> {
        let renewal = async {
            let mut client = connect(&self.access).await?;
            let key = client.get(self.holding(&self.id), None).await?;
            let Some(lease) = key.kvs().first().map(etcd_client::KeyValue::lease) else { return Ok(false) };
            self.renew(&mut client, lease).await
        };
        within(renewal).await.map_err(|error| failed(&error))
    }

    async fn change(&self, decide: impl Fn(&Seen) -> Option<Change>, with: TxnOp) -> Result<Option<Change>, Reason> {
        let change = async {
            let mut client = connect(&self.access).await?;
            for attempt in 0..TRIES {
                let seen = match self.see(&mut client).await? {
                    Ok(seen) => seen.seen,
                    Err(reason) => return Ok(Err(reason)),
                };
                let Some(change) = decide(&seen) else { return Ok(Ok(None)) };
                if self.commit(&mut client, &seen, &change, with.clone()).await? {
                    return Ok(Ok(Some(change)));
                }
                tokio::time::sleep(RACE_PAUSE * attempt).await;
            }
            Ok(Err(Reason::new(format!("the reboot lock of group {} is fought over; try again", self.group))))
        };
        within(change).await.map_err(|error| failed(&error))?
    }

    fn holding(&self, id: &str) -> String {
        format!("{}{id}", self.group.holding())
    }

    /// The semaphore and the leased keys of its holders, at one revision.
    async fn see(&self, client: &mut Client) -> Result<Result<Look, Reason>, Error> {
        let holding = self.group.holding();
        let notes = GetOptions::new().with_prefix().with_limit(KEYS_MAX);
        let both = Txn::new().and_then([TxnOp::get(self.group.semaphore(), None), TxnOp::get(holding.as_str(), Some(notes))]);
        let mut look = Look {
            seen: Seen { semaphore: Semaphore::new(self.max), revision: 0, alive: BTreeSet::new() },
            names: BTreeMap::new(),
            lease: 0,
        };
        for (index, answer) in client.txn(both).await?.op_responses().into_iter().enumerate() {
            let TxnOpResponse::Get(answer) = answer else { continue };
            for kv in answer.kvs() {
                if index == 0 {
                    look.seen.revision = kv.mod_revision();
                    match Semaphore::parse(kv.value()) {
                        Ok(semaphore) => look.seen.semaphore = semaphore,
                        Err(error) => return Ok(Err(Reason::new(format!("{}: {error}", self.group.semaphore())))),
                    }
                    continue;
                }
                let key = String::from_utf8_lossy(kv.key());
                let Some(id) = key.strip_prefix(&holding) else { continue };
                if id == self.id {
                    look.lease = kv.lease();
                }
                if let Ok(note) = serde_json::from_slice::<Note>(kv.value()) {
                    look.names.insert(id.to_owned(), note.machine);
                }
                look.seen.alive.insert(id.to_owned());
            }
        }
        Ok(Ok(look))
    }

    /// Makes `change`, and `with` it another, unless something is not as it was seen.
    async fn commit(&self, client: &mut Client, seen: &Seen, change: &Change, with: TxnOp) -> Result<bool, Error> {
        let key = self.group.semaphore();
        let mut unless = vec![Compare::mod_revision(key.as_str(), CompareOp::Equal, seen.revision)];
        unless.extend(change.dropped.iter().map(|id| Compare::create_revision(self.holding(id), CompareOp::Equal, 0)));
        let txn = Txn::new().when(unless).and_then([TxnOp::put(key, change.becomes.to_json(), None), with]);
        Ok(client.txn(txn).await?.succeeded())
    }

    async fn renew(&self, client: &mut Client, lease: i64) -> Result<bool, Error> {
        let (mut keeper, mut answers) = client.lease_keep_alive(lease).await?;
        keeper.keep_alive().await?;
        Ok(answers.message().await?.is_some_and(|answer| answer.ttl() > 0))
    }
}

/// What one look shows.
struct Look {
    seen: Seen,
    /// Names of the holders, by id.
    names: BTreeMap<String, String>,
    /// The lease of this machine's own key.
    lease: i64,
}

/// Who has a turn and who waits, in one group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct GroupState {
    /// The group.
    pub group: Group,
    /// How many may reboot at the same time.
    pub max: u32,
    /// Who may now.
    pub holders: Vec<Holder>,
    /// Who would like to.
    pub waiting: Vec<Waiter>,
}

/// A machine whose turn it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Holder {
    /// Id of the machine.
    pub id: String,
    /// Its short name, while it is known.
    pub machine: Option<String>,
    /// Since when, in seconds since 1970.
    pub since: Option<u64>,
    /// Its lease is over: the next machine that wants the lock gets its place.
    pub dead: bool,
}

/// A machine that waits for its turn.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Waiter {
    /// Id of the machine.
    pub id: String,
    /// Its short name.
    pub machine: String,
    /// Since when, in seconds since 1970.
    pub since: u64,
    /// Why.
    pub reason: String,
}

/// Every group that has a semaphore or machines that wait, by name.
///
/// # Errors
/// etcd does not answer, or a semaphore makes no sense.
pub async fn overview(access: &Access) -> Result<Vec<GroupState>, Reason> {
    let all = async {
        let mut client = connect(access).await?;
        let (semaphores, _) = cluster_store::watch::list(&mut client, group::semaphores()).await?;
        let (notes, _) = cluster_store::watch::list(&mut client, &format!("{}turns/", cluster_store::PREFIX)).await?;
        Ok((semaphores, notes))
    };
    let (semaphores, notes) = within(all).await.map_err(|error| failed(&error))?;
    picture(&semaphores, &notes)
}

fn picture(semaphores: &BTreeMap<String, String>, notes: &BTreeMap<String, String>) -> Result<Vec<GroupState>, Reason> {
    let mut groups: BTreeMap<Group, GroupState> = BTreeMap::new();
    let empty = |group: &Group| GroupState { group: group.clone(), max: 1, holders: Vec::new(), waiting: Vec::new() };
    for (key, json) in semaphores {
        let Some(group) = Group::of_semaphore(key) else { continue };
        let semaphore = Semaphore::parse(json.as_bytes()).map_err(|error| Reason::new(format!("{key}: {error}")))?;
        let holder = |id: String| {
            let note = notes.get(&format!("{}{id}", group.holding()));
            let known = note.and_then(|json| serde_json::from_str::<Note>(json).ok());
            Holder {
                machine: known.as_ref().map(|note| note.machine.clone()),
                since: known.map(|note| note.since),
                dead: note.is_none(),
                id,
            }
        };
        let holders = semaphore.holders.into_iter().map(holder).collect();
        groups.insert(group.clone(), GroupState { max: semaphore.max, holders, ..empty(&group) });
    }
    for (key, json) in notes {
        let Some(rest) = key.strip_prefix(&format!("{}turns/waiting/", cluster_store::PREFIX)) else { continue };
        let Some((name, id)) = rest.split_once('/') else { continue };
        let (Ok(group), Ok(note)) = (Group::new(name), serde_json::from_str::<Note>(json)) else { continue };
        let waiter = Waiter { id: id.to_owned(), machine: note.machine, since: note.since, reason: note.reason.unwrap_or_default() };
        groups.entry(group.clone()).or_insert_with(|| empty(&group)).waiting.push(waiter);
    }
    Ok(groups.into_values().collect())
}

/// Says, or no longer says, that this machine waits.
pub(crate) async fn announce(
    access: &Access,
    group: &Group,
    id: &str,
    name: &str,
    why: Option<(&Reason, u64)>,
    secs: i64,
) -> Result<(), Reason> {
    let key = format!("{}{id}", group.waiting());
    let announcement = async {
        let mut client = connect(access).await?;
        let Some((reason, since)) = why else { return client.delete(key, None).await.map(drop) };
        let note = Note { machine: name.to_owned(), since, reason: Some(reason.to_string()) };
        put_leased(&mut client, &key, &json(&note), secs).await
    };
    within(announcement).await.map_err(|error| failed(&error))
}

/// Writes a key that goes away by itself after `secs` seconds.
pub(crate) async fn put_leased(client: &mut Client, key: &str, value: &str, secs: i64) -> Result<(), Error> {
    let lease = client.lease_grant(secs, None).await?.id();
    client.put(key, value, Some(PutOptions::new().with_lease(lease))).await.map(drop)
}

/// Seconds since 1970, for people.
#[allow(clippy::disallowed_methods, reason = "since when a machine has its turn, or waits, is told to people; nothing is decided by it")]
pub(crate) fn seconds_now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

fn json(note: &Note) -> String {
    serde_json::to_string(note).unwrap_or_default()
}

pub(crate) async fn connect(access: &Access) -> Result<Client, Error> {
    access.connect().await.map_err(|error| Error::IoError(std::io::Error::other(error.to_string())))
}

/// `work`, but no longer than [`PATIENCE`].
pub(crate) async fn within<T>(work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    let late = || Error::IoError(std::io::Error::new(std::io::ErrorKind::TimedOut, format!("no answer within {} s", PATIENCE.as_secs())));
    tokio::time::timeout(PATIENCE, work).await.unwrap_or_else(|_| Err(late()))
}

/// What etcd's client says, as a person needs it.
pub(crate) fn failed(error: &Error) -> Reason {
    let text = match error {
        Error::GRpcStatus(status) => status.message().to_owned(),
        other => other.to_string(),
    };
    Reason::new(format!("etcd cannot be asked, perhaps it has no quorum: {text}"))
}

#[allow(clippy::needless_pass_by_value, reason = "for map_err")]
fn unreachable(error: Error) -> Refusal {
    Refusal::new(Kind::Unreachable, format!("nobody reboots while {}", failed(&error)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_picture_shows_who_has_a_turn_who_is_dead_and_who_waits() {
        let pairs = |list: &[(&str, &str)]| list.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let semaphores = pairs(&[
            ("coreos.com/updateengine/rebootlock/semaphore", r#"{"semaphore":0,"max":2,"holders":["a","b"]}"#),
            ("coreos.com/updateengine/rebootlock/other", "x"),
        ]);
        let notes = pairs(&[
            ("slipway/turns/holding/default/a", r#"{"machine":"n1","since":5}"#),
            ("slipway/turns/waiting/default/c", r#"{"machine":"n3","since":6,"reason":"n1 has it"}"#),
            ("slipway/turns/waiting/web/d", r#"{"machine":"n4","since":7,"reason":"etcd"}"#),
            ("slipway/turns/waiting/web/e", "no note"),
        ]);
        let groups = picture(&semaphores, &notes).unwrap();
        let names: Vec<&str> = groups.iter().map(|group| group.group.name()).collect();
        assert_eq!(names, ["default", "web"]);
        let holders: Vec<_> = groups[0].holders.iter().map(|holder| (holder.id.as_str(), holder.machine.as_deref(), holder.dead)).collect();
        assert_eq!(holders, [("a", Some("n1"), false), ("b", None, true)]);
        assert_eq!(groups[0].waiting[0].reason, "n1 has it");
        assert_eq!((groups[1].waiting.len(), groups[1].waiting[0].machine.as_str()), (1, "n4"));
        let broken = pairs(&[("coreos.com/updateengine/rebootlock/semaphore", "x")]);
        assert!(picture(&broken, &notes).is_err());
    }
}
