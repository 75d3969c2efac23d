//! FleetLock, as Zincati's documentation has it: two questions over HTTP, 200 is yes, everything else is no with a reason.
//!
//! <https://coreos.github.io/zincati/development/fleetlock/protocol/>

pub mod client;
mod server;

use serde::{Deserialize, Serialize};

use crate::{Group, Kind, Refusal, releases};

pub use client::FleetLock;
pub(crate) use server::router;

/// "May I reboot?"
pub const PRE_REBOOT: &str = "/v1/pre-reboot";
/// "I am back, or I will not reboot."
pub const STEADY_STATE: &str = "/v1/steady-state";
/// The header that every request has, with the value `true`: what a browser was tricked into has not.
pub const HEADER: &str = "fleet-lock-protocol";
/// Largest body of a request, in bytes.
pub const BODY_MAX: usize = 4096;
/// Longest id of a machine, in bytes.
pub const ID_MAX: usize = 128;

/// Body of both questions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// Who asks.
    pub client_params: ClientParams,
}

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientParams {
    /// Id of the machine.
    pub id: String,
    /// Its group.
    pub group: String,
    /// The release that it wants to reboot into. Only `cluster-agent` asks for it, and only on its own machine: FleetLock has no such field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<String>,
}

/// What a request says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// Who asks.
    pub id: String,
    /// Its group.
    pub group: Group,
    /// See [`ClientParams::release`].
    pub release: Option<String>,
}

/// Body of every answer that is not 200.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// What sort of reason, for programs.
    pub kind: String,
    /// The reason, for people.
    pub value: String,
}

/// Reads a request: `header` is the value of [`HEADER`].
///
/// # Errors
/// It is not FleetLock, or says nothing that can be used.
pub fn parse(header: Option<&str>, body: &[u8]) -> Result<Asked, Refusal> {
    let bad = |text: String| Refusal::new(Kind::BadRequest, text);
    if header != Some("true") {
        return Err(bad(format!("this is no request of FleetLock: the header `{HEADER}: true` is missing")));
    }
    let request: Request = serde_json::from_slice(body).map_err(|error| bad(format!("the body makes no sense: {error}")))?;
    let ClientParams { id, group, release } = request.client_params;
    if id.is_empty() || id.len() > ID_MAX || id.contains(|c: char| c.is_control() || c == '/') {
        return Err(bad(format!("the id has to be 1 to {ID_MAX} characters, without slashes")));
    }
    let group = Group::new(group).map_err(|error| bad(error.to_string()))?;
    if let Some(release) = release.as_deref().filter(|release| !releases::is_version(release)) {
        return Err(bad(format!("{release:?} is not the version of a release")));
    }
    Ok(Asked { id, group, release })
}
