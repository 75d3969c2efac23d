//! Asking a platform, within what its source may take in total.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};

use super::error::SourceError;
use super::facts;
use super::host::Host;
use super::http::{Answer, Method, Request, Route, shown};
use super::limits::{ATTEMPT, PAUSE, PAUSE_MAX, VALUE_BYTES};

/// A platform's service, and the time that is left for it. All requests of a source share one.
pub(super) struct Net<'a> {
    host: &'a dyn Host,
    budget: Duration,
    deadline: Duration,
    attempt: Duration,
    headers: Vec<(&'static str, String)>,
    route: Route,
    /// A header that every answer must have.
    proof: Option<(&'static str, &'static str)>,
}

impl<'a> Net<'a> {
    /// A service that may take `budget` in total, beginning now.
    pub(super) fn new(host: &'a dyn Host, budget: Duration) -> Self {
        let deadline = host.now().saturating_add(budget);
        Self { host, budget, deadline, attempt: ATTEMPT, headers: Vec::new(), route: Route::Metadata, proof: None }
    }

    /// Sends a header with every request.
    pub(super) fn with_header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// Believes only answers that have this header.
    pub(super) fn with_proof(mut self, name: &'static str, value: &'static str) -> Self {
        self.proof = Some((name, value));
        self
    }

    /// Goes by way of the internet instead of this machine's own network.
    pub(super) fn over_the_internet(mut self) -> Self {
        self.route = Route::Internet;
        self
    }

    /// Lets one attempt take all the time there is: what is large takes its time.
    pub(super) fn patiently(mut self) -> Self {
        self.attempt = self.budget;
        self
    }

    /// The document at `url`; nothing when there is none (404).
    pub(super) fn get(&self, url: &str, max_bytes: usize) -> Result<Option<Vec<u8>>, SourceError> {
        let answer = self.ask(Method::Get, url, max_bytes, &[])?;
        match answer.status {
            200..=299 => self.believe(url, &answer).map(|()| Some(answer.body)),
            404 => Ok(None),
            status => Err(self.status(url, status)),
        }
    }

    /// The document at `url`, which must be there.
    pub(super) fn need(&self, url: &str, max_bytes: usize) -> Result<Vec<u8>, SourceError> {
        self.get(url, max_bytes)?.ok_or_else(|| self.status(url, 404))
    }

    /// A single value; nothing when there is none, or an empty one.
    pub(super) fn value(&self, url: &str) -> Result<Option<String>, SourceError> {
        let Some(bytes) = self.get(url, VALUE_BYTES)? else { return Ok(None) };
        let text = facts::text(&shown(url), bytes)?;
        Ok(Some(text.trim().to_owned()).filter(|text| !text.is_empty()))
    }

    /// Sends a request until there is an answer that says something, and returns it whatever it says.
    pub(super) fn ask(
        &self,
        method: Method,
        url: &str,
        max_bytes: usize,
        headers: &[(&'static str, String)],
    ) -> Result<Answer, SourceError> {
        let mut pauses = ExponentialBuilder::default().with_min_delay(PAUSE).with_max_delay(PAUSE_MAX).without_max_times().build();
        let headers: Vec<_> = self.headers.iter().chain(headers).cloned().collect();
        let mut last = String::from("there was no time left to ask");
        loop {
            let left = self.deadline.saturating_sub(self.host.now());
            if left.is_zero() {
                return Err(SourceError::Budget { url: shown(url), budget: self.budget, last });
            }
            let timeout = left.min(self.attempt);
            let request = Request { method, url: url.to_owned(), headers: headers.clone(), max_bytes, timeout, route: self.route };
            match self.host.http(&request) {
                Ok(answer) if !is_transient(answer.status) => return Ok(answer),
                Ok(answer) => last = format!("HTTP status {}", answer.status),
                Err(error) if error.is_transient() => last = error.to_string(),
                Err(error) => return Err(SourceError::Http { url: shown(url), error }),
            }
            let left = self.deadline.saturating_sub(self.host.now());
            self.host.sleep(pauses.next().unwrap_or(PAUSE_MAX).min(left));
        }
    }

    fn believe(&self, url: &str, answer: &Answer) -> Result<(), SourceError> {
        match self.proof {
            Some((name, value)) if answer.header(&name.to_lowercase()) != Some(value) => {
                Err(SourceError::Stranger { url: shown(url), header: name })
            }
            _ => Ok(()),
        }
    }

    /// An unexpected status.
    pub(super) fn status(&self, url: &str, status: u16) -> SourceError {
        let hint = match status {
            401 => "; the service wants a session token",
            403 => "; the metadata service is turned off for this machine, or not for it to ask",
            404 => "; it must be there",
            _ => "",
        };
        SourceError::Status { url: shown(url), status, hint }
    }
}

/// Whether a later try may be answered otherwise: too early, too often, or the server's own trouble.
fn is_transient(status: u16) -> bool {
    matches!(status, 408 | 425 | 429 | 500..=599)
}
