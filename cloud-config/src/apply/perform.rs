//! One effect, carried out or tried.

use super::accounts::{AccountError, Accounts};
use super::command::Commands;
use super::fetch::{Fetch, FetchError, checked};
use super::import;
use super::install::{self, InstallError};
use super::root::{FsError, Ids, Owners};
use super::state::Placed;
use super::systemd::{Systemd, SystemdError};
use super::text;
use super::tree::{Change, Spot, Tree};
use crate::plan::content::{Content, Sha256Sum};
use crate::plan::effect::{Action, AuthorizedKey, JobKind, NewUser, Owner, Persistence};
use crate::plan::path::{HostPath, PathError};

/// Files that anybody may read.
const PUBLIC: u32 = 0o644;
/// Tables with password hashes.
const SHADOW: u32 = 0o640;
/// A home directory, and the folder of keys in it.
const PRIVATE_DIR: u32 = 0o700;
/// A file of keys.
const PRIVATE: u32 = 0o600;
const ROOT: Ids = Ids { uid: 0, gid: 0 };

/// Why an effect could not be carried out.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StepError {
    /// A file.
    #[error(transparent)]
    Fs(#[from] FsError),
    /// A path.
    #[error(transparent)]
    Path(#[from] PathError),
    /// The account tables.
    #[error(transparent)]
    Account(#[from] AccountError),
    /// A file from an address.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// A unit that cannot be enabled.
    #[error(transparent)]
    Install(#[from] InstallError),
    /// systemd.
    #[error(transparent)]
    Systemd(#[from] SystemdError),
    /// A program of the configuration.
    #[error("{name} {problem}")]
    Command {
        /// Which one.
        name: String,
        /// What became of it.
        problem: String,
    },
    /// A time zone nobody knows.
    #[error("there is no time zone {0} on this host")]
    Timezone(String),
    /// Another program holds the account tables.
    #[error("the account tables are locked by another program")]
    Locked,
}

/// What became of an effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Files were, or would be, like this now.
    Change(Change),
    /// systemd has the job.
    Queued,
    /// It ran, or systemd did as asked.
    Ran,
    /// It was not needed here.
    Skipped(&'static str),
    /// It could not be done, and the rest can do without it.
    Unavailable(String),
}

/// What an effect may need besides files.
pub(super) struct Outside<'a, 's> {
    pub(super) systemd: Option<&'a mut (dyn Systemd + 's)>,
    pub(super) commands: Option<&'a dyn Commands>,
    pub(super) fetch: Option<&'a dyn Fetch>,
}

/// What a step did besides changing files.
#[derive(Debug, Default)]
pub(super) struct Traces {
    /// Jobs that were queued, and whether the unit was active before.
    pub(super) jobs: Vec<(String, bool)>,
    /// The name the kernel had.
    pub(super) hostname: Option<String>,
    /// Whether systemd knows units that may be taken back.
    pub(super) reloaded: bool,
    /// A file of systemd changed since it last read them.
    pub(super) stale: bool,
    /// Paths that this run changed.
    pub(super) changed: Vec<HostPath>,
    /// What this run put in place.
    pub(super) placed: Vec<(String, Placed)>,
}

/// Files below these folders make systemd read its units again.
const SYSTEMD_FOLDERS: [&str; 3] = ["/etc/systemd/system/", "/run/systemd/system/", "/etc/systemd/system.conf.d/"];

pub(super) fn perform(action: &Action, tree: &mut Tree, outside: &mut Outside<'_, '_>, traces: &mut Traces) -> Result<Outcome, StepError> {
    let mut step = Step { tree, traces };
    match action {
        Action::Hostname { name } => step.hostname(name, outside),
        Action::Timezone { zone } => step.timezone(zone),
        Action::Group { name, gid, system, members } => step.accounts(|tables| tables.ensure_group(name, *gid, *system, members)),
        Action::User(user) => step.user(user),
        Action::Password { user, hash } => step.accounts(|tables| tables.set_password(user, hash.reveal())),
        Action::SshKeys { user, set, keys } => step.keys(user, set, keys),
        Action::ImportKeys { user, set, url } => step.import(user, set, url, outside),
        Action::Directory { path, mode, owner } => {
            let owner = step.ids(owner)?;
            Ok(Outcome::Change(step.tree.put_dir(path, mode.0, owner)?))
        }
        Action::File { path, mode, owner, content } => {
            let owner = step.ids(owner)?;
            step.file(path, mode.0, owner, content, outside)
        }
        Action::Append { path, mode, owner, content } => {
            let owner = step.ids(owner)?;
            step.append(path, mode.0, owner, content, outside)
        }
        Action::Assignments { path, base, values } => step.assignments(path, base.as_ref(), values),
        Action::Symlink { path, target } => step.link(path, target),
        Action::CaBundle => step.ca_bundle(),
        Action::Mask { unit, persistence } => {
            let path = unit_folder(*persistence)?.join(unit)?;
            step.link(&path, "/dev/null")
        }
        Action::Unmask { unit } => step.unmask(unit),
        Action::Enable { unit, persistence } => step.enable(unit, *persistence),
        Action::DaemonReload => step.reload(outside),
        Action::Job { unit, job, when_changed } => step.job(unit, *job, when_changed, outside),
        Action::Run { name, path } => step.run(name, path, outside),
        Action::Unavailable { unit, wanted } => Ok(Outcome::Unavailable(format!("the image has no {unit}; not done: {wanted}"))),
    }
}

struct Step<'a> {
    tree: &'a mut Tree,
    traces: &'a mut Traces,
}

impl Step<'_> {
    fn hostname(&mut self, name: &str, outside: &mut Outside<'_, '_>) -> Result<Outcome, StepError> {
        let change = self.put(&HostPath::new("/etc/hostname")?, PUBLIC, ROOT, format!("{name}\n").as_bytes())?;
        if let Some(systemd) = outside.systemd.as_deref_mut() {
            let before = systemd.hostname();
            if before != name {
                systemd.set_hostname(name)?;
                self.traces.hostname = Some(before);
                return Ok(Outcome::Change(change.max(Change::Changed)));
            }
        }
        Ok(Outcome::Change(change))
    }

    fn timezone(&mut self, zone: &str) -> Result<Outcome, StepError> {
        let known = HostPath::new("/usr/share/zoneinfo")?;
        let file = HostPath::new(&format!("/usr/share/zoneinfo/{zone}"))?;
        if self.tree.exists(&known)? && !self.tree.exists(&file)? {
            return Err(StepError::Timezone(zone.to_owned()));
        }
        self.link(&HostPath::new("/etc/localtime")?, &format!("../usr/share/zoneinfo/{zone}"))
    }

    fn user(&mut self, user: &NewUser) -> Result<Outcome, StepError> {
        if self.tables()?.user(&user.name).is_some() {
            return Ok(Outcome::Skipped("the account exists"));
        }
        let outcome = self.accounts(|tables| tables.add_user(user).map(drop))?;
        if user.create_home
            && !self.tree.exists(&user.home)?
            && let Some(made) = self.tables()?.user(&user.name)
        {
            self.tree.put_dir(&user.home, PRIVATE_DIR, Ids { uid: made.uid, gid: made.gid })?;
        }
        Ok(outcome)
    }

    fn keys(&mut self, name: &str, set: &str, keys: &[AuthorizedKey]) -> Result<Outcome, StepError> {
        let Some(user) = self.tables()?.user(name) else {
            return Ok(Outcome::Unavailable(format!("there is no user {name}; no keys were placed")));
        };
        let Ok(home) = HostPath::new(&user.home) else {
            return Ok(Outcome::Unavailable(format!("{name} has no home directory; no keys were placed")));
        };
        let ids = Ids { uid: user.uid, gid: user.gid };
        if !self.tree.exists(&home)? {
            self.tree.put_dir(&home, PRIVATE_DIR, ids)?;
        }
        // What is in a home directory is up to its owner. If it cannot be used, that is the owner's matter and stops nobody else's.
        match self.keys_in(&home, ids, set, keys) {
            Err(
                error @ (FsError::NotDirectory(_)
                | FsError::IsDirectory(_)
                | FsError::Special(_)
                | FsError::TooLarge(_)
                | FsError::Links(_)),
            ) => Ok(Outcome::Unavailable(format!("keys of {name}: {error}"))),
            Err(error) => Err(error.into()),
            Ok(change) => Ok(Outcome::Change(change)),
        }
    }

    /// A site that does not answer is no reason to take anything back: this host would depend on it.
    fn import(&mut self, name: &str, set: &str, url: &str, outside: &Outside<'_, '_>) -> Result<Outcome, StepError> {
        if self.tree.only_looks() {
            return Ok(Outcome::Skipped("fetched when it is applied"));
        }
        if self.tables()?.user(name).is_none() {
            return self.keys(name, set, &[]);
        }
        match import::fetch(outside.fetch, url) {
            Ok(keys) => self.keys(name, set, &keys),
            Err(why) => {
                Ok(Outcome::Unavailable(format!("keys of {name} were not fetched from {url}: {why}; the set {set} stays as it is")))
            }
        }
    }

    fn keys_in(&mut self, home: &HostPath, ids: Ids, set: &str, keys: &[AuthorizedKey]) -> Result<Change, FsError> {
        let named = |path: &str| Spot::in_home(home, &HostPath::new(path).expect("a constant path is well formed"));
        let (folder, file) = (named("/.ssh"), named("/.ssh/authorized_keys"));
        if !self.tree.spot_exists(&folder)? {
            self.tree.put_dir(folder, PRIVATE_DIR, ids)?;
        }
        let before = self.tree.read_spot(&file)?;
        let before = String::from_utf8_lossy(before.as_deref().unwrap_or_default()).into_owned();
        let keys: Vec<&str> = keys.iter().map(|key| key.0.trim()).collect();
        let after = text::authorized_keys(&before, set, &keys);
        if after == before { Ok(Change::Same) } else { self.tree.put_file(file, PRIVATE, ids, after.as_bytes()) }
    }

    fn file(&mut self, path: &HostPath, mode: u32, owner: Ids, content: &Content, outside: &Outside<'_, '_>) -> Result<Outcome, StepError> {
        let existed = self.tree.exists(path)?;
        let bytes = match content {
            Content::Inline { bytes, .. } => bytes.to_vec(),
            Content::Remote { url, sha256 } => {
                let here = self.tree.read(path)?.filter(|bytes| sha256.is_some_and(|wanted| wanted == Sha256Sum::of(bytes)));
                match here {
                    Some(bytes) => bytes,
                    None if self.tree.only_looks() => {
                        return Ok(Outcome::Change(if existed { Change::Changed } else { Change::Created }));
                    }
                    None => checked(outside.fetch, url, *sha256)?,
                }
            }
        };
        let change = self.put(path, mode, owner, &bytes)?;
        let placed = Placed { is: Sha256Sum::of(&bytes).to_string(), replaced: existed };
        self.traces.placed.push((path.to_string(), placed));
        Ok(Outcome::Change(change))
    }

    fn append(
        &mut self,
        path: &HostPath,
        mode: u32,
        owner: Ids,
        content: &Content,
        outside: &Outside<'_, '_>,
    ) -> Result<Outcome, StepError> {
        let addition = match content {
            Content::Inline { bytes, .. } => bytes.to_vec(),
            Content::Remote { .. } if self.tree.only_looks() => return Ok(Outcome::Change(Change::Changed)),
            Content::Remote { url, sha256 } => checked(outside.fetch, url, *sha256)?,
        };
        let (mode, owner) = self.tree.meta(path)?.map_or((mode, owner), |meta| (meta.mode, meta.ids));
        let before = self.tree.read(path)?;
        let after = text::append(before.as_deref().unwrap_or_default(), &addition);
        if before.is_some_and(|before| before == after) {
            return Ok(Outcome::Change(Change::Same));
        }
        Ok(Outcome::Change(self.put(path, mode, owner, &after)?))
    }

    fn assignments(&mut self, path: &HostPath, base: Option<&HostPath>, values: &[(String, String)]) -> Result<Outcome, StepError> {
        let own = self.tree.read_text(path)?;
        let before = match (&own, base) {
            (None, Some(base)) => self.tree.read_text(base)?.unwrap_or_default(),
            (own, _) => own.clone().unwrap_or_default(),
        };
        let (mode, owner) = self.tree.meta(path)?.map_or((PUBLIC, ROOT), |meta| (meta.mode, meta.ids));
        let after = text::assign(&before, values);
        if own.as_ref() == Some(&after) {
            return Ok(Outcome::Change(Change::Same));
        }
        Ok(Outcome::Change(self.put(path, mode, owner, after.as_bytes())?))
    }

    fn ca_bundle(&mut self) -> Result<Outcome, StepError> {
        let conf = self.tree.read_text(&HostPath::new("/etc/ca-certificates.conf")?)?.unwrap_or_default();
        let mut certificates = Vec::new();
        for name in text::enabled_certificates(&conf) {
            let Ok(path) = HostPath::new(&format!("/usr/share/ca-certificates/{name}")) else { continue };
            certificates.extend(self.tree.read(&path)?);
        }
        let local = HostPath::new("/usr/local/share/ca-certificates")?;
        for name in self.tree.list(&local)?.iter().filter(|name| name.ends_with(".crt")) {
            certificates.extend(self.tree.read(&local.join(name)?)?);
        }
        let bytes = text::bundle(&certificates);
        Ok(Outcome::Change(self.put(&HostPath::new("/etc/ssl/certs/ca-certificates.crt")?, PUBLIC, ROOT, &bytes)?))
    }

    fn unmask(&mut self, unit: &str) -> Result<Outcome, StepError> {
        let path = unit_folder(Persistence::Runtime)?.join(unit)?;
        let is_mask = self.tree.read_link(&path)?.as_deref() == Some("/dev/null");
        let is_empty = self.tree.meta(&path)?.is_some_and(|meta| meta.size == 0 && meta.kind.is_file());
        if !is_mask && !is_empty {
            return Ok(Outcome::Change(Change::Same));
        }
        let change = self.tree.remove(&path)?;
        self.note(&path, change);
        Ok(Outcome::Change(change))
    }

    fn enable(&mut self, unit: &str, persistence: Persistence) -> Result<Outcome, StepError> {
        let mut change = Change::Same;
        let links = match install::links(self.tree, unit, persistence) {
            // Reported, and no reason to take everything else back: systemd does not fail at these either.
            Err(error @ (InstallError::NoUnit(_) | InstallError::NothingToInstall(_))) => {
                return Ok(Outcome::Unavailable(error.to_string()));
            }
            links => links?,
        };
        for (path, target) in links {
            if let Outcome::Change(one) = self.link(&path, &target)? {
                change = change.max(one);
            }
        }
        Ok(Outcome::Change(change))
    }

    fn reload(&mut self, outside: &mut Outside<'_, '_>) -> Result<Outcome, StepError> {
        if !self.traces.stale {
            return Ok(Outcome::Skipped("no unit changed"));
        }
        let Some(systemd) = outside.systemd.as_deref_mut() else { return Ok(Outcome::Skipped(OTHER_ROOT)) };
        // Noted first: a reload that fails half-way has to be done again after the undo as well.
        self.traces.reloaded = true;
        systemd.reload()?;
        self.traces.stale = false;
        Ok(Outcome::Ran)
    }

    fn job(&mut self, unit: &str, job: JobKind, when_changed: &[HostPath], outside: &mut Outside<'_, '_>) -> Result<Outcome, StepError> {
        if !when_changed.is_empty() && !when_changed.iter().any(|path| self.traces.changed.contains(path)) {
            return Ok(Outcome::Skipped("its files did not change"));
        }
        let Some(systemd) = outside.systemd.as_deref_mut() else { return Ok(Outcome::Skipped(OTHER_ROOT)) };
        let was_active = systemd.is_active(unit)?;
        systemd.job(unit, job)?;
        self.traces.jobs.push((unit.to_owned(), was_active));
        Ok(Outcome::Queued)
    }

    fn run(&mut self, name: &str, path: &HostPath, outside: &Outside<'_, '_>) -> Result<Outcome, StepError> {
        let Some(commands) = outside.commands else { return Ok(Outcome::Skipped(OTHER_ROOT)) };
        let program = self.tree.root().path().join(&path.as_str()[1..]);
        commands.run(&program).map_err(|problem| StepError::Command { name: name.to_owned(), problem })?;
        Ok(Outcome::Ran)
    }

    fn put(&mut self, path: &HostPath, mode: u32, owner: Ids, bytes: &[u8]) -> Result<Change, StepError> {
        let change = self.tree.put_file(path, mode, owner, bytes)?;
        self.note(path, change);
        Ok(change)
    }

    fn link(&mut self, path: &HostPath, target: &str) -> Result<Outcome, StepError> {
        let existed = self.tree.exists(path)?;
        let change = self.tree.put_link(path, target)?;
        self.note(path, change);
        self.traces.placed.push((path.to_string(), Placed { is: target.to_owned(), replaced: existed }));
        Ok(Outcome::Change(change))
    }

    fn note(&mut self, path: &HostPath, change: Change) {
        note(self.traces, path, change);
    }

    /// Edits the account tables under their lock.
    fn accounts(&mut self, edit: impl FnOnce(&mut Accounts) -> Result<(), AccountError>) -> Result<Outcome, StepError> {
        let before = self.tables()?;
        let mut after = before.clone();
        edit(&mut after)?;
        if after == before {
            return Ok(Outcome::Change(Change::Same));
        }
        let _lock = if self.tree.only_looks() { None } else { Some(lock(self.tree)?) };
        let mut change = Change::Same;
        for (name, mode, text, old) in [
            ("/etc/group", PUBLIC, &after.group, &before.group),
            ("/etc/gshadow", SHADOW, &after.gshadow, &before.gshadow),
            ("/etc/passwd", PUBLIC, &after.passwd, &before.passwd),
            ("/etc/shadow", SHADOW, &after.shadow, &before.shadow),
        ] {
            if text == old {
                continue;
            }
            let path = HostPath::new(name)?;
            let shadow = Ids { uid: 0, gid: after.group_id("shadow").unwrap_or(0) };
            let default = (mode, if mode == SHADOW { shadow } else { ROOT });
            let (mode, ids) = self.tree.meta(&path)?.map_or(default, |meta| (meta.mode, meta.ids));
            change = change.max(self.tree.put_file(&path, mode, ids, text.as_bytes())?);
        }
        Ok(Outcome::Change(change))
    }

    fn tables(&self) -> Result<Accounts, StepError> {
        let read = |name: &str| Ok::<_, StepError>(self.tree.read_text(&HostPath::new(name)?)?.unwrap_or_default());
        Ok(Accounts {
            passwd: read("/etc/passwd")?,
            shadow: read("/etc/shadow")?,
            group: read("/etc/group")?,
            gshadow: read("/etc/gshadow")?,
            reserved: None,
        })
    }

    fn ids(&self, owner: &Owner) -> Result<Ids, StepError> {
        // Where owners are not set anyway, nobody needs to know them.
        if self.tree.root().owners() == Owners::Keep {
            return Ok(ROOT);
        }
        let read = |name: &str| Ok::<_, StepError>(self.tree.read_text(&HostPath::new(name)?)?.unwrap_or_default());
        let tables = Accounts { passwd: read("/etc/passwd")?, group: read("/etc/group")?, ..Accounts::default() };
        let user = match (owner.user.as_str(), owner.user.parse()) {
            ("root", _) => Ids { uid: 0, gid: 0 },
            (_, Ok(uid)) => Ids { uid, gid: tables.group_of_uid(uid).unwrap_or(0) },
            (name, Err(_)) => {
                let user = tables.user(name).ok_or_else(|| AccountError::NoUser(name.to_owned()))?;
                Ids { uid: user.uid, gid: user.gid }
            }
        };
        let gid = match owner.group.as_deref().map(|group| (group, group.parse())) {
            None => user.gid,
            Some(("root", _)) => 0,
            Some((_, Ok(gid))) => gid,
            Some((name, Err(_))) => tables.group_id(name).ok_or_else(|| AccountError::NoGroup(name.to_owned()))?,
        };
        Ok(Ids { gid, ..user })
    }
}

/// Why nothing was asked of systemd.
const OTHER_ROOT: &str = "this root is not running";

pub(super) fn note(traces: &mut Traces, path: &HostPath, change: Change) {
    if change != Change::Same {
        traces.changed.push(path.clone());
        traces.stale |= SYSTEMD_FOLDERS.iter().any(|folder| path.as_str().starts_with(folder));
    }
}

fn unit_folder(persistence: Persistence) -> Result<HostPath, PathError> {
    HostPath::new(match persistence {
        Persistence::Persistent => "/etc/systemd/system",
        Persistence::Runtime => "/run/systemd/system",
    })
}

/// Takes the lock that `useradd` and its kin take; it is let go when the file is closed.
fn lock(tree: &mut Tree) -> Result<std::os::fd::OwnedFd, StepError> {
    let path = HostPath::new("/etc/.pwd.lock")?;
    if !tree.exists(&path)? {
        tree.put_file(&path, PRIVATE, ROOT, b"")?;
    }
    let file = tree.root().lock_file(&path)?;
    match rustix::fs::fcntl_lock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(_) => Err(StepError::Locked),
    }
}
