//! What a server answers.

mod read;
mod stock;
mod write;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

pub use stock::{StockAnswer, StockError};

use crate::{ParseError, xml};

/// The event of the one action that matters.
pub const POSTINSTALL: &str = "postinstall";

/// An answer to a [`crate::Request`].
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Response {
    /// Who answers.
    pub server: String,
    /// Seconds since midnight where the server is.
    pub daystart_seconds: u32,
    /// One for each application asked about; stock clients look at the first only.
    pub apps: Vec<AppResponse>,
}

/// The answer about one application.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AppResponse {
    /// As it was asked.
    pub id: String,
    /// Whether it is known.
    pub status: AppStatus,
    /// The ping was heard. Old servers do not say so: never wait for it.
    pub ping: bool,
    /// How many events were heard; as above.
    pub events: usize,
    /// The answer to the question for an update.
    pub update_check: Option<UpdateCheckResponse>,
}

/// Whether the server knows an application.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum AppStatus {
    /// It does; also when an answer says nothing, because stock clients do not look.
    #[default]
    Ok,
    /// Not from where the machine is.
    Restricted,
    /// It does not.
    UnknownApplication,
    /// That is no id.
    InvalidAppId,
    /// Anything else, e.g. `error-internal`.
    Other(String),
}

impl AppStatus {
    /// As on the wire.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Ok => "ok",
            Self::Restricted => "restricted",
            Self::UnknownApplication => "error-unknownApplication",
            Self::InvalidAppId => "error-invalidAppId",
            Self::Other(text) => text,
        }
    }
}

impl From<&str> for AppStatus {
    fn from(text: &str) -> Self {
        match text {
            "ok" => Self::Ok,
            "restricted" => Self::Restricted,
            "error-unknownApplication" => Self::UnknownApplication,
            "error-invalidAppId" => Self::InvalidAppId,
            _ => Self::Other(text.into()),
        }
    }
}

/// The answer to the question for an update.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UpdateCheckResponse {
    /// Whether there is one.
    pub status: UpdateStatus,
    /// Why (not), for people.
    pub info: Option<String>,
    /// When to ask again; stock clients take 45 minutes to 4 hours, and forget it when they restart.
    pub poll_interval_secs: Option<u32>,
    /// Where from, in order of preference.
    pub urls: Vec<String>,
    /// What.
    pub manifest: Option<Manifest>,
}

/// Whether there is an update.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum UpdateStatus {
    /// There is.
    Ok,
    /// There is none, or not now.
    #[default]
    NoUpdate,
    /// Something is wrong, e.g. `error-internal`. Stock clients report that as error 34: prefer [`UpdateStatus::NoUpdate`].
    Other(String),
}

impl UpdateStatus {
    /// As on the wire.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Ok => "ok",
            Self::NoUpdate => "noupdate",
            Self::Other(text) => text,
        }
    }
}

impl From<&str> for UpdateStatus {
    fn from(text: &str) -> Self {
        match text {
            "ok" => Self::Ok,
            "noupdate" => Self::NoUpdate,
            _ => Self::Other(text.into()),
        }
    }
}

/// A version, and what it consists of.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Manifest {
    /// The version.
    pub version: String,
    /// Its files; the first is the one that stock clients install.
    pub packages: Vec<Package>,
    /// What to do with them.
    pub actions: Vec<Action>,
}

/// A file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Package {
    /// Appended to a URL.
    pub name: String,
    /// Length, in bytes.
    pub size: u64,
    /// `hash`: SHA-1 in base64, for old clients.
    pub sha1_base64: Option<String>,
    /// `hash_sha256`: written as hex, read as hex or base64.
    pub sha256: Option<[u8; 32]>,
    /// False for extensions that a machine may leave out.
    pub required: bool,
}

/// What to do at one point of an installation.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Action {
    /// When; [`POSTINSTALL`] carries what stock clients check.
    pub event: String,
    /// SHA-256 of the first package in base64; written even when empty, because ue-rs insists.
    pub sha256_base64: Option<String>,
    /// `DisablePayloadBackoff`: do not wait days after failed downloads.
    pub disable_payload_backoff: bool,
    /// `IsDeltaPayload`: the package is a delta.
    pub is_delta_payload: bool,
    /// `MaxFailureCountPerUrl`: how often to try one URL; stock clients take 10 when it is not there.
    pub max_failure_count_per_url: Option<u32>,
    /// `DisplayVersion` or `ChromeOSVersion`: the version for people.
    pub display_version: Option<String>,
    /// `needsadmin`.
    pub needs_admin: bool,
    /// `MetadataSize`: length of the payload's head, in bytes.
    pub metadata_size: Option<u64>,
    /// `MetadataSignatureRsa`: signature of the payload's head in base64.
    pub metadata_signature_rsa: Option<String>,
    /// `deadline`.
    pub deadline: Option<String>,
    /// `MoreInfo`: a page about the version.
    pub more_info: Option<String>,
    /// `Prompt`: ask the user first.
    pub prompt: bool,
    /// `MaxDaysToScatter`.
    pub max_days_to_scatter: Option<u32>,
}

impl Action {
    /// The action that every update needs: the digest of the first package.
    #[must_use]
    pub fn postinstall(sha256: [u8; 32]) -> Self {
        Self { event: POSTINSTALL.into(), sha256_base64: Some(BASE64.encode(sha256)), ..Self::default() }
    }

    /// The digest, when it is one.
    #[must_use]
    pub fn sha256(&self) -> Option<[u8; 32]> {
        BASE64.decode(self.sha256_base64.as_deref()?).ok()?.try_into().ok()
    }
}

impl Response {
    /// Reads an answer; see [`crate::limits`].
    pub fn parse(bytes: &[u8]) -> Result<Self, ParseError> {
        read::response(&xml::parse(bytes, "response")?)
    }

    /// The document. Characters that XML does not have become U+FFFD, values beyond the limits are cut; the result is always
    /// well-formed.
    #[must_use]
    pub fn to_xml(&self) -> String {
        write::response(self)
    }

    /// What a stock update_engine makes of this answer: it takes the first check it finds and insists on a few values.
    pub fn stock(&self) -> Result<StockAnswer<'_>, StockError> {
        stock::stock(self)
    }
}

#[cfg(test)]
mod tests;
