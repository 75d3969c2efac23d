//! Where machines find each other: a discovery service, or a list that the owner wrote.

use std::future::Future;

use anyhow::{Context, Result, anyhow, ensure};
use discovery::{Address, Client, Member, Options, Secret};
use hkdf::Hkdf;
use sha2::Sha256;

use super::seen::{Roster, Seat};
use crate::config;

/// Where machines find each other.
pub trait Rendezvous: Send + Sync {
    /// Who was to found the cluster; with `me`, this machine wants a seat and is written down first.
    fn look(&self, me: Option<&Seat>) -> impl Future<Output = Result<Roster>> + Send;
}

/// What the configuration says.
#[derive(Debug)]
pub enum Configured {
    /// A discovery service.
    Discovery {
        /// Talks to it.
        client: Box<Client>,
        /// What this machine's entry is called.
        id: String,
        /// With which it may be changed.
        secret: Secret,
    },
    /// The owner's list.
    List(Roster),
}

impl Configured {
    /// Reads what the configuration says.
    ///
    /// # Errors
    /// The address or the list makes no sense, or neither is there.
    pub fn new(plan: &config::Etcd, machine_id: &str) -> Result<Self> {
        if let Some(list) = &plan.initial_cluster {
            return Ok(Self::List(parse(list)?));
        }
        let address: Address = plan.discovery.as_deref().context("[etcd] has neither `discovery` nor `initial-cluster`")?.parse()?;
        let client = Box::new(Client::new(address, &Options::default())?);
        // The machine-id itself is not for others (`man 5 machine-id`).
        let derived = |purpose: &str| -> Result<String> {
            let mut bytes = [0; 32];
            let expanded = Hkdf::<Sha256>::new(None, machine_id.as_bytes()).expand(purpose.as_bytes(), &mut bytes);
            expanded.map_err(|error| anyhow!("deriving from the machine-id: {error}"))?;
            Ok(hex::encode(bytes))
        };
        let id = derived("slipway discovery entry")?[..16].to_owned();
        Ok(Self::Discovery { client, id, secret: Secret::new(&derived("slipway discovery secret")?)? })
    }

    /// The name that the owner's list gives to the machine with this peer URL.
    #[must_use]
    pub fn name_of(&self, peer_url: &str) -> Option<&str> {
        match self {
            Self::List(roster) => roster.seats.iter().find(|seat| seat.peer_url == peer_url).map(|seat| seat.name.as_str()),
            Self::Discovery { .. } => None,
        }
    }
}

impl Configured {
    /// Makes sure that the owner's list and this machine agree on its address, where the list has its name.
    ///
    /// # Errors
    /// They do not.
    pub fn fits(&self, me: &Seat) -> Result<()> {
        if let Self::List(roster) = self
            && let Some(own) = roster.seats.iter().find(|seat| seat.name == me.name)
        {
            let (name, listed, mine) = (&me.name, &own.peer_url, &me.peer_url);
            ensure!(
                listed == mine,
                "[etcd] initial-cluster has {name} at {listed}, and this machine is {name} at {mine}; see `address` and `tls`"
            );
        }
        Ok(())
    }
}

impl Rendezvous for Configured {
    async fn look(&self, me: Option<&Seat>) -> Result<Roster> {
        match self {
            Self::List(roster) => Ok(roster.clone()),
            Self::Discovery { client, id, secret } => {
                if let Some(me) = me {
                    let member = Member { id: id.clone(), name: me.name.clone(), peer_urls: vec![me.peer_url.clone()] };
                    client.register(&member, Some(secret)).await?;
                }
                let roll = client.roll().await?;
                let seat = |member: &Member| Seat { name: member.name.clone(), peer_url: member.peer_urls.join(",") };
                Ok(Roster { size: roll.size, seats: roll.seated().iter().map(seat).collect() })
            }
        }
    }
}

/// Reads `n1=http://10.0.0.1:2380,n2=…`.
///
/// # Errors
/// An entry makes no sense, or two have the same name or address.
pub fn parse(list: &str) -> Result<Roster> {
    let mut seats: Vec<Seat> = Vec::new();
    for entry in list.split(',') {
        let member = Member::parse("1", entry.trim()).with_context(|| format!("[etcd] initial-cluster, entry {:?}", entry.trim()))?;
        let seat = Seat { name: member.name, peer_url: member.peer_urls.join(",") };
        let twice = seats.iter().any(|known| known.name == seat.name || known.peer_url == seat.peer_url);
        ensure!(!twice, "[etcd] initial-cluster names {} twice, or two members with its address", seat.name);
        seats.push(seat);
    }
    Ok(Roster { size: seats.len(), seats })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_owners_list_is_read() {
        let roster = parse("n1=http://10.0.0.1:2380, n2=http://10.0.0.2:2380").unwrap();
        assert_eq!((roster.size, roster.seats[1].name.as_str()), (2, "n2"));
        assert_eq!(Configured::List(roster).name_of("http://10.0.0.2:2380"), Some("n2"));
        let list = Configured::List(parse("n1=http://10.0.0.1:2380").unwrap());
        for (name, url, fits) in [("n1", "http://10.0.0.1:2380", true), ("n1", "https://10.0.0.1:2380", false), ("n9", "http://h:1", true)]
        {
            assert_eq!(list.fits(&Seat { name: name.to_owned(), peer_url: url.to_owned() }).is_ok(), fits, "{name} {url}");
        }
        for wrong in ["", "n1", "n1=10.0.0.1", "a=http://h:1,a=http://i:1", "a=http://h:1,b=http://h:1", "a=http://h:1,"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_machine_id_is_not_told() {
        let plan = config::Etcd { discovery: Some("http://h/discovery/abc".to_owned()), ..config::Etcd::default() };
        let id_of = |machine_id: &str| match Configured::new(&plan, machine_id).unwrap() {
            Configured::Discovery { id, .. } => id,
            Configured::List(_) => String::new(),
        };
        assert_eq!(id_of("a").len(), 16);
        assert_eq!(id_of("a"), id_of("a"));
        assert_ne!(id_of("a"), id_of("b"));
    }
}
