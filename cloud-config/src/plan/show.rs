//! Effects as lines for people; nothing secret is in them.

use std::fmt;

use super::content::{Content, Visibility};
use super::effect::{Action, Effect, Frequency, Persistence};

impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let once = if self.frequency == Frequency::OncePerInstance { " (once)" } else { "" };
        write!(f, "{}{once}", self.action)
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hostname { name } => write!(f, "hostname {name}"),
            Self::Timezone { zone } => write!(f, "timezone {zone}"),
            Self::Group { name, gid, members, .. } => {
                write!(f, "group {name}")?;
                gid.map_or(Ok(()), |gid| write!(f, " gid {gid}"))?;
                if members.is_empty() { Ok(()) } else { write!(f, " with {}", members.join(", ")) }
            }
            Self::User(user) => {
                write!(f, "user {} home {} shell {}", user.name, user.home, user.shell)?;
                if user.groups.is_empty() { Ok(()) } else { write!(f, " in {}", user.groups.join(", ")) }
            }
            Self::Password { user, hash } => write!(f, "password of {user} {hash:?}"),
            Self::SshKeys { user, set, keys } => {
                write!(f, "keys of {user} ({set})")?;
                keys.iter().try_for_each(|key| write!(f, "; {}", key.shown()))
            }
            Self::ImportKeys { user, set, url } => write!(f, "keys of {user} ({set}) from {url}"),
            Self::Directory { path, mode, owner } => write!(f, "directory {path} {mode} {owner}"),
            Self::File { path, mode, owner, content } => write!(f, "file {path} {mode} {owner} {}", Shown(content)),
            Self::Append { path, content, .. } => write!(f, "append to {path} {}", Shown(content)),
            Self::Assignments { path, values, .. } => {
                write!(f, "set in {path}")?;
                values.iter().try_for_each(|(key, value)| write!(f, " {key}={value}"))
            }
            Self::Symlink { path, target } => write!(f, "link {path} -> {target}"),
            Self::CaBundle => f.write_str("certificates joined into /etc/ssl/certs/ca-certificates.crt"),
            Self::Mask { unit, persistence } => write!(f, "mask {unit}{}", runtime(*persistence)),
            Self::Unmask { unit } => write!(f, "unmask {unit} (until reboot)"),
            Self::Enable { unit, persistence } => write!(f, "enable {unit}{}", runtime(*persistence)),
            Self::DaemonReload => f.write_str("daemon-reload"),
            Self::Job { unit, job, when_changed } => {
                write!(f, "{} {unit}", job.word())?;
                if when_changed.is_empty() { Ok(()) } else { f.write_str(" if its files changed") }
            }
            Self::Run { name, path } => write!(f, "run {name} {path}"),
            Self::Unavailable { unit, wanted } => write!(f, "not available: {unit} ({wanted})"),
        }
    }
}

fn runtime(persistence: Persistence) -> &'static str {
    match persistence {
        Persistence::Persistent => "",
        Persistence::Runtime => " (until reboot)",
    }
}

struct Shown<'a>(&'a Content);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Content::Inline { bytes, visibility } => {
                let masked = if *visibility == Visibility::Masked { " masked" } else { "" };
                write!(f, "{} bytes sha256:{}{masked}", bytes.len(), super::content::Sha256Sum::of(bytes))
            }
            Content::Remote { url, sha256: Some(sha256) } => write!(f, "from {url} sha256:{sha256}"),
            Content::Remote { url, sha256: None } => write!(f, "from {url}"),
        }
    }
}
