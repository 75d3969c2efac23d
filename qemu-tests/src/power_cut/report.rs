//! The certificate: how many states were explored, by which rules, what was booted, and what is not covered.

use std::collections::BTreeMap;

use anyhow::Context;
use camino::Utf8Path;
use serde::Serialize;

use super::choices::Limits;
use super::explore::{Address, Class, Counts, Exploration, SEED, Violation};
use super::invariants::RULES;
use super::lint::Order;
use super::recording::Recording;

/// File name of the machine-readable form.
pub const JSON: &str = "power-cut-report.json";
/// File name of the page.
pub const HTML: &str = "power-cut-report.html";

/// How the rules are checked that are none of one state's.
const OTHER_RULES: &[(&str, &str, &str)] = &[
    ("I3", "the running slot, its hash tree, the tables and the OEM partition are never written", "every request of the recording"),
    ("I4", "slot data, flush, boot entry, flush, flip: in this order", "the recording, with the requests that first show entry and flip"),
    ("I6", "a trial that is cut falls back; no entry is tried for ever", "boots of representatives: firmware starts are counted"),
    (
        "I8",
        "state and trusted metadata never go back and are never half written",
        "e2fsck and debugfs at flush boundaries, and half of what was not flushed",
    ),
    ("I9", "every machine comes to rest on the old or the new release", "boots of representatives"),
    ("I11", "the owner's files are unharmed", "e2fsck and debugfs at flush boundaries; read again in every boot"),
    ("I12", "the server is told what really runs", "boots of representatives, against a real server"),
];

/// What the exploration says nothing about.
const NOT_COVERED: &[&str] = &[
    "disks that lie: a flush that is answered before the data is safe, or a sector that is torn inside of its 512 bytes",
    "disks that damage sectors which were not being written when the power failed",
    "where more than twelve sectors are unflushed at once: every subset; a stated selection is explored instead",
    "the content of slots and boot entries: none, every other sector and all of what was not flushed, not every subset",
    "moments at which only the firmware's flash changes: fewer choices for the disk, and flash cut inside of one written byte",
    "a second cut while the machine recovers from the first",
    "machines that update from slot B, firmware other than the recorded one, and Secure Boot's own variables",
    "the first boot, in which the partition table is grown and the state partition is made",
];

/// One rule and how it fared.
#[derive(Debug, Clone, Serialize)]
pub struct Rule {
    name: String,
    promise: String,
    checked_on: String,
    violations: usize,
}

/// One boot of a state on real firmware.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Boot {
    /// The version it came to rest in.
    pub version: String,
    /// Starts of the firmware until then.
    pub starts: usize,
    /// Whether it could update afterwards, when that was asked of it.
    pub updated_again: Option<bool>,
    /// Seconds until then.
    pub seconds: u64,
}

/// A class with its boot.
#[derive(Debug, Clone, Serialize)]
pub struct ClassReport {
    meaning: String,
    #[serde(flatten)]
    class: Class,
    boot: Option<Boot>,
}

/// The certificate of one recording.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Certificate {
    story: String,
    recording: String,
    recording_sha256: String,
    seed: u64,
    limits: Limits,
    limits_while_flash_changes: Limits,
    counts: Counts,
    rules: Vec<Rule>,
    order: Order,
    tolerated: BTreeMap<String, usize>,
    classes: Vec<ClassReport>,
    violations: Vec<Reproducible>,
    not_covered: Vec<String>,
}

/// A violation with the command that shows it.
#[derive(Debug, Clone, Serialize)]
pub struct Reproducible {
    #[serde(flatten)]
    violation: Violation,
    reproduce: Option<String>,
}

impl Certificate {
    /// The certificate of an exploration; `folder` holds the recording, `boots` what was booted.
    #[must_use]
    pub fn new(recording: &Recording, folder: &Utf8Path, found: &Exploration, boots: &BTreeMap<Address, Boot>) -> Self {
        let broken = |rule: &str| found.broken.get(rule).copied().unwrap_or(0);
        let states = format!("{} distinct states", found.counts.distinct_boot_states);
        let of_states = RULES.iter().map(|(name, promise, _)| (*name, *promise, states.as_str()));
        let mut rules: Vec<Rule> = of_states
            .chain(OTHER_RULES.iter().copied())
            .map(|(name, promise, checked_on)| Rule {
                name: name.to_owned(),
                promise: promise.to_owned(),
                checked_on: checked_on.to_owned(),
                violations: broken(name),
            })
            .collect();
        rules.sort_by_key(|rule| rule.name[1..].parse::<u32>().unwrap_or(0));
        let classes = found.classes.iter().map(|(meaning, class)| ClassReport {
            meaning: meaning.clone(),
            class: class.clone(),
            boot: boots.get(&class.representative).cloned(),
        });
        let violations = found.violations.iter().map(|violation| Reproducible {
            reproduce: violation.state.map(|state| reproduce(folder, state)),
            violation: violation.clone(),
        });
        Self {
            story: recording.about.story.clone(),
            recording: folder.to_string(),
            recording_sha256: recording.digest.clone(),
            seed: SEED,
            limits: Limits::FINE,
            limits_while_flash_changes: Limits::COARSE,
            counts: found.counts.clone(),
            rules,
            order: found.order.clone(),
            tolerated: found.tolerated.clone(),
            classes: classes.collect(),
            violations: violations.collect(),
            not_covered: NOT_COVERED.iter().map(|text| (*text).to_owned()).collect(),
        }
    }

    /// Writes both forms into `folder`.
    pub fn write(&self, folder: &Utf8Path) -> anyhow::Result<()> {
        std::fs::create_dir_all(folder).with_context(|| format!("making {folder}"))?;
        let json = serde_json::to_vec_pretty(self).context("writing JSON")?;
        for (name, bytes) in [(JSON, json), (HTML, self.page().into_bytes())] {
            std::fs::write(folder.join(name), bytes).with_context(|| format!("writing {}", folder.join(name)))?;
        }
        Ok(())
    }

    fn page(&self) -> String {
        let counts = &self.counts;
        let verdict = if self.violations.is_empty() { "No rule was broken" } else { "Rules were broken" };
        let rules = table(
            &["rule", "promise", "checked on", "violations"],
            self.rules.iter().map(|rule| [rule.name.clone(), rule.promise.clone(), rule.checked_on.clone(), rule.violations.to_string()]),
        );
        let classes = table(
            &["states", "what the next power-on finds", "one of them", "booted"],
            self.classes.iter().map(|one| {
                let booted =
                    one.boot.as_ref().map_or("no".into(), |boot| format!("rests in {} after {} starts", boot.version, boot.starts));
                [one.class.states.to_string(), one.meaning.clone(), one.class.representative.to_string(), booted]
            }),
        );
        let violations = table(
            &["rule", "problem", "how to see it"],
            self.violations.iter().map(|one| {
                [
                    one.violation.rule.clone(),
                    one.violation.problem.clone(),
                    one.reproduce.clone().unwrap_or_else(|| "in the recording".into()),
                ]
            }),
        );
        let not_covered: String = self.not_covered.iter().map(|text| format!("<li>{}</li>", escape(text))).collect();
        let tolerated =
            table(&["harmless fault of the ESP", "states"], self.tolerated.iter().map(|(what, states)| [what.clone(), states.to_string()]));
        format!(
            "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Power cuts</title><style>body{{font:16px/1.5 sans-serif;max-width:70em;\
             margin:2em auto;padding:0 1em}}table{{border-collapse:collapse;width:100%;margin:1em 0}}td,th{{border:1px solid #bbb;padding:.3em .6em;\
             text-align:left;vertical-align:top;overflow-wrap:anywhere}}code{{overflow-wrap:anywhere}}</style>\
             <h1>{verdict}</h1><p>{}</p><p>{} distinct states at {} moments; {} of them differ outside of the state partition. {} of the moments \
             were tried in every way. {} distinct contents of the state partition, {} of them checked with e2fsck.</p>\
             <p>Recording <code>{}</code>, seed <code>{}</code>.</p><h2>Rules</h2>{rules}<h2>Classes</h2>{classes}<h2>Violations</h2>{violations}\
             <h2>Tolerated</h2>{tolerated}<h2>Not covered</h2><ul>{not_covered}</ul></html>\n",
            escape(&self.story),
            counts.distinct_states,
            counts.moments,
            counts.distinct_boot_states,
            counts.exhaustive_moments,
            counts.distinct_state_partitions,
            counts.file_system_checks,
            self.recording_sha256,
            self.seed,
        )
    }
}

/// The command that boots a state.
#[must_use]
pub fn reproduce(folder: &Utf8Path, state: Address) -> String {
    format!("SLIPWAY_POWER_CUT_STATE={folder}:{state} cargo test -p qemu-tests --test scenarios -- power_cut_state_that_is_named")
}

fn table<const N: usize>(head: &[&str; N], rows: impl Iterator<Item = [String; N]>) -> String {
    let row = |tag: &str, cells: &[String]| {
        let cells: String = cells.iter().map(|cell| format!("<{tag}>{}</{tag}>", escape(cell))).collect();
        format!("<tr>{cells}</tr>")
    };
    let rows: Vec<String> = rows.map(|cells| row("td", &cells)).collect();
    if rows.is_empty() {
        return "<p>None.</p>".into();
    }
    format!("<table>{}{}</table>", row("th", &head.map(str::to_owned)), rows.concat())
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::super::synthetic::Story;
    use super::*;

    #[test]
    fn a_violation_carries_the_way_to_see_it_again() {
        let recording = Story::small().recording();
        let mut found = Exploration::default();
        let address: Address = "12.3".parse().unwrap();
        found.violation("I2", "nothing <to> start".into(), Some(address), "update");
        found.violation("I3", "request 5".into(), None, "update");
        let certificate = Certificate::new(&recording, Utf8Path::new("/r"), &found, &BTreeMap::new());
        let json = serde_json::to_value(&certificate).unwrap();
        assert!(json["violations"][0]["reproduce"].as_str().unwrap().starts_with("SLIPWAY_POWER_CUT_STATE=/r:12.3 cargo test"));
        assert!(json["violations"][1]["reproduce"].is_null());
        let rules = json["rules"].as_array().unwrap();
        let names: Vec<_> = rules.iter().map(|rule| rule["name"].as_str().unwrap()).collect();
        assert_eq!(names, ["I1", "I2", "I3", "I4", "I5", "I6", "I7", "I8", "I9", "I10", "I11", "I12"]);
        assert_eq!((rules[1]["violations"].as_u64(), rules[0]["violations"].as_u64()), (Some(1), Some(0)));
        let page = certificate.page();
        assert!(page.contains("Rules were broken") && page.contains("nothing &lt;to&gt; start"));
        assert!("12".parse::<Address>().is_err() && "a.b".parse::<Address>().is_err());
    }
}
