//! How a stock update_engine reads an answer: the first of everything, and a few values it insists on.

use super::{Manifest, POSTINSTALL, Response, UpdateStatus};

/// What a stock client does after an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StockAnswer<'a> {
    /// Nothing, until the next check.
    NoUpdate,
    /// It downloads one file, tries one URL after the other, and compares its digest.
    Update {
        /// The version, for display.
        version: &'a str,
        /// All URLs of the file, in order.
        urls: Vec<String>,
        /// Length of the file, in bytes.
        size: u64,
        /// SHA-256 of the file, in base64.
        sha256_base64: &'a str,
        /// Failed downloads do not make it wait.
        disable_payload_backoff: bool,
        /// How often it tries one URL.
        max_failure_count_per_url: u32,
    },
}

/// Why a stock client would report error 34.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StockError {
    /// No application has a check.
    #[error("there is no updatecheck")]
    NoCheck,
    /// A status that is neither `ok` nor `noupdate`.
    #[error("the status of the updatecheck is `{0}`")]
    Status(String),
    /// No URL that is not empty.
    #[error("there is no URL")]
    NoUrl,
    /// No manifest, or one without version.
    #[error("there is no manifest with a version")]
    NoManifest,
    /// No package, or a first one without name or length.
    #[error("the first package has no name or no size")]
    NoPackage,
    /// No postinstall action with a digest.
    #[error("there is no postinstall action with a sha256")]
    NoAction,
}

pub(super) fn stock(response: &Response) -> Result<StockAnswer<'_>, StockError> {
    const FAILURES: u32 = 10;
    let check = response.apps.iter().find_map(|app| app.update_check.as_ref()).ok_or(StockError::NoCheck)?;
    match &check.status {
        UpdateStatus::NoUpdate => return Ok(StockAnswer::NoUpdate),
        UpdateStatus::Other(status) => return Err(StockError::Status(status.clone())),
        UpdateStatus::Ok => {}
    }
    let has_version = |manifest: &&Manifest| !manifest.version.is_empty();
    let manifest = check.manifest.as_ref().filter(has_version).ok_or(StockError::NoManifest)?;
    let package = manifest.packages.first().filter(|package| !package.name.is_empty() && package.size > 0).ok_or(StockError::NoPackage)?;
    let urls: Vec<String> = check.urls.iter().filter(|url| !url.is_empty()).map(|url| join(url, &package.name)).collect();
    if urls.is_empty() {
        return Err(StockError::NoUrl);
    }
    let action = manifest.actions.iter().find(|action| action.event == POSTINSTALL).ok_or(StockError::NoAction)?;
    Ok(StockAnswer::Update {
        version: &manifest.version,
        urls,
        size: package.size,
        sha256_base64: action.sha256_base64.as_deref().filter(|sha256| !sha256.is_empty()).ok_or(StockError::NoAction)?,
        disable_payload_backoff: action.disable_payload_backoff,
        max_failure_count_per_url: action.max_failure_count_per_url.unwrap_or(FAILURES),
    })
}

fn join(codebase: &str, name: &str) -> String {
    let slash = if codebase.ends_with('/') { "" } else { "/" };
    format!("{codebase}{slash}{name}")
}
