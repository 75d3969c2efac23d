//! Docker answers.

use std::path::Path;
use std::time::Duration;

use super::http;

/// Asks the engine for a sign of life and its version.
pub(super) async fn check(socket: &Path, patience: Duration) -> Result<String, String> {
    match http::unix(socket, "/_ping", patience).await? {
        (200, body) if body.trim() == "OK" => {}
        (status, _) => return Err(format!("/_ping answers {status}")),
    }
    match http::unix(socket, "/version", patience).await? {
        (200, body) => {
            let version = serde_json::from_str::<serde_json::Value>(&body).ok().and_then(|value| value.get("Version")?.as_str().map(str::to_owned));
            version.map(|version| format!("version {version}")).ok_or_else(|| "/version makes no sense".to_owned())
        }
        (status, _) => Err(format!("/version answers {status}")),
    }
}
