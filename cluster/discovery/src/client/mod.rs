//! The side of a machine.
//!
//! Every call can be repeated: a machine whose registration was interrupted finds its entry again, and waiting begins with
//! reading what is there.

mod error;
mod http;
#[cfg(test)]
mod tests;
mod wait;

use std::time::Duration;

pub use error::Error;
pub use wait::Progress;

use crate::wire::{Answer, SECRET_HEADER, code};
use crate::{Address, Member, Roll, Secret};

/// How the address is reached.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Certificates (PEM) that alone are trusted; without them, the system's are.
    pub ca_pem: Option<Vec<u8>>,
    /// Proxy for all requests, e.g. `http://proxy.example:3128`.
    pub proxy: Option<String>,
    /// How long to wait where an answer does not come, and between questions.
    pub patience: Patience,
}

/// How long to wait where an answer does not come, and between questions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// For an answer that comes at once.
    pub request: Duration,
    /// For an answer that comes when something happens. Servers and proxies give up earlier, most of them after a minute.
    pub poll: Duration,
    /// After the first failure; doubled with each one that follows.
    pub first_pause: Duration,
    /// Between questions, at most.
    pub longest_pause: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            request: Duration::from_secs(15),
            poll: Duration::from_secs(90),
            first_pause: Duration::from_secs(1),
            longest_pause: Duration::from_secs(60),
        }
    }
}

/// What became of a registration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Registered {
    /// The entry is new.
    New,
    /// The same entry was there already.
    Again,
    /// An older entry of this machine was there, and was replaced. Its place in the order stays.
    Replaced,
    /// Every seat is taken by others.
    Full,
}

/// Talks to a discovery service about one cluster.
#[derive(Debug, Clone)]
pub struct Client {
    address: Address,
    http: reqwest::Client,
    patience: Patience,
}

impl Client {
    /// A client for an address. Nothing is sent yet.
    ///
    /// # Errors
    /// The certificates or the proxy make no sense.
    pub fn new(address: Address, options: &Options) -> Result<Self, Error> {
        Ok(Self { address, http: http::client(options)?, patience: options.patience })
    }

    /// The address.
    #[must_use]
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// How many seats the cluster has. Asks once.
    ///
    /// # Errors
    /// There is no such address, or no sensible answer; [`Error::passing`] says whether to ask again.
    pub async fn size(&self) -> Result<usize, Error> {
        Ok(self.get(&["_config", "size"], &[]).await?.0.size()?)
    }

    /// All that are written at the address, in the order in which they came, beyond the seats as well. Asks once.
    ///
    /// # Errors
    /// As [`Self::size`].
    pub async fn members(&self) -> Result<Vec<Member>, Error> {
        Ok(self.get(&[], &[]).await?.0.members()?)
    }

    /// Who is there, and how many seats there are. Asks twice.
    ///
    /// # Errors
    /// As [`Self::size`].
    pub async fn roll(&self) -> Result<Roll, Error> {
        Ok(self.indexed_roll().await?.0)
    }

    /// Writes an entry, unless every seat is taken by others. May be called again at any time: what is there already is left as it is.
    ///
    /// With a secret, our own server lets the machine replace an older entry of its own that says something else.
    ///
    /// # Errors
    /// As [`Self::size`]; [`Error::Taken`] when something else is written under this identifier and may not be replaced.
    pub async fn register(&self, member: &Member, secret: Option<&Secret>) -> Result<Registered, Error> {
        let roll = self.roll().await?;
        let before = roll.members.iter().find(|known| known.id == member.id);
        if before.is_none() && roll.complete() {
            return Ok(Registered::Full);
        }
        if before == Some(member) {
            return Ok(self.outcome(&roll, member, Registered::Again));
        }
        match self.put(member, secret).await {
            Ok(()) => {
                let outcome = if before.is_some() { Registered::Replaced } else { Registered::New };
                // Others may have come at the same moment.
                Ok(self.outcome(&self.roll().await?, member, outcome))
            }
            // Written by an earlier attempt of ours whose answer was lost, or by somebody else.
            Err(Error::Fault(fault)) if fault.error_code == code::EXISTS => {
                let roll = self.roll().await?;
                match roll.members.iter().find(|known| known.id == member.id) {
                    Some(known) if known == member => Ok(self.outcome(&roll, member, Registered::Again)),
                    _ => Err(Error::Taken { id: member.id.clone() }),
                }
            }
            Err(error) => Err(error),
        }
    }

    fn outcome(&self, roll: &Roll, member: &Member, outcome: Registered) -> Registered {
        if roll.has_seat(&member.id) { outcome } else { Registered::Full }
    }

    async fn put(&self, member: &Member, secret: Option<&Secret>) -> Result<(), Error> {
        let url = self.address.below(&[&member.id], &[("prevExist", "false")]);
        let form: String = url::form_urlencoded::Serializer::new(String::new()).append_pair("value", &member.value()).finish();
        let mut request = self.http.put(url).header("content-type", "application/x-www-form-urlencoded").body(form);
        if let Some(secret) = secret {
            request = request.header(SECRET_HEADER, secret.reveal());
        }
        http::send(request, self.patience.request, &self.address).await.map(drop)
    }

    async fn get(&self, path: &[&str], query: &[(&str, &str)]) -> Result<(Answer, u64), Error> {
        let polls = query.iter().any(|(name, _)| *name == "wait");
        let limit = if polls { self.patience.poll } else { self.patience.request };
        let answer = http::send(self.http.get(self.address.below(path, query)), limit, &self.address).await?;
        Ok((Answer::parse(&answer.body)?, answer.index))
    }

    /// With the index up to which it is true.
    async fn indexed_roll(&self) -> Result<(Roll, u64), Error> {
        let size = self.size().await?;
        let (answer, index) = self.get(&[], &[]).await?;
        Ok((Roll { size, members: answer.members()? }, index))
    }
}
