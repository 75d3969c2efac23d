//! What there is to know about the cluster.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::Path;

use anyhow::{Context, Result};
use cluster_store::{Access, PartState};
use serde::{Deserialize, Serialize};

use crate::etcd::members;

/// The file of [`State`], in the agent's folder of this boot.
pub const STATE_FILE: &str = "state.json";

/// What the daemon says of its parts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// Each part's state, by its name.
    pub parts: BTreeMap<String, PartState>,
}

/// A member, looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Member {
    /// etcd's number for it, in hexadecimal.
    pub id: String,
    /// Its name; empty while it has never run.
    pub name: String,
    /// Where the other members reach it.
    pub peer_urls: Vec<String>,
    /// Where clients reach it.
    pub client_urls: Vec<String>,
    /// `leader`, `voter` or `learner`.
    pub role: &'static str,
    /// `well`, `ill` or `silent`.
    pub health: &'static str,
    /// Version of its etcd.
    pub version: Option<String>,
    /// Size of its database.
    pub db_size_bytes: Option<i64>,
    /// What it complains of.
    pub errors: Vec<String>,
}

/// The members as the nearest one knows them, a quorum or not, each looked at.
///
/// # Errors
/// None answers.
pub async fn members(access: &Access) -> Result<Vec<Member>> {
    let mut client = access.connect().await?;
    let list = client.member_list().await.context("asking for the members; see `systemctl status cluster-agent etcd`")?;
    let mut found = Vec::new();
    for member in list.members() {
        let status = match member.client_urls().first() {
            Some(url) => members::status_of(url, access.tls.as_ref()).await,
            None => None,
        };
        let leads = status.as_ref().is_some_and(|status| status.leader() == member.id());
        found.push(Member {
            id: format!("{:x}", member.id()),
            name: member.name().to_owned(),
            peer_urls: member.peer_urls().to_vec(),
            client_urls: member.client_urls().to_vec(),
            role: if member.is_learner() {
                "learner"
            } else if leads {
                "leader"
            } else {
                "voter"
            },
            health: match &status {
                None => "silent",
                Some(status) if status.leader() == 0 || !status.errors().is_empty() => "ill",
                Some(_) => "well",
            },
            version: status.as_ref().map(|status| status.version().to_owned()),
            db_size_bytes: status.as_ref().map(etcd_client::StatusResponse::db_size),
            errors: status.map(|status| status.errors().to_vec()).unwrap_or_default(),
        });
    }
    found.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(found)
}

/// The members as a table.
#[must_use]
pub fn table(members: &[Member]) -> String {
    let heading = ["NAME", "ROLE", "HEALTH", "VERSION", "DB SIZE", "PEER URL", "ID"].map(str::to_owned).to_vec();
    let mut rows = vec![heading];
    for member in members {
        let or_dash = |text: &str| if text.is_empty() { "-".to_owned() } else { text.to_owned() };
        rows.push(vec![
            or_dash(&member.name),
            member.role.to_owned(),
            member.health.to_owned(),
            member.version.clone().unwrap_or_else(|| "-".to_owned()),
            member.db_size_bytes.map_or_else(|| "-".to_owned(), size),
            or_dash(&member.peer_urls.join(",")),
            member.id.clone(),
        ]);
    }
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..rows[0].len()).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        cells.join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// Bytes for a person.
#[must_use]
pub fn size(bytes: i64) -> String {
    let mib = bytes.max(0) / (1 << 20);
    if mib > 0 { format!("{mib} MiB") } else { format!("{} KiB", bytes.max(0) / 1024) }
}

/// What the daemon last said of its parts; `None` when it does not run, or has not said anything yet.
///
/// # Errors
/// The file is there and cannot be read.
pub fn state(run: &Path) -> Result<Option<State>> {
    let path = run.join(STATE_FILE);
    match std::fs::read(&path) {
        Ok(bytes) => serde_json::from_slice(&bytes).map(Some).with_context(|| format!("reading {}", path.display())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("reading {}", path.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_a_table() {
        let well = Member {
            id: "1f".to_owned(),
            name: "n1".to_owned(),
            peer_urls: vec!["http://10.0.0.1:2380".to_owned()],
            client_urls: vec![],
            role: "leader",
            health: "well",
            version: Some("3.5.16".to_owned()),
            db_size_bytes: Some(20 << 10),
            errors: vec![],
        };
        let gone = Member { name: String::new(), role: "learner", health: "silent", version: None, db_size_bytes: None, ..well.clone() };
        insta::assert_snapshot!(table(&[well, gone]), @r"
        NAME  ROLE     HEALTH  VERSION  DB SIZE  PEER URL              ID
        n1    leader   well    3.5.16   20 KiB   http://10.0.0.1:2380  1f
        -     learner  silent  -        -        http://10.0.0.1:2380  1f
        ");
    }

    #[test]
    fn sizes_are_for_people() {
        for (bytes, text) in [(-1, "0 KiB"), (20_480, "20 KiB"), (3 << 20, "3 MiB")] {
            assert_eq!(size(bytes), text);
        }
    }
}
