//! One thing a plan does, where in the document it comes from and how often it is done.

use std::fmt;

use serde::{Serialize, Serializer};

use super::content::{Content, Secret};
use super::path::HostPath;

/// One step of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Effect {
    /// What is done.
    #[serde(flatten)]
    pub action: Action,
    /// Once per instance, or at every boot.
    pub frequency: Frequency,
    /// Which line asked for it.
    pub origin: Origin,
}

/// How often an effect is carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Frequency {
    /// Once for each instance id the platform shows.
    OncePerInstance,
    /// At every boot; doing it again changes nothing.
    EveryBoot,
}

/// The place that asked for an effect.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Origin {
    /// The file, or the part of the user data; for what no document asked for, who did.
    pub file: String,
    /// Line, from 1; nothing for what has no line.
    pub line: Option<usize>,
}

impl Origin {
    /// The platform's metadata.
    #[must_use]
    pub fn metadata() -> Self {
        Self { file: "metadata".to_owned(), line: None }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line}", self.file),
            None => f.write_str(&self.file),
        }
    }
}

impl Serialize for Origin {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Permission bits; shown as four octal digits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Mode(pub u32);

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04o}", self.0)
    }
}

impl fmt::Debug for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Mode {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Whom a file belongs to; names are looked up in the host's own tables when the effect is carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// A name or a number.
    pub user: String,
    /// A name or a number; the user's own group when it is missing.
    pub group: Option<String>,
}

impl Owner {
    /// `root:root`.
    #[must_use]
    pub fn root() -> Self {
        Self { user: "root".to_owned(), group: Some("root".to_owned()) }
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.user, self.group.as_deref().unwrap_or_default())
    }
}

impl Serialize for Owner {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Where a unit's files go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Persistence {
    /// `/etc/systemd`: stays.
    Persistent,
    /// `/run/systemd`: until the next boot.
    Runtime,
}

/// What systemd is asked to do with a unit; the job is queued and nobody waits for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the words are systemctl's")]
pub enum JobKind {
    Start,
    Stop,
    Restart,
    Reload,
    TryRestart,
    ReloadOrRestart,
    ReloadOrTryRestart,
}

impl JobKind {
    /// The word `systemctl` has for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Restart => "restart",
            Self::Reload => "reload",
            Self::TryRestart => "try-restart",
            Self::ReloadOrRestart => "reload-or-restart",
            Self::ReloadOrTryRestart => "reload-or-try-restart",
        }
    }
}

/// A public key that may log in; its comment and kind are shown, the key as a digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthorizedKey(pub String);

impl Serialize for AuthorizedKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.shown())
    }
}

impl AuthorizedKey {
    /// Kind, digest and comment.
    #[must_use]
    pub fn shown(&self) -> String {
        let sum = super::content::Sha256Sum::of(self.0.as_bytes()).to_string();
        let mut words = self.0.split_whitespace().skip_while(|word| !is_key_kind(word));
        let kind = words.next().unwrap_or("key");
        let comment = words.skip(1).collect::<Vec<_>>().join(" ");
        format!("{kind} sha256:{} {comment}", &sum[..16]).trim_end().to_owned()
    }
}

fn is_key_kind(word: &str) -> bool {
    ["ssh-", "ecdsa-", "sk-"].iter().any(|start| word.starts_with(start))
}

/// An account to be made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NewUser {
    /// Login name.
    pub name: String,
    /// User id; the next free one when it is missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uid: Option<u32>,
    /// The person's name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub gecos: String,
    /// Home directory.
    pub home: HostPath,
    /// Whether the home directory is made.
    pub create_home: bool,
    /// Group of its files: a name of its own, or an existing one.
    pub primary_group: String,
    /// Further groups.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
    /// Whether the id comes from the range of system accounts.
    pub system: bool,
    /// Login shell.
    pub shell: String,
}

/// What an [`Effect`] does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "do", rename_all = "kebab-case", rename_all_fields = "kebab-case")]
pub enum Action {
    /// Gives the machine its name.
    Hostname {
        /// Up to 63 bytes, without a dot.
        name: String,
    },
    /// Sets the time zone.
    Timezone {
        /// A name of the time zone database.
        zone: String,
    },
    /// Sees that a group exists and has these members.
    Group {
        /// Its name.
        name: String,
        /// Group id; the next free one when it is missing.
        #[serde(skip_serializing_if = "Option::is_none")]
        gid: Option<u32>,
        /// Whether the id comes from the range of system groups.
        system: bool,
        /// Users that belong to it.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        members: Vec<String>,
    },
    /// Makes an account, unless there is one of that name.
    User(NewUser),
    /// Sets a password, as a hash from `crypt(5)`.
    Password {
        /// Whose.
        user: String,
        /// The hash.
        hash: Secret,
    },
    /// Sees that these keys, and of this set no others, may log in.
    SshKeys {
        /// As whom.
        user: String,
        /// Name of the set; another set's keys are left alone.
        set: String,
        /// The keys, one per line of `authorized_keys`.
        keys: Vec<AuthorizedKey>,
    },
    /// Sees that the public keys at an address, and of this set no others, may log in. Without an answer the set stays as it is.
    ImportKeys {
        /// As whom.
        user: String,
        /// Name of the set; another set's keys are left alone.
        set: String,
        /// Where the keys are; https.
        url: String,
    },
    /// A directory.
    Directory {
        /// Where.
        path: HostPath,
        /// Permission bits.
        mode: Mode,
        /// Whom it belongs to.
        owner: Owner,
    },
    /// A file with exactly this content.
    File {
        /// Where.
        path: HostPath,
        /// Permission bits.
        mode: Mode,
        /// Whom it belongs to.
        owner: Owner,
        /// What is in it.
        content: Content,
    },
    /// A file that holds this content somewhere; it is appended unless it is there already.
    Append {
        /// Where.
        path: HostPath,
        /// Permission bits, when the file has to be made.
        mode: Mode,
        /// Whom it belongs to, when the file has to be made.
        owner: Owner,
        /// What is in it.
        content: Content,
    },
    /// A file of `KEY=value` lines in which these keys have these values; other lines stay.
    Assignments {
        /// Where.
        path: HostPath,
        /// Where to start from when there is no such file.
        #[serde(skip_serializing_if = "Option::is_none")]
        base: Option<HostPath>,
        /// Keys and values.
        values: Vec<(String, String)>,
    },
    /// A symbolic link.
    Symlink {
        /// Where.
        path: HostPath,
        /// What it says.
        target: String,
    },
    /// Joins the certificates of the image and `/usr/local/share/ca-certificates` into the bundle programs read.
    CaBundle,
    /// Makes a unit impossible to start.
    Mask {
        /// Its name.
        unit: String,
        /// Until the next boot, or for good.
        persistence: Persistence,
    },
    /// Takes back a mask that lasts until the next boot.
    Unmask {
        /// Its name.
        unit: String,
    },
    /// Makes a unit start at boot, by the links its `[Install]` section asks for.
    Enable {
        /// Its name.
        unit: String,
        /// Until the next boot, or for good.
        persistence: Persistence,
    },
    /// Has systemd read its units again.
    DaemonReload,
    /// Asks systemd for a job, without waiting for it.
    Job {
        /// Which unit.
        unit: String,
        /// What to do.
        job: JobKind,
        /// Only when one of these files was changed by this run; always, when there are none.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        when_changed: Vec<HostPath>,
    },
    /// Runs a program that is in place by now, and waits for it.
    Run {
        /// What it is called in reports.
        name: String,
        /// The program.
        path: HostPath,
    },
    /// Nothing: the image has no such unit.
    Unavailable {
        /// Its name.
        unit: String,
        /// What was asked of it.
        wanted: String,
    },
}
