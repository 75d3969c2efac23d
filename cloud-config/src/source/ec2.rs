//! Amazon EC2's instance metadata service, version 2, and version 1 where there is no version 2.
//!
//! Paths and headers: the EC2 user guide, "Use the Instance Metadata Service to access instance metadata".

use std::collections::BTreeMap;
use std::time::Duration;

use super::error::SourceError;
use super::host::Host;
use super::http::Method;
use super::limits::{KEYS, USER_DATA_BYTES, VALUE_BYTES};
use super::net::Net;
use super::{Blob, Part, facts};
use crate::metadata::Metadata;

/// What this source may take in total, waiting for an address included.
pub(super) const BUDGET: Duration = Duration::from_secs(30);
const TOKEN: &str = "http://169.254.169.254/latest/api/token";
/// A dated version of the API, so that answers keep their shape.
const BASE: &str = "http://169.254.169.254/2021-01-03";
/// How long a session is to last: longer than this source may take, in seconds.
const TTL_SECS: &str = "300";
/// Longest token that is sent back, in bytes; EC2's have 56.
const TOKEN_BYTES: usize = 1024;

pub(super) fn fetch(host: &dyn Host) -> Result<Part, SourceError> {
    let net = Net::new(host, BUDGET);
    let net = match token(&net)? {
        Some(token) => net.with_header("X-aws-ec2-metadata-token", token),
        None => net,
    };
    let value = |key: &str| net.value(&format!("{BASE}/meta-data/{key}"));
    let place = |key: &str| format!("{BASE}/meta-data/{key}");
    let mut metadata = Metadata::default();
    let key = "instance-id";
    let id = value(key)?.ok_or_else(|| net.status(&place(key), 404))?;
    metadata.instance_id = Some(facts::instance_id(&place(key), key, &id)?);
    for key in ["local-hostname", "hostname"] {
        if metadata.hostname.is_none()
            && let Some(text) = value(key)?
        {
            // With several names, for the several domains of a network, the first is the usual one.
            let first = text.split_whitespace().next().unwrap_or_default();
            metadata.hostname = Some(facts::hostname(&place(key), key, first)?);
        }
    }
    for (key, to) in [("local-ipv4", &mut metadata.private_ipv4), ("public-ipv4", &mut metadata.public_ipv4)] {
        *to = value(key)?.map(|text| facts::ipv4(&place(key), key, &text)).transpose()?;
    }
    let key = "ipv6";
    metadata.public_ipv6 = value(key)?.map(|text| facts::ipv6(&place(key), key, &text)).transpose()?;
    metadata.ssh_authorized_keys = keys(&net)?;
    let url = format!("{BASE}/user-data");
    let user_data = net.get(&url, USER_DATA_BYTES)?.and_then(|bytes| Blob::unless_empty(&url, bytes));
    Ok(Part { user_data, metadata, ..Part::default() })
}

/// A session's token; nothing where the service says that it knows no sessions. Silence and refusal are no such answer: falling
/// back then would let whoever drops packets choose the weaker protocol.
fn token(net: &Net<'_>) -> Result<Option<String>, SourceError> {
    let ttl = ("X-aws-ec2-metadata-token-ttl-seconds", TTL_SECS.to_owned());
    let answer = net.ask(Method::Put, TOKEN, VALUE_BYTES, &[ttl])?;
    match answer.status {
        200 => {
            let token = facts::text(TOKEN, answer.body)?;
            let fits = !token.is_empty() && token.len() <= TOKEN_BYTES && token.bytes().all(|b| b.is_ascii_graphic());
            if fits { Ok(Some(token)) } else { Err(SourceError::malformed(TOKEN, "a token", "it is empty, too long or not printable")) }
        }
        404 => Ok(None),
        status => Err(net.status(TOKEN, status)),
    }
}

/// The list of keys has a line `INDEX=NAME` for each.
fn keys(net: &Net<'_>) -> Result<BTreeMap<String, String>, SourceError> {
    let list_url = format!("{BASE}/meta-data/public-keys/");
    let Some(list) = net.value(&list_url)? else { return Ok(BTreeMap::new()) };
    if list.lines().count() > KEYS {
        return Err(SourceError::field(&list_url, "public-keys", format!("has more than {KEYS} keys")));
    }
    let mut keys = BTreeMap::new();
    for line in list.lines() {
        let index_and_name = line.split_once('=').filter(|(index, _)| !index.is_empty() && index.bytes().all(|b| b.is_ascii_digit()));
        let (index, name) = index_and_name
            .ok_or_else(|| SourceError::field(&list_url, "public-keys", format!("has the line {}, not INDEX=NAME", facts::quoted(line))))?;
        let url = format!("{list_url}{index}/openssh-key");
        if let Some(key) = net.value(&url)? {
            keys.insert(facts::key_name(&list_url, name)?, facts::ssh_key(&url, "openssh-key", &key)?);
        }
    }
    Ok(keys)
}
