//! etcd is healthy: it has a leader and can commit.

use std::time::Duration;

use super::http;
use super::process;

/// etcd's own client, for endpoints with TLS: it knows the certificates that its environment names.
const ETCDCTL: &str = "/usr/bin/etcdctl";

/// Asks one endpoint.
pub(super) async fn check(endpoint: &str, patience: Duration) -> Result<String, String> {
    if let Some(address) = endpoint.strip_prefix("http://") {
        return match http::tcp(address.trim_end_matches('/'), "/health", patience).await? {
            (200, body) if healthy(&body) => Ok(format!("{endpoint} is healthy")),
            (status, body) => Err(format!("{endpoint}/health answers {status}: {}", body.chars().take(200).collect::<String>())),
        };
    }
    let ended = process::run(ETCDCTL.as_ref(), &["--endpoints", endpoint, "endpoint", "health"], patience).await;
    if ended.success { Ok(ended.tail) } else { Err(ended.tail) }
}

fn healthy(body: &str) -> bool {
    let value = serde_json::from_str::<serde_json::Value>(body).ok();
    value.and_then(|value| value.get("health").cloned()).is_some_and(|health| health == "true" || health == true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_clear_yes_is_healthy() {
        assert!(healthy(r#"{"health":"true","reason":""}"#) && healthy(r#"{"health":true}"#));
        for no in ["", "{}", r#"{"health":"false"}"#, r#"{"health":1}"#, "true", "[]"] {
            assert!(!healthy(no), "{no}");
        }
    }
}
