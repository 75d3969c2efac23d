//! The command line of `load`.

use std::time::Duration;

use anyhow::{Context, ensure};

use super::template::Template;
use crate::policy::{Share, Span};

/// Connections of one generator: well below the 28,000 ports there are for one address.
const MAX_CONNECTIONS: u32 = 20_000;
/// Requests per second that are asked of one generator; more than one computer answers.
const MAX_RATE: u64 = 1_000_000;
/// How long a run may take.
const MAX_SPAN: Span = Span::hours(24);

const EXAMPLES: &str = "Examples:
  # what 100,000 machines that check in every 45 minutes ask for: 37 a second
  update-server load --url http://localhost:8080/v1/update --machines 100000 --rate 37
  # as fast as 32 connections go, for ten seconds, with the server's processor time
  update-server load --url http://localhost:8080/v1/update --connections 32 --for 10s --server-pid 4711";

/// Sends check-ins of many machines to a server and measures the answers.
#[derive(Debug, Clone, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub struct Args {
    /// Where machines check in; plain HTTP.
    #[arg(long, default_value = "http://localhost:8080/v1/update")]
    pub url: String,
    /// Machines that check in, one after the other.
    #[arg(long, default_value_t = 100_000)]
    pub machines: u32,
    /// What the machines' ids are made of.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Requests a second; without it as fast as the connections go.
    #[arg(long)]
    pub rate: Option<u64>,
    /// Connections, kept alive.
    #[arg(long, default_value_t = 64)]
    pub connections: u32,
    /// How long to measure.
    #[arg(long = "for", value_name = "SPAN", default_value = "10s")]
    pub span: Span,
    /// How long to send before measuring.
    #[arg(long, value_name = "SPAN", default_value = "2s")]
    pub warm_up: Span,
    /// Requests that report an event instead of asking for an update, in per cent.
    #[arg(long, value_name = "PERCENT", default_value = "0")]
    pub event_share: Share,
    /// Application id.
    #[arg(long, default_value = "{e96281a6-d1af-4bde-9a0a-97b76e56dc57}")]
    pub app_id: String,
    /// The group that the machines name.
    #[arg(long, default_value = "stable")]
    pub group: String,
    /// The version that the machines run.
    #[arg(long = "running", value_name = "VERSION", default_value = "1.0.0")]
    pub version: String,
    /// Board of the machines, which says their architecture.
    #[arg(long, default_value = "amd64-usr")]
    pub board: String,
    /// Process whose processor time is counted, with its descendants; may be given several times.
    #[arg(long, value_name = "PID")]
    pub server_pid: Vec<u32>,
}

/// A run, checked.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    /// `HOST:PORT` to connect to.
    pub(super) address: String,
    pub(super) template: Template,
    pub(super) machines: u32,
    pub(super) seed: u64,
    pub(super) rate: Option<u64>,
    pub(super) connections: u32,
    pub(super) warm_up: Duration,
    pub(super) span: Duration,
    pub(super) event_share: Share,
}

impl Args {
    pub(super) fn plan(&self) -> anyhow::Result<Plan> {
        let rest = self
            .url
            .strip_prefix("http://")
            .with_context(|| format!("{} is no plain HTTP address: write http://HOST:PORT/v1/update", self.url))?;
        let (host, path) = rest.split_once('/').unwrap_or((rest, "v1/update"));
        ensure!(!host.is_empty() && !rest.contains([' ', '\r', '\n']), "{} names no host: write http://HOST:PORT/v1/update", self.url);
        let has_port = host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        let address = if has_port { host.to_owned() } else { format!("{host}:80") };
        ensure!(self.machines > 0, "there must be machines to check in");
        ensure!((1..=MAX_CONNECTIONS).contains(&self.connections), "1 to {MAX_CONNECTIONS} connections, not {}", self.connections);
        ensure!(self.rate.is_none_or(|rate| (1..=MAX_RATE).contains(&rate)), "1 to {MAX_RATE} requests a second");
        ensure!(
            self.span > Span::ZERO && self.span <= MAX_SPAN && self.warm_up <= MAX_SPAN,
            "a run takes more than 0s and at most {MAX_SPAN}"
        );
        let template = Template::new(host, &format!("/{path}"), self);
        let (warm_up, span) = (Duration::from_millis(self.warm_up.0), Duration::from_millis(self.span.0));
        let Self { machines, seed, rate, connections, event_share, .. } = *self;
        Ok(Plan { address, template, machines, seed, rate, connections, warm_up, span, event_share })
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    #[derive(clap::Parser)]
    struct Cli {
        #[command(flatten)]
        args: Args,
    }

    pub(crate) fn args(line: &[&str]) -> Args {
        <Cli as clap::Parser>::try_parse_from([&["load"], line].concat()).unwrap().args
    }

    #[test]
    fn addresses_are_understood() {
        for (url, address) in [
            ("http://localhost:8080/v1/update", "localhost:8080"),
            ("http://updates.example/v1/update/", "updates.example:80"),
            ("http://[::1]:80", "[::1]:80"),
        ] {
            assert_eq!(args(&["--url", url]).plan().unwrap().address, address);
        }
    }

    #[test]
    fn refuses_what_makes_no_sense() {
        for line in [
            ["--url", "https://localhost/v1/update"],
            ["--url", "localhost:8080"],
            ["--url", "http:///v1/update"],
            ["--url", "http://a/b c"],
            ["--machines", "0"],
            ["--connections", "0"],
            ["--connections", "20001"],
            ["--rate", "0"],
            ["--for", "0s"],
            ["--for", "25h"],
        ] {
            assert!(args(&line).plan().is_err(), "{line:?}");
        }
    }
}
