//! Pure: what a machine's words change about it.

use super::{CheckIn, Report};
use crate::policy::{Outcome, Phase, Progress, Time};
use crate::store::events::Event;
use crate::store::machines::{Failure, Record, lenient_version};

/// Earlier boots that are remembered to know a cloned disk by.
const EARLIER_BOOTS: usize = 4;
/// Quarantined releases that are remembered of a machine; it remembers them itself, this is for decisions and tables.
const QUARANTINED: usize = 16;
/// Omaha's code for "came back from the update".
const ROLLED_BACK: i64 = 44;

/// What the machine's words mean for the release it was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    /// What has become of it.
    pub outcome: Outcome,
    /// Error code of a failure.
    pub code: Option<i64>,
    /// Cause of a failure.
    pub cause: Option<String>,
}

/// What a check-in changes beside the record itself.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Absorbed {
    /// Whether the record must be written in full.
    pub changed: bool,
    /// Reports to keep.
    pub events: Vec<Event>,
    /// What it says about the release it was given, in order.
    pub words: Vec<Word>,
}

/// Takes in what a machine says of itself and what happened to it. Events come before the question.
pub fn absorb(record: &mut Record, said: &CheckIn, now: Time) -> Absorbed {
    let mut out = Absorbed { changed: introduce(record, said), ..Absorbed::default() };
    // What reports and boots may change; nearly always there is nothing in it to copy.
    let before = (record.facts.progress.clone(), record.facts.failure.clone(), record.facts.quarantined.clone(), record.state);
    out.changed |= boot(record, &said.boot_id);
    for report in &said.reports {
        hear(record, report, now, &mut out);
    }
    if said.asks && record.facts.progress.as_ref().is_some_and(|progress| progress.phase != Phase::Staged) {
        // Whoever asks is fetching nothing: what it says of a download is late, from before its power failed, or that one was given up.
        record.facts.progress = None;
    }
    record.last_seen = now;
    record.state = record.standing();
    let facts = &record.facts;
    let same = before.0 == facts.progress && before.1 == facts.failure && before.2 == facts.quarantined && before.3 == record.state;
    out.changed |= !same;
    out
}

/// Whether anything of it is new.
fn introduce(record: &mut Record, said: &CheckIn) -> bool {
    let facts = &mut record.facts;
    let mut changed = false;
    if !facts.group_fixed && record.group != said.group {
        record.group.clone_from(&said.group);
        changed = true;
    }
    for (known, new) in [
        (&mut record.version, &said.version),
        (&mut record.arch, &said.arch),
        (&mut record.oem, &said.oem),
        (&mut facts.oem_version, &said.oem_version),
        (&mut facts.board, &said.board),
        (&mut facts.alias, &said.alias),
        (&mut facts.aleph, &said.aleph),
        (&mut facts.client, &said.client),
    ] {
        if known != new {
            known.clone_from(new);
            changed = true;
        }
    }
    changed
}

/// Whether it is a new boot, which ends whatever was in progress. A boot that was over and is back belongs to another machine with the same id.
fn boot(record: &mut Record, boot_id: &str) -> bool {
    let facts = &mut record.facts;
    if boot_id.is_empty() || facts.boot_id == boot_id {
        return false;
    }
    if facts.earlier_boots.iter().any(|earlier| earlier == boot_id) {
        facts.duplicates = facts.duplicates.saturating_add(1);
        facts.earlier_boots.retain(|earlier| earlier != boot_id);
    }
    if !facts.boot_id.is_empty() {
        facts.earlier_boots.insert(0, std::mem::take(&mut facts.boot_id));
        facts.earlier_boots.truncate(EARLIER_BOOTS);
        facts.progress = None;
    }
    boot_id.clone_into(&mut facts.boot_id);
    true
}

fn hear(record: &mut Record, report: &Report, now: Time, out: &mut Absorbed) {
    let phase = match (report.kind, report.result) {
        (13, 1) => Some(Phase::Downloading),
        (14, 1) => Some(Phase::Downloaded),
        (3, 1) => Some(Phase::Staged),
        (3, 2) if report.previous.as_deref().is_none_or(|previous| previous.is_empty() || previous == "0.0.0.0") => {
            // What stock clients send with every ordinary check: no completion, but whoever asks is not busy.
            record.facts.progress = None;
            return;
        }
        (3, 2) => {
            (record.facts.progress, record.facts.failure) = (None, None);
            out.words.push(Word { outcome: Outcome::Completed, code: None, cause: None });
            None
        }
        (3, 0) => {
            fail(record, report, now, out);
            None
        }
        // Deferred by the machine's own policy, and Nebraska's "held back": worth keeping, no failure.
        (3, 9) | (13 | 14, 0) | (800, 1) => None,
        _ => return,
    };
    if let Some(phase) = phase {
        record.facts.progress = Some(Progress { phase, at: now });
        record.facts.failure = None;
        out.words.push(Word { outcome: Outcome::Pending, code: None, cause: None });
    }
    out.events.push(Event {
        machine: record.id,
        at: now,
        kind: report.kind,
        result: report.result,
        code: report.code,
        cause: report.cause.clone(),
        version: record.version.clone(),
        previous: report.previous.clone().filter(|previous| !previous.is_empty()),
        release: report.release.clone(),
    });
}

fn fail(record: &mut Record, report: &Report, now: Time, out: &mut Absorbed) {
    let code = report.code.unwrap_or(1);
    let rolled_back = code == ROLLED_BACK;
    record.facts.progress = None;
    record.facts.failure = Some(Failure { at: now, code, cause: report.cause.clone(), release: report.release.clone(), rolled_back });
    if let (true, Some(release)) = (rolled_back, &report.release) {
        let release = lenient_version(release);
        if !record.facts.quarantined.contains(&release) {
            record.facts.quarantined.insert(0, release);
            record.facts.quarantined.truncate(QUARANTINED);
        }
    }
    // Whatever went wrong before the new slot was booted is tried again; the grant counts how often.
    let outcome = if rolled_back { Outcome::RolledBack } else { Outcome::Retrying };
    out.words.push(Word { outcome, code: Some(code), cause: report.cause.clone() });
}

#[cfg(test)]
mod tests;
