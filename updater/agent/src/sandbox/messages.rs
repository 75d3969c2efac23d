//! What the daemon and its workers say to each other.

use serde::{Deserialize, Serialize};

use crate::daemon::host::{Access, Event, FailureKind, RefusalKind};

/// Longest explanation that is taken from a worker, in bytes; more is cut off.
pub const MAX_TEXT_BYTES: usize = 1024;

/// How to reach the outside. The daemon reads the certificate file: the fetcher may not look into `/etc`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Reach {
    /// Configured server, mirrors, proxy and bandwidth.
    pub access: Access,
    /// PEM text of the only certificate authorities to accept.
    pub ca_pem: Option<String>,
}

/// The daemon asks the fetcher.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "kebab-case")]
pub enum FetchAsk {
    /// First message: how to reach the outside.
    Reach(Reach),
    /// One Omaha request.
    Omaha(OmahaAsk),
    /// One small file, from the first place that has it; answered by [`FetchAnswer::Bytes`] or [`FetchAnswer::Missing`].
    Small {
        /// Where to look, in order.
        urls: Vec<String>,
        /// Refuse more than this.
        max_bytes: u64,
    },
    /// Frames of one packed file; answered by a [`FetchAnswer::Frame`] each and [`FetchAnswer::Done`].
    Frames(FramesAsk),
}

/// What an Omaha request is made of.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct OmahaAsk {
    /// Application id.
    pub app_id: String,
    /// `/etc/machine-id`.
    pub machine_id: String,
    /// Kernel boot id.
    pub boot_id: String,
    /// Running version.
    pub version: String,
    /// Architecture.
    pub arch: String,
    /// Group.
    pub group: String,
    /// Ask for an update: a check rather than a report.
    pub check: bool,
    /// Only say that the machine is there.
    pub ping: bool,
    /// A person asked.
    pub on_demand: bool,
    /// The first check of this boot.
    pub first: bool,
    /// Only versions with this prefix.
    pub pin: Option<String>,
    /// What happened.
    pub event: Option<Event>,
}

/// Frames of one packed file.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct FramesAsk {
    /// Where the file is, in order of preference.
    pub urls: Vec<String>,
    /// Stored length of every frame of the file, in order.
    pub stored: Vec<u32>,
    /// Unpacked length of every frame but the last, in bytes.
    pub frame_bytes: u32,
    /// Unpacked length of the last frame.
    pub last_bytes: u32,
    /// Wanted frames by number, ascending.
    pub wanted: Vec<u32>,
}

/// The fetcher answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "kebab-case")]
pub enum FetchAnswer {
    /// An update is offered.
    Update {
        /// The offered version.
        version: String,
        /// Folder URLs.
        bases: Vec<String>,
        /// Wished time until the next check.
        poll_seconds: Option<u32>,
    },
    /// Nothing for this machine now.
    NoUpdate {
        /// Why.
        info: Option<String>,
        /// Wished time until the next check.
        poll_seconds: Option<u32>,
    },
    /// Finished: the report was taken, all frames were sent.
    Done,
    /// A file; its bytes follow as data.
    Bytes,
    /// No place has the file.
    Missing,
    /// Still at work.
    Alive,
    /// An unpacked frame; its bytes follow as data.
    Frame {
        /// Its number.
        number: u32,
        /// Which of the URLs it came from.
        url: u32,
    },
    /// It did not work.
    Failed {
        /// What sort of failure.
        kind: FailureKind,
        /// For people.
        text: String,
    },
}

/// Files of metadata, under the names they are kept by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// `root.json`
    Root,
    /// `timestamp.json`
    Timestamp,
    /// `snapshot.json`
    Snapshot,
    /// `targets.json`
    Targets,
}

impl Role {
    /// In the order in which they are sent and stored.
    pub const ALL: [Self; 4] = [Self::Root, Self::Timestamp, Self::Snapshot, Self::Targets];

    /// Name of the file.
    #[must_use]
    pub const fn file(self) -> &'static str {
        match self {
            Self::Root => "root.json",
            Self::Timestamp => "timestamp.json",
            Self::Snapshot => "snapshot.json",
            Self::Targets => "targets.json",
        }
    }
}

/// What a release must be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ReleaseAsk {
    /// It must be for this application ...
    pub app_id: String,
    /// ... and this architecture ...
    pub arch: String,
    /// ... and be this version.
    pub version: String,
}

/// Who signed something that follows as data: key ids and signatures in hex. The daemon checks them over those bytes before it reads
/// them.
pub type Signatures = Vec<(String, String)>;

/// The daemon asks the verifier.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "kebab-case")]
pub enum VerifyAsk {
    /// First message; one data message for each of `have` follows.
    Start {
        /// What is trusted so far.
        have: Vec<Role>,
        /// The present, as seconds since 1970: never earlier than anything this machine has seen.
        now: i64,
        /// The release in question; `None` when only the metadata is to be looked at.
        release: Option<ReleaseAsk>,
    },
    /// The wanted file; its bytes follow as data.
    Bytes,
    /// The wanted file is nowhere.
    Missing,
}

/// The verifier answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "kebab-case")]
pub enum VerifyAnswer {
    /// Needs a metadata file.
    Want {
        /// Its name below the metadata folder.
        path: String,
        /// No more than this.
        max_bytes: u64,
    },
    /// Needs the release's description.
    WantRelease {
        /// Folder of the release below `targets/`.
        folder: String,
        /// Its signed length.
        max_bytes: u64,
    },
    /// The root that follows the trusted one; what was signed of it follows as data.
    Rotate {
        /// Who signed it.
        signatures: Signatures,
    },
    /// From now on this file, which is not a root, is trusted; its bytes follow as data.
    Trust {
        /// Which.
        role: Role,
    },
    /// From now on the file of this role is not trusted any more.
    Forget {
        /// Which.
        role: Role,
    },
    /// The description that was fetched last is that of the wanted release. What was signed of the targets that vouch for it follows as
    /// data.
    Verified {
        /// Folder of the release below `targets/`.
        folder: String,
        /// When the first piece of metadata expires, in seconds since 1970.
        expires: i64,
        /// Who signed the targets.
        signatures: Signatures,
    },
    /// The metadata is good, and no release was asked for.
    Fresh {
        /// When the first piece of it expires, in seconds since 1970.
        expires: i64,
    },
    /// Refused.
    Refused {
        /// What sort of reason.
        kind: RefusalKind,
        /// For people.
        text: String,
    },
}

/// Text from a worker, fit to be shown: bounded, one line, without control characters.
#[must_use]
pub fn presentable(text: &str) -> String {
    let mut shown = String::new();
    for character in text.chars() {
        if shown.len() + character.len_utf8() > MAX_TEXT_BYTES {
            shown.push('…');
            break;
        }
        shown.push(if character.is_control() { ' ' } else { character });
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_cut_and_cleaned() {
        assert_eq!(presentable("a\x1b[2Jb\nc"), "a [2Jb c");
        assert_eq!(presentable(&"é".repeat(MAX_TEXT_BYTES)).chars().count(), MAX_TEXT_BYTES / 2 + 1);
    }
}
