//! Figures for the node exporter's textfile collector: one file, replaced as a whole, readable by everybody.
//!
//! `slipway_updater_metadata_expires_seconds` is the alarm against a server that hides new releases: signed metadata has a date, and
//! an operator should hear of it before the machine refuses it.

mod collect;

pub use collect::collect;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io;
use std::path::Path;

/// Where the file is; the collector is pointed at its folder.
pub const FILE: &str = "/run/updater/metrics.prom";
/// States the daemon can be in at most, and kinds of failures: a metric with ever new labels eats the server that stores it.
const MAX_LABELS: usize = 64;

/// What there is to tell.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Figures {
    /// State of the machine, e.g. `idle`.
    pub state: String,
    /// Version that runs.
    pub version: String,
    /// Slot it runs from, `a` or `b`.
    pub slot: String,
    /// Version that is offered, staged or tried.
    pub available: Option<String>,
    /// When the server was asked last, in seconds since 1970.
    pub last_check: Option<i64>,
    /// When it answered last.
    pub last_success: Option<i64>,
    /// Failures since the daemon started, by kind.
    pub failures: BTreeMap<String, u64>,
    /// Bytes of the release in place.
    pub staged_bytes: u64,
    /// Bytes of the release in all.
    pub release_bytes: u64,
    /// Releases that failed here.
    pub quarantined: usize,
    /// How the last trial ended, when there was one: true for a commit.
    pub trial_passed: Option<bool>,
    /// When the release metadata expires, in seconds since 1970.
    pub metadata_expires: Option<i64>,
    /// When it was verified last, in seconds since 1970.
    pub metadata_checked: Option<i64>,
    /// It was refused: new releases may be withheld.
    pub metadata_refused: bool,
}

/// The file's text.
#[must_use]
pub fn render(figures: &Figures) -> String {
    let mut text = String::new();
    let mut metric = |name: &str, kind: &str, help: &str, samples: &[(String, i128)]| {
        if samples.is_empty() {
            return;
        }
        // Writing to a string cannot fail.
        let _ = write!(text, "# HELP slipway_updater_{name} {help}\n# TYPE slipway_updater_{name} {kind}\n");
        for (labels, value) in samples.iter().take(MAX_LABELS) {
            let _ = writeln!(text, "slipway_updater_{name}{labels} {value}");
        }
    };
    let one = |value: Option<i128>| value.map(|value| (String::new(), value)).into_iter().collect::<Vec<_>>();
    let info =
        labels(&[("version", &figures.version), ("slot", &figures.slot), ("available", figures.available.as_deref().unwrap_or_default())]);
    metric("info", "gauge", "What runs, and what comes next.", &[(info, 1)]);
    metric("state", "gauge", "The state the updater is in.", &[(labels(&[("state", &figures.state)]), 1)]);
    metric("last_check_timestamp_seconds", "gauge", "When the server was asked last.", &one(figures.last_check.map(Into::into)));
    metric("last_success_timestamp_seconds", "gauge", "When the server answered last.", &one(figures.last_success.map(Into::into)));
    let failures: Vec<_> = figures.failures.iter().map(|(kind, count)| (labels(&[("kind", kind)]), i128::from(*count))).collect();
    metric("failures_total", "counter", "Failures by kind.", &failures);
    metric("staged_bytes", "gauge", "Bytes of the release that are in the passive slot.", &one(Some(figures.staged_bytes.into())));
    metric("release_bytes", "gauge", "Bytes of the release in all.", &one(Some(figures.release_bytes.into())));
    metric("quarantined_releases", "gauge", "Releases that failed on this machine.", &one(i128::try_from(figures.quarantined).ok()));
    metric(
        "trial_passed",
        "gauge",
        "1 when the last trial was committed, 0 when it was rolled back.",
        &one(figures.trial_passed.map(Into::into)),
    );
    metric(
        "metadata_expires_seconds",
        "gauge",
        "When the release metadata expires; near or past means that new releases are withheld.",
        &one(figures.metadata_expires.map(Into::into)),
    );
    let checked = one(figures.metadata_checked.map(Into::into));
    metric("metadata_checked_timestamp_seconds", "gauge", "When the release metadata was verified last.", &checked);
    let refused = one(Some(figures.metadata_refused.into()));
    metric("metadata_refused", "gauge", "1 while the release metadata is refused: new releases may be withheld.", &refused);
    text
}

fn labels(pairs: &[(&str, &str)]) -> String {
    let escaped = |value: &str| value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    let pairs: Vec<String> = pairs.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
    format!("{{{}}}", pairs.join(","))
}

/// Replaces the file.
pub fn write(path: &Path, figures: &Figures) -> io::Result<()> {
    crate::disk::show(path, render(figures).as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn figures() -> Figures {
        Figures {
            state: "idle".into(),
            version: "1.2.3".into(),
            slot: "a".into(),
            failures: [("network".into(), 3)].into(),
            trial_passed: Some(false),
            metadata_expires: Some(1_800_000_000),
            quarantined: 1,
            ..Figures::default()
        }
    }

    #[test]
    fn the_figures_read_as_prometheus_wants_them() {
        let text = render(&figures());
        for line in [
            "slipway_updater_info{version=\"1.2.3\",slot=\"a\",available=\"\"} 1",
            "slipway_updater_state{state=\"idle\"} 1",
            "slipway_updater_failures_total{kind=\"network\"} 3",
            "slipway_updater_trial_passed 0",
            "slipway_updater_quarantined_releases 1",
            "# TYPE slipway_updater_metadata_expires_seconds gauge",
            "slipway_updater_metadata_expires_seconds 1800000000",
        ] {
            assert!(text.lines().any(|had| had == line), "{line}\n{text}");
        }
        assert!(!text.contains("last_check"), "what never happened is not told");
        assert!(text.lines().all(|line| line.starts_with('#') || line.starts_with("slipway_updater_")));
    }

    #[test]
    fn labels_cannot_break_out_and_do_not_multiply() {
        let hostile = Figures { available: Some("1\"} 1\nevil 2\\".into()), ..figures() };
        let text = render(&hostile);
        assert!(text.contains(r#"available="1\"} 1\nevil 2\\""#) && !text.lines().any(|line| line.starts_with("evil")), "{text}");
        let many = Figures { failures: (0..1000).map(|number| (format!("k{number}"), 1)).collect(), ..figures() };
        assert!(render(&many).lines().count() < 100);
    }

    #[test]
    fn the_file_is_readable_by_all_and_missing_folders_are_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("metrics.prom");
        write(&path, &figures()).unwrap();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o644);
        assert!(write(&dir.path().join("none/metrics.prom"), &figures()).is_err());
    }
}
