//! What a machine says.

mod read;
mod write;

use crate::event::Event;
use crate::{ParseError, xml};

/// A request: one machine, and its applications (stock clients have one).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// `3.0`.
    pub protocol: String,
    /// Name and version of the client.
    pub version: String,
    /// Name and version of the updater; stock clients send the same as `version`.
    pub updater_version: String,
    /// `scheduler`, or `ondemandupdate` when somebody asked for it.
    pub install_source: String,
    /// For the whole machine, not for one of its users.
    pub is_machine: bool,
    /// What it runs on.
    pub os: Os,
    /// Its applications.
    pub apps: Vec<App>,
}

impl Default for Request {
    /// A request of this protocol that says nothing yet.
    fn default() -> Self {
        Self {
            protocol: "3.0".into(),
            version: String::new(),
            updater_version: String::new(),
            install_source: String::new(),
            is_machine: true,
            os: Os::default(),
            apps: Vec::new(),
        }
    }
}

/// What the machine runs on.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Os {
    /// Stock clients: always `CoreOS`.
    pub platform: String,
    /// Stock clients: always `Chateau`.
    pub version: String,
    /// Stock clients: version and machine, e.g. `3732.0.0_x86_64`.
    pub sp: String,
    /// Not sent by stock clients; see [`App::board`].
    pub arch: String,
}

/// An application: for stock clients the OS itself. All texts are as sent, may be empty, and may hold anything XML can.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct App {
    /// With or without braces; compare with [`same_app`].
    pub id: String,
    /// The version that runs.
    pub version: String,
    /// The group; old hosts may send a group's UUID.
    pub track: String,
    /// The kernel's boot id, with braces.
    pub boot_id: String,
    /// `/etc/machine-id`, without braces.
    pub machine_id: String,
    /// What the owner calls the machine.
    pub machine_alias: String,
    /// The vendor or cloud.
    pub oem: String,
    /// Version of the vendor's additions.
    pub oem_version: String,
    /// The version that was installed first.
    pub aleph_version: String,
    /// E.g. `amd64-usr`; where stock clients say their architecture.
    pub board: String,
    /// E.g. `en-US`.
    pub lang: String,
    /// Stock clients: empty.
    pub hardware_class: String,
    /// It can use deltas.
    pub delta_okay: bool,
    /// It says that it is there.
    pub ping: bool,
    /// It asks for an update.
    pub update_check: Option<UpdateCheck>,
    /// What happened; to be looked at before the check is answered.
    pub events: Vec<Event>,
}

/// The question for an update.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UpdateCheck {
    /// Only versions that begin so; of the ChromeOS era, empty today.
    pub target_version_prefix: String,
}

impl Request {
    /// Reads a request; see [`crate::limits`].
    pub fn parse(bytes: &[u8]) -> Result<Self, ParseError> {
        read::request(&xml::parse(bytes, "request")?)
    }

    /// The document. Characters that XML does not have become U+FFFD, values beyond the limits are cut; the result is always
    /// well-formed, and [`Request::parse`] takes it as long as there are not too many applications and events.
    #[must_use]
    pub fn to_xml(&self) -> String {
        write::request(self)
    }
}

/// True for the same application id, with or without braces, in letters of either case.
#[must_use]
pub fn same_app(one: &str, other: &str) -> bool {
    let bare = |id: &str| id.strip_prefix('{').and_then(|id| id.strip_suffix('}')).unwrap_or(id).to_ascii_lowercase();
    bare(one) == bare(other)
}

#[cfg(test)]
mod tests;
