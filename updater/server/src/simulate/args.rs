//! The command line of `simulate`.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};

use super::fleet::machine_id;
use super::scenario::Scenario;
use crate::policy::{Brake, Ramp, Settings, Share, Span, Version};

/// The largest policy file: real ones have a few hundred bytes.
const POLICY_BYTES: u64 = 1 << 20;

const EXAMPLES: &str = "Examples:
  # a day of a ramp that is slow at first, on 100,000 machines
  update-server simulate --ramp 0h:1,2h:5,12h:50,24h:100
  # without a ramp everybody gets the release at once: what that costs in bandwidth
  update-server simulate
  # what the brake makes of a release that fails on 3 % of a million machines
  update-server simulate --machines 1000000 --failure-share 3 --ramp 0h:1,1h:10,24h:100 --brake 2:50:3h
  # ten canaries that must hold for two hours, then everybody within a day
  update-server simulate --canaries 10 --soak 2h --ramp 0h:5,24h:100
  # a policy as the server stores it, and machines on two versions with one that must not be skipped
  update-server simulate --policy policy.toml --versions 1.0.0:80,0.8.0:20 --floor 0.9.0 --release 1.1.0

A policy file is TOML or JSON:
  ramp = \"0h:1,1h:10,24h:100\"        # straight lines; \"steps 0h:1,1h:10\" holds each share
  [canaries]
  machines = [\"...\"]
  need = 3
  soak = \"2h\"
  [brake]
  max-failures = 5                    # per cent
  sample = 20
  silence = \"3h\"

Shares are percentages. Equal options give equal runs: compare the digests.";

/// Tries a rollout on a simulated fleet, in virtual time and with the policy code of the server.
#[derive(Debug, Clone, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub struct Args {
    /// Machines in the fleet.
    #[arg(long, default_value_t = Scenario::default().machines)]
    pub machines: u32,
    /// Hours to simulate.
    #[arg(long, default_value_t = Scenario::default().hours)]
    pub hours: u32,
    /// What chance is made of.
    #[arg(long, default_value_t = Scenario::default().seed)]
    pub seed: u64,
    /// Policy of the rollout: ramp, canaries, brake (TOML, or JSON by its name).
    #[arg(long, value_name = "FILE")]
    pub policy: Option<PathBuf>,
    /// Share of machines over time; replaces that of the policy. Without both everybody at once.
    #[arg(long, value_name = "AFTER:PERCENT,...")]
    pub ramp: Option<Ramp>,
    /// When to stop by itself; replaces that of the policy.
    #[arg(long, value_name = "FAILURES:SAMPLE:SILENCE")]
    pub brake: Option<Brake>,
    /// Machines that go first, all of which must complete; adds to those of the policy.
    #[arg(long, default_value_t = 0)]
    pub canaries: u32,
    /// How long the canaries must hold.
    #[arg(long, value_name = "SPAN")]
    pub soak: Option<Span>,
    /// Machines that may be busy with an update at the same time.
    #[arg(long)]
    pub parallel: Option<u64>,
    /// Machines on which the release fails and rolls back, in per cent.
    #[arg(long, value_name = "PERCENT", default_value = "0")]
    pub failure_share: Share,
    /// Machines that the release silences for ever, in per cent.
    #[arg(long, value_name = "PERCENT", default_value = "0")]
    pub silent_share: Share,
    /// Downloads that fail and are tried again, in per cent.
    #[arg(long, value_name = "PERCENT", default_value_t = Scenario::default().download_failures)]
    pub download_failure_share: Share,
    /// Machines that are switched off at any moment, in per cent.
    #[arg(long, value_name = "PERCENT", default_value_t = Scenario::default().offline)]
    pub offline_share: Share,
    /// How long they are switched off on average.
    #[arg(long, value_name = "SPAN", default_value_t = Scenario::default().offline_for)]
    pub offline_for: Span,
    /// Size of the download in megabytes.
    #[arg(long, default_value_t = 200)]
    pub payload_mb: u64,
    /// Download speed of a machine on average, in Mbit/s.
    #[arg(long, default_value_t = 50)]
    pub rate_mbit: u64,
    /// Time between two check-ins of a machine.
    #[arg(long, value_name = "SPAN", default_value_t = Scenario::default().poll)]
    pub poll: Span,
    /// How much earlier or later they happen.
    #[arg(long, value_name = "SPAN", default_value_t = Scenario::default().jitter)]
    pub jitter: Span,
    /// What machines run in the beginning.
    #[arg(long, value_name = "VERSION:PERCENT,...", default_value = "1.0.0:100", value_delimiter = ',', value_parser = version_share)]
    pub versions: Vec<(Version, Share)>,
    /// The release that spreads.
    #[arg(long, value_name = "VERSION", default_value_t = Scenario::default().release)]
    pub release: Version,
    /// Releases that must not be skipped.
    #[arg(long = "floor", value_name = "VERSION")]
    pub floors: Vec<Version>,
}

impl Args {
    /// The scenario that is asked for.
    ///
    /// # Errors
    /// When the policy file cannot be read.
    pub fn scenario(&self) -> anyhow::Result<Scenario> {
        let mut settings = match &self.policy {
            Some(file) => policy(file)?,
            None => Settings::default(),
        };
        if let Some(ramp) = &self.ramp {
            settings.ramp = ramp.clone();
        }
        settings.brake = self.brake.unwrap_or(settings.brake);
        settings.canaries.soak = self.soak.unwrap_or(settings.canaries.soak);
        if self.canaries > 0 {
            ensure!(self.canaries <= self.machines, "there are only {} machines, not {} canaries", self.machines, self.canaries);
            settings.canaries.machines.extend((0..self.canaries).map(|index| machine_id(self.seed, index)));
            let count = u64::from(self.canaries);
            (settings.canaries.need, settings.canaries.limit) = (count, settings.canaries.limit.max(count));
        }
        Ok(Scenario {
            machines: self.machines,
            hours: self.hours,
            seed: self.seed,
            settings,
            parallel: self.parallel,
            versions: self.versions.clone(),
            release: self.release.clone(),
            floors: self.floors.clone(),
            poll: self.poll,
            jitter: self.jitter,
            failures: self.failure_share,
            silent: self.silent_share,
            download_failures: self.download_failure_share,
            offline: self.offline_share,
            offline_for: self.offline_for,
            payload_bytes: self.payload_mb.saturating_mul(1_000_000),
            rate_bytes: self.rate_mbit.saturating_mul(1_000_000 / 8),
        })
    }
}

/// Reads a policy: JSON when the file is called so, else TOML.
fn policy(file: &Path) -> anyhow::Result<Settings> {
    let reading = || format!("reading policy {}", file.display());
    let bytes = std::fs::metadata(file).with_context(reading)?.len();
    if bytes > POLICY_BYTES {
        bail!("policy {} has {bytes} bytes, at most {POLICY_BYTES} are read", file.display());
    }
    let text = std::fs::read_to_string(file).with_context(reading)?;
    let json = file.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("json"));
    if json { serde_json::from_str(&text).with_context(reading) } else { toml::from_str(&text).with_context(reading) }
}

fn version_share(text: &str) -> Result<(Version, Share), String> {
    let (version, share) = text.split_once(':').ok_or("write VERSION:PERCENT, e.g. 1.0.0:80")?;
    let version = version.parse::<Version>().map_err(|error| format!("{version}: {error}"))?;
    Ok((version, share.parse::<Share>().map_err(|error| format!("{error}"))?))
}
