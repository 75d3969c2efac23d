//! Looks, decides, does one thing, and begins again. It can be killed at any moment: what it does next depends only on what it sees.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use cluster_store::{Access, Report, Tls};
use etcd_client::{Client, MemberAddOptions};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::decide::{Step, decide};
use super::forward::Forwarder;
use super::init::Init;
use super::launch::{Joining, Launch};
use super::lock::Lock;
use super::members::Lookout;
use super::memory::{Memory, write_whole};
use super::neighbour::{self, Fresh};
use super::rendezvous::Rendezvous;
use super::seen::{Live, Neighbour, Roster, Seat, Seen};
use crate::config::{Config, Role};
use crate::ground::Ground;
use crate::snapshot;
use crate::tls::{self, Files};

/// While all is well, looks are so many times rarer.
const CALM: u32 = 5;
/// Once all seats are taken, the discovery service is asked only so often, in looks.
const ASK_EVERY: u32 = 16;
/// How long taking a snapshot before a change may take.
const SNAPSHOT_PATIENCE: Duration = Duration::from_secs(600);

/// The steps of a change at which a test may let the machine die.
pub const DEATHS: [&str; 4] = ["before etcd starts", "after etcd starts", "after a member is removed", "after a member is added"];

/// Keeps etcd on this machine.
#[derive(Debug)]
pub struct Engine<I, R> {
    ground: Ground,
    config: Config,
    init: I,
    rendezvous: R,
    report: Report,
    access: watch::Sender<Option<Access>>,
    memory: Memory,
    lookout: Lookout,
    fresh: Option<Fresh>,
    forwarder: Option<Forwarder>,
    roster: Option<Roster>,
    looks: u32,
    /// Where to die, in a test: one of [`DEATHS`].
    pub die_at: Option<&'static str>,
}

impl<I: Init, R: Rendezvous> Engine<I, R> {
    /// Begins with what this machine remembers. The access is told on `access` when etcd can be reached.
    ///
    /// # Errors
    /// What it remembers cannot be read.
    pub fn new(
        ground: Ground,
        config: Config,
        init: I,
        rendezvous: R,
        report: Report,
        access: watch::Sender<Option<Access>>,
    ) -> Result<Self> {
        let memory = Memory::read(&ground.state)?;
        let (lookout, fresh, forwarder, roster) = (Lookout::default(), None, None, None);
        Ok(Self { ground, config, init, rendezvous, report, access, memory, lookout, fresh, forwarder, roster, looks: 0, die_at: None })
    }

    /// Goes on for ever.
    pub async fn run(mut self) -> Infallible {
        loop {
            let pause = match self.tick().await {
                Ok(Step::Member(_) | Step::Client(_)) => self.ground.pace * CALM,
                Ok(_) => self.ground.pace,
                Err(error) => {
                    self.report.say("failed", format!("{error:#}; it is tried again"));
                    self.ground.pace * CALM
                }
            };
            tokio::time::sleep(pause).await;
        }
    }

    /// Looks, decides and does one thing; says which.
    ///
    /// # Errors
    /// It could not be done; the next call tries again.
    pub async fn tick(&mut self) -> Result<Step> {
        let files = tls::prepare(&self.config.etcd, &self.ground, jiff::Timestamp::now())?;
        let (seen, client) = self.look(files.as_ref()).await?;
        let step = decide(&seen);
        tracing::debug!(?step, "decided");
        self.act(&step, &seen, client, files.as_ref()).await?;
        Ok(step)
    }

    async fn look(&mut self, files: Option<&Files>) -> Result<(Seen, Option<Client>)> {
        let certificates = files.map(Tls::from);
        let data = has_data(&self.ground.data);
        let running = self.init.running().await?;
        let seat = self.ground.seat(files.is_some());
        let mut answered = self.ask_members(running.is_some(), files).await;
        let (mut roster, mut neighbours) = (Err("not asked".to_owned()), BTreeMap::new());
        if answered.is_none() && !data && self.memory.members.is_empty() {
            // From the second time on its members have been asked above.
            let first = self.roster.is_none();
            roster = self.ask_roster(&seat).await;
            if let Ok(roster) = &roster {
                self.memory.size = Some(roster.size);
                if first {
                    answered = self.ask_members(running.is_some(), files).await;
                }
                if answered.is_none() && roster.seats.len() == roster.size {
                    neighbours = ask_all(roster, &seat, files).await?;
                }
            }
        }
        let (client, live) = answered.map_or((None, None), |(client, live)| (Some(client), Some(live)));
        let mut remembered = BTreeMap::new();
        if live.is_none() {
            for known in &self.memory.members {
                let answers = match known.client_urls.first() {
                    Some(url) => self.lookout.answers(url, certificates.as_ref()).await,
                    None => false,
                };
                remembered.insert(known.name.clone(), answers);
            }
        }
        self.learn(live.as_ref(), data && running.is_some(), &seat)?;
        let seen = Seen {
            me: seat,
            role: self.config.etcd.role,
            data,
            running,
            was: self.memory.was(),
            size: self.memory.size,
            live,
            remembered,
            roster,
            neighbours,
            replace_after: self.config.etcd.replace_after,
        };
        Ok((seen, client))
    }

    async fn ask_members(&mut self, running: bool, files: Option<&Files>) -> Option<(Client, Live)> {
        let endpoints = self.endpoints(running, files);
        self.lookout.look(&endpoints, files.map(Tls::from).as_ref(), &self.ground.machine_id).await
    }

    /// Where members may be asked: here, where they were, where they were to be.
    fn endpoints(&self, running: bool, files: Option<&Files>) -> BTreeSet<String> {
        let mut endpoints = BTreeSet::new();
        if running {
            endpoints.insert(self.ground.local_url(files.is_some()));
        }
        endpoints.extend(self.memory.members.iter().flat_map(|known| known.client_urls.clone()));
        if endpoints.is_empty()
            && let Some(roster) = &self.roster
        {
            endpoints.extend(roster.seats.iter().filter_map(|seat| self.ground.client_url(&seat.peer_url)));
        }
        endpoints
    }

    async fn ask_roster(&mut self, seat: &Seat) -> Result<Roster, String> {
        let complete = self.roster.as_ref().is_some_and(|roster| roster.seats.len() == roster.size);
        self.looks = self.looks.wrapping_add(1);
        if let (true, false, Some(roster)) = (complete, self.looks.is_multiple_of(ASK_EVERY), &self.roster) {
            return Ok(roster.clone());
        }
        let me = (self.config.etcd.role == Role::Auto).then_some(seat);
        let asked = self.rendezvous.look(me).await.map_err(|error| format!("{error:#}"));
        if let Ok(roster) = &asked {
            self.roster = Some(roster.clone());
        }
        asked
    }

    /// Remembers who the members are, and which of them is this machine while its etcd runs.
    fn learn(&mut self, live: Option<&Live>, member: bool, seat: &Seat) -> Result<()> {
        let Some(live) = live else { return Ok(()) };
        let before = self.memory.clone();
        let own = live.members.iter().find(|own| member && own.peer_urls.contains(&seat.peer_url)).map(|own| own.id);
        let same = self.memory.cluster.is_none_or(|cluster| cluster == live.cluster);
        if let (Some(own), None) = (own, self.memory.member) {
            self.memory.member = Some(own);
        }
        // What another cluster says does not change who we are.
        if same || self.memory.member.is_none() {
            self.memory.learn(live);
        }
        if self.memory == before { Ok(()) } else { self.memory.write(&self.ground.state) }
    }

    async fn act(&mut self, step: &Step, seen: &Seen, client: Option<Client>, files: Option<&Files>) -> Result<()> {
        if !matches!(step, Step::Wait { .. }) {
            self.fresh = None;
        }
        match (step, &seen.live, client) {
            (Step::Start, ..) => {
                self.report.say("starting", "etcd is started with the data that is here");
                self.start(files, &seen.me, &Joining::Stored).await
            }
            (Step::Found(seats), ..) => {
                self.report.say("starting", format!("all {} machines are there; the cluster is founded", seats.len()));
                self.start(files, &seen.me, &Joining::New(seats.clone())).await
            }
            (Step::Join, Some(live), _) => {
                self.report.say("joining", "etcd is started as a member that follows");
                self.start(files, &seen.me, &Joining::Existing(seats(live, &seen.me))).await
            }
            (Step::TakeSeat { remove, why }, Some(_), Some(client)) => self.take_seat(*remove, why, seen, client, files).await,
            (Step::Promote(id), Some(_), Some(client)) => self.promote(*id, client).await,
            (Step::Drop { learner, why }, Some(_), Some(client)) => self.drop_learner(*learner, why, client).await,
            (Step::Retire, ..) => self.retire().await,
            (Step::Member(reason), ..) => {
                self.report.say("member", reason);
                self.forwarder = None;
                self.tell_access(files)
            }
            (Step::Client(reason), ..) => {
                self.report.say("client", reason);
                self.forward(files).await
            }
            (Step::Wait { state, reason }, ..) => self.wait(state, reason, seen, files).await,
            (Step::Join | Step::TakeSeat { .. } | Step::Promote(_) | Step::Drop { .. }, ..) => {
                bail!("{step:?} without a quorum: this is a mistake in the agent, and nothing was done")
            }
        }
    }

    async fn wait(&mut self, state: &str, reason: &str, seen: &Seen, files: Option<&Files>) -> Result<()> {
        self.report.say(state, reason);
        if seen.data || seen.running.is_some() {
            return Ok(());
        }
        if !self.memory.members.is_empty() {
            // A client whose members are away: they may come back.
            return self.forward(files).await;
        }
        let wants = self.config.etcd.role == Role::Auto;
        if wants && self.fresh.is_none() {
            let address = SocketAddr::new(self.ground.address, self.ground.peer_port);
            self.fresh = Some(Fresh::listen(address).await?);
        }
        Ok(())
    }

    async fn start(&mut self, files: Option<&Files>, me: &Seat, joining: &Joining) -> Result<()> {
        self.fresh = None;
        self.forwarder = None;
        self.access.send_replace(None);
        if *joining != Joining::Stored {
            clear_unfinished(&self.ground.data)?;
            self.memory.member = None;
            self.memory.write(&self.ground.state)?;
        }
        self.die("before etcd starts")?;
        let ground = Ground { name: me.name.clone(), ..self.ground.clone() };
        self.init.start(&Launch::new(&ground, files, joining)).await?;
        self.die("after etcd starts")
    }

    /// Takes a seat: lock, look again, snapshot, take the old member out, add ourselves.
    async fn take_seat(&mut self, remove: Option<u64>, why: &str, seen: &Seen, client: Client, files: Option<&Files>) -> Result<()> {
        self.report.say("joining", format!("{why}; this machine takes the seat"));
        let lock = match Lock::take(&client, &self.ground.name).await? {
            Ok(lock) => lock,
            Err(holder) => {
                self.report.say("waiting", format!("{why}; {holder} is changing the members"));
                return Ok(());
            }
        };
        let done = tokio::select! {
            done = self.take_seat_locked(remove, seen, client, files, &lock) => done,
            lost = lock.keep() => Err(lost),
        };
        // Without this the next change waits until the lock expires, no more.
        if let Err(error) = lock.give_back().await {
            tracing::warn!(%error, "giving back the lock around changes of the members");
        }
        done
    }

    async fn take_seat_locked(
        &mut self,
        remove: Option<u64>,
        seen: &Seen,
        mut client: Client,
        files: Option<&Files>,
        lock: &Lock,
    ) -> Result<()> {
        let prepared = tokio::time::timeout(SNAPSHOT_PATIENCE, async {
            let folder = &self.config.snapshot.directory;
            snapshot::take(client.clone(), folder, jiff::Timestamp::now(), &self.ground.etcdutl).await
        });
        let file = prepared.await.context("the snapshot before a change of the members took too long")??;
        tracing::info!(file = %file.display(), "took a snapshot before the members change");
        // The world may have changed while we waited for the lock and the snapshot.
        let again = self.ask_members(false, files).await;
        let (again, live) = again.map_or((None, None), |(client, live)| (Some(client), Some(live)));
        let now = Seen { live, ..seen.clone() };
        if !matches!(decide(&now), Step::TakeSeat { remove: wanted, .. } if wanted == remove) {
            tracing::info!("the members changed in the meantime; nothing is done");
            return Ok(());
        }
        if let Some(again) = again {
            client = again;
        }
        lock.check().await?;
        if let Some(id) = remove {
            client.member_remove(id).await.with_context(|| format!("taking member {id:x} out"))?;
            tracing::info!(member = format!("{id:x}"), "took a member out");
            self.die("after a member is removed")?;
        }
        lock.check().await?;
        self.memory.member = None;
        self.memory.write(&self.ground.state)?;
        let learner = Some(MemberAddOptions::new().with_is_learner());
        client.member_add([seen.me.peer_url.as_str()], learner).await.context("adding this machine as a member that follows")?;
        self.die("after a member is added")
    }

    async fn promote(&mut self, id: u64, mut client: Client) -> Result<()> {
        match client.member_promote(id).await {
            Ok(_) => self.report.say("joining", "this machine votes now"),
            // "can only promote a learner member which is in sync with leader": it comes with time.
            Err(error) => self.report.say("joining", format!("this machine follows and does not vote yet ({error})")),
        }
        Ok(())
    }

    async fn drop_learner(&mut self, id: u64, why: &str, mut client: Client) -> Result<()> {
        let Ok(lock) = Lock::take(&client, &self.ground.name).await? else { return Ok(()) };
        tracing::warn!(why, "taking out a member that does not vote");
        let done = match lock.check().await {
            Ok(()) => client.member_remove(id).await.map(drop).with_context(|| format!("taking member {id:x} out")),
            Err(error) => Err(error),
        };
        lock.give_back().await?;
        done
    }

    async fn retire(&mut self) -> Result<()> {
        self.report.say("joining", "the cluster took this member out while it was away; its old data is put aside");
        self.init.stop().await?;
        put_aside(&self.ground.data, "removed")?;
        self.memory.member = None;
        self.memory.write(&self.ground.state)
    }

    async fn forward(&mut self, files: Option<&Files>) -> Result<()> {
        let targets = self.targets();
        match &self.forwarder {
            Some(forwarder) => forwarder.retarget(targets),
            None => self.forwarder = Some(Forwarder::listen(self.ground.local, targets).await?),
        }
        self.tell_access(files)
    }

    fn targets(&self) -> Vec<String> {
        let urls = self.memory.members.iter().flat_map(|known| &known.client_urls);
        let target = |url: &String| {
            let url = url::Url::parse(url).ok()?;
            Some(format!("{}:{}", url.host_str()?, url.port_or_known_default()?))
        };
        urls.filter_map(target).collect()
    }

    fn tell_access(&mut self, files: Option<&Files>) -> Result<()> {
        let endpoint = self.ground.local_url(files.is_some());
        let access = Some(Access { endpoints: vec![endpoint], tls: files.map(Tls::from) });
        if *self.access.borrow() != access {
            let text = toml::to_string(&access)?;
            write_whole(&self.ground.run.join("access.toml"), text.as_bytes(), 0o644)?;
            self.access.send_replace(access);
        }
        Ok(())
    }

    fn die(&self, at: &'static str) -> Result<()> {
        if self.die_at == Some(at) { bail!("died {at}") } else { Ok(()) }
    }
}

/// Names and addresses of all members, ours with our name: while it has never run, the cluster does not know it.
fn seats(live: &Live, me: &Seat) -> Vec<Seat> {
    let seat = |member: &super::seen::Member| {
        let own = member.peer_urls.contains(&me.peer_url);
        let name = match (own, member.name.is_empty()) {
            (true, _) => me.name.clone(),
            (false, true) => format!("{:x}", member.id),
            (false, false) => member.name.clone(),
        };
        member.peer_urls.iter().map(move |peer_url| Seat { name: name.clone(), peer_url: peer_url.clone() }).collect::<Vec<_>>()
    };
    live.members.iter().flat_map(seat).collect()
}

async fn ask_all(roster: &Roster, me: &Seat, files: Option<&Files>) -> Result<BTreeMap<String, Neighbour>> {
    let client = neighbour::client(files).context("a client that asks the other machines")?;
    let mut asked = JoinSet::new();
    for seat in roster.seats.iter().filter(|seat| *seat != me) {
        let (seat, me, client) = (seat.clone(), me.clone(), client.clone());
        asked.spawn(async move {
            let said = neighbour::ask(&seat, &me, &client).await;
            (seat.peer_url, said)
        });
    }
    Ok(asked.join_all().await.into_iter().collect())
}

/// Whether etcd's log is on the disk. etcd makes its folder with one rename, and votes only with it.
#[must_use]
pub fn has_data(data: &Path) -> bool {
    let mut entries = std::fs::read_dir(data.join("member/wal")).into_iter().flatten().flatten();
    entries.any(|entry| entry.path().extension().is_some_and(|extension| extension == "wal"))
}

/// Puts aside what a first start left that was killed before there was a log: etcd would stumble over it.
fn clear_unfinished(data: &Path) -> Result<()> {
    if has_data(data) || !data.join("member").exists() { Ok(()) } else { put_aside(data, "unfinished") }
}

/// Renames etcd's data to `NAME.why`, in place of an older one of that name.
///
/// # Errors
/// It cannot be renamed.
pub fn put_aside(data: &Path, why: &str) -> Result<()> {
    let mut aside = data.as_os_str().to_owned();
    aside.push(format!(".{why}"));
    let aside = std::path::PathBuf::from(aside);
    if !data.exists() {
        return Ok(());
    }
    if aside.exists() {
        std::fs::remove_dir_all(&aside).with_context(|| format!("removing {}", aside.display()))?;
    }
    std::fs::rename(data, &aside).with_context(|| format!("putting {} aside as {}", data.display(), aside.display()))
}
