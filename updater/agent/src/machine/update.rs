//! From a check to a complete passive slot.

use jiff::SignedDuration;
use payload::Version;

use super::judge::{Reason, judge_offer, judge_release};
use super::persisted::{Phase, Trial, shortened};
use super::schedule::{RESUME_AFTER, backoff};
use super::{Effect, Machine, Now, Outcome, Purpose, State, TransitionError, Wait, Work};
use crate::daemon::host::{CheckAnswer, Failure, Offer, Refusal, VerifiedRelease};
use crate::history::{Entry, What};

/// The time of the last check is written to disk this often when nothing else changes: it is for people, and flash wears.
pub(super) const CHECKED_ON_DISK_EVERY: SignedDuration = SignedDuration::from_hours(1);
/// Omaha error code "ignored by policy", for releases refused by a rule of this machine.
const IGNORED_BY_POLICY: i64 = 35;
/// Omaha error code "metadata signature mismatch", for releases whose metadata was refused.
const METADATA_REFUSED: i64 = 26;

impl Machine {
    pub(super) fn begin_check(&mut self, purpose: Purpose, now: Now) -> Vec<Effect> {
        self.last_asked = Some(now.wall);
        self.next_check = None;
        self.next_check_wall = None;
        self.state = State::Checking(purpose.clone());
        vec![Effect::Work(Work::Check(purpose))]
    }

    pub(super) fn checked(&mut self, answer: Result<CheckAnswer, Failure>, now: Now) -> Result<Vec<Effect>, TransitionError> {
        let State::Checking(purpose) = &self.state else { return Err(self.state.unexpected("checked")) };
        let purpose = purpose.clone();
        let answer = match answer {
            Ok(answer) => answer,
            Err(failure) => return Ok(self.asking_failed(&purpose, failure.kind.name(), format!("the check failed: {failure}"), now)),
        };
        self.checked_before = true;
        self.check_failures = 0;
        self.persisted.last_checked = Some(now.wall);
        match answer {
            CheckAnswer::NoUpdate { info, poll_interval } => {
                self.poll_interval = poll_interval;
                self.available = None;
                self.server_info = info.as_deref().map(shortened);
                let info = self.server_info.clone();
                self.rest(&purpose, Outcome::UpToDate { info }, now);
                Ok(self.persist_after_quiet_check(now))
            }
            CheckAnswer::Update(offer) => {
                self.poll_interval = offer.poll_interval;
                self.server_info = None;
                self.available = Some(offer.version.clone());
                Ok(self.offered(offer, purpose, now))
            }
        }
    }

    fn offered(&mut self, offer: Offer, purpose: Purpose, now: Now) -> Vec<Effect> {
        let (pin, insisted) = (self.settings.pin.as_ref(), purpose.operation.is_some());
        let despite = purpose.despite_quarantine.as_ref();
        match judge_offer(&self.persisted, &self.booted.version, pin, &offer.version, insisted, despite, now.wall) {
            Ok(()) => {
                self.state = State::Verifying { offer: offer.clone(), purpose };
                vec![Effect::Work(Work::Verify(offer))]
            }
            Err(Reason::Running) => {
                self.available = None;
                self.rest(&purpose, Outcome::UpToDate { info: None }, now);
                self.persist_after_quiet_check(now)
            }
            Err(reason) => self.refuse(&purpose, offer.version, reason, now),
        }
    }

    pub(super) fn verified(&mut self, result: Result<VerifiedRelease, Refusal>, now: Now) -> Result<Vec<Effect>, TransitionError> {
        let State::Verifying { offer, purpose } = &self.state else { return Err(self.state.unexpected("verified")) };
        let (offer, purpose) = (offer.clone(), purpose.clone());
        let verified = match result {
            Ok(verified) => verified,
            Err(refusal) if refusal.kind.is_transient() => {
                return Ok(self.asking_failed(
                    &purpose,
                    "verify",
                    format!("version {} could not be verified: {refusal}", offer.version),
                    now,
                ));
            }
            Err(refusal) => return Ok(self.refuse(&purpose, offer.version, Reason::of(&refusal), now)),
        };
        self.metadata_is_good(verified.expires, now);
        if let Err(reason) = judge_release(&self.persisted, &self.booted.version, &offer.version, &verified.release) {
            return Ok(self.refuse(&purpose, offer.version, reason, now));
        }
        if !self.settings.enabled && !purpose.install {
            self.rest(&purpose, Outcome::Available(offer.version), now);
            return Ok(self.persist_after_quiet_check(now));
        }
        if self.persisted.committed != Some(self.booted.slot) {
            let text = "the running slot is not yet the default of the boot loader; the other slot must not be written before it is";
            self.rest(&purpose, Outcome::Failed(text.to_owned()), now);
            self.plan_check_in(RESUME_AFTER, now);
            return Ok(self.begin_commit(None));
        }
        if matches!(self.persisted.phase, Phase::Discarding { .. }) {
            // A flip that could not be taken back would make a trial of whatever is written now.
            let text = "the release before could not be discarded yet; trying that again first";
            self.rest(&purpose, Outcome::Failed(text.to_owned()), now);
            self.plan_check_in(RESUME_AFTER, now);
            return Ok(self.begin_discard(self.booted.slot.other(), None));
        }
        Ok(self.begin_stage(verified, purpose, now))
    }

    fn begin_stage(&mut self, verified: VerifiedRelease, purpose: Purpose, now: Now) -> Vec<Effect> {
        let slot = self.booted.slot.other();
        let version = verified.release.version.clone();
        self.persisted.phase = Phase::Writing { version: version.clone(), slot };
        self.persisted.set_content(slot, None);
        self.persisted.last_error = None;
        self.reported_refusal = None;
        let event = self.event(13, 1, Some(&version));
        self.persisted.post(event);
        let text = format!("to slot {slot}, from {}", self.booted.version);
        let entry = Entry { at: now.wall, what: What::Started, version: Some(version), text };
        let release = Box::new(verified);
        let total = release.release.parts.iter().map(|part| part.size).sum();
        self.operation_of(&purpose);
        if !purpose.install {
            // Whoever asked only for a check has the answer now.
            self.finish(Outcome::Available(release.release.version.clone()));
        }
        self.state = State::Fetching { release: release.clone(), slot, done: 0, total };
        vec![Effect::Persist, Effect::Log(entry), Effect::Work(Work::Stage { release, slot })]
    }

    pub(super) fn progressed(&mut self, now_done: u64, now_total: u64) -> Result<Vec<Effect>, TransitionError> {
        let State::Fetching { done, total, .. } = &mut self.state else { return Err(self.state.unexpected("progress")) };
        (*done, *total) = (now_done.min(now_total), now_total);
        Ok(Vec::new())
    }

    pub(super) fn staged(&mut self, result: Result<(), Failure>, now: Now) -> Result<Vec<Effect>, TransitionError> {
        let State::Fetching { release, slot, .. } = &self.state else { return Err(self.state.unexpected("staged")) };
        let (release, slot) = (release.release.clone(), *slot);
        if let Err(failure) = result {
            return Ok(self.attempt_failed(&release.version, &failure, now));
        }
        let trial = Trial {
            slot,
            version: Some(release.version.clone()),
            previous: self.booted.version.clone(),
            rollback_index: release.rollback_index,
            rollback: false,
            flipped_at: self.reliable_boot_count(),
        };
        self.persisted.set_content(slot, Some(release.version.clone()));
        self.persisted.phase = Phase::Flipped { trial: trial.clone(), boot_id: self.booted.boot_id.clone(), confirmed: false };
        for kind in [14, 3] {
            let event = self.event(kind, 1, Some(&release.version));
            self.persisted.post(event);
        }
        self.state = State::Staged(trial);
        let entry = Entry { at: now.wall, what: What::Staged, version: Some(release.version), text: format!("slot {slot}") };
        Ok(vec![Effect::Persist, Effect::Log(entry), Effect::Work(Work::Flip(slot))])
    }

    pub(super) fn flipped(&mut self, result: Result<(), Failure>, now: Now) -> Result<Vec<Effect>, TransitionError> {
        let State::Staged(trial) = &self.state else { return Err(self.state.unexpected("flipped")) };
        let trial = trial.clone();
        match result {
            Ok(()) => {
                self.persisted.phase = Phase::Flipped { trial: trial.clone(), boot_id: self.booted.boot_id.clone(), confirmed: true };
                if let Some(version) = trial.version.clone() {
                    self.finish(Outcome::Staged(version));
                }
                // Whoever rolls back wants it now, but for the turns that machines take.
                self.turn.insisted = trial.rollback;
                self.users_until = None;
                self.state = State::WaitingForReboot { trial, wait: Wait::Deciding };
                let mut effects = vec![Effect::Persist];
                effects.extend(self.decide_reboot(now));
                Ok(effects)
            }
            Err(failure) => Ok(match trial.version.clone().filter(|_| !trial.rollback) {
                Some(version) => {
                    // It may have happened all the same: what must not be booted is made unbootable.
                    let flipped = self.persisted.phase.clone();
                    let mut effects = self.attempt_failed(&version, &failure, now);
                    self.persisted.phase = flipped;
                    effects.extend(self.begin_discard(trial.slot, None));
                    effects.retain(|effect| *effect != Effect::Persist);
                    effects.insert(0, Effect::Persist);
                    effects
                }
                None => {
                    self.persisted.phase = Phase::Idle;
                    self.persisted.last_error = Some(shortened(&failure.text));
                    self.state = State::Idle;
                    self.finish(Outcome::Failed(failure.text));
                    self.plan_next_check(now);
                    vec![Effect::Persist]
                }
            }),
        }
    }

    /// The passive slot is unbootable now, or could not be made so; either way nothing more can be done about it here: whoever writes the slot
    /// next removes its boot entry first, and the next start tries again.
    pub(super) fn discarded(&mut self, result: Result<(), Failure>, now: Now) -> Result<Vec<Effect>, TransitionError> {
        let State::Discarding { rolled_back, .. } = &self.state else { return Err(self.state.unexpected("discarded")) };
        let rolled_back = rolled_back.clone();
        match &result {
            Ok(()) => self.persisted.phase = Phase::Idle,
            Err(failure) => self.persisted.last_error = Some(shortened(&format!("the passive slot could not be discarded: {failure}"))),
        }
        let mut effects = vec![Effect::Persist];
        self.state = match rolled_back {
            Some((version, cause)) => State::RolledBack { version, cause },
            None => State::Idle,
        };
        if self.next_check.is_none() {
            self.plan_next_check(now);
        }
        if self.persisted.committed != Some(self.booted.slot) {
            effects.extend(self.begin_commit(None));
        }
        Ok(effects)
    }

    /// The server, or the metadata, could not be reached.
    fn asking_failed(&mut self, purpose: &Purpose, kind: &'static str, text: String, now: Now) -> Vec<Effect> {
        self.check_failures = self.check_failures.saturating_add(1);
        self.count_failure(kind);
        let text = shortened(&text);
        let changed = self.persisted.last_error.as_ref() != Some(&text);
        self.persisted.last_error = Some(text.clone());
        // A machine that asked has had its first check, whatever came of it.
        self.checked_before = true;
        self.rest(purpose, Outcome::Failed(text), now);
        if changed { vec![Effect::Persist] } else { Vec::new() }
    }

    /// Writing or flipping failed; the release gets another attempt later.
    fn attempt_failed(&mut self, version: &Version, failure: &Failure, now: Now) -> Vec<Effect> {
        self.count_failure(failure.kind.name());
        self.persisted.fail_attempt(version, &failure.text, now.wall);
        self.persisted.phase = Phase::Idle;
        self.persisted.last_error = Some(shortened(&format!("installing version {version} failed: {failure}")));
        let mut event = self.event(3, 0, Some(version));
        event.error_code = Some(failure.kind.omaha_code());
        event.cause = Some(failure.text.clone());
        self.persisted.post(event);
        let failures = self.persisted.attempts.as_ref().map_or(1, |attempts| attempts.failures);
        self.state = State::Idle;
        self.finish(Outcome::Failed(failure.text.clone()));
        let wait = backoff(failures, self.interval());
        let wait = self.jitter.around(wait, wait / 4);
        self.plan_check_in(wait, now);
        let entry = Entry { at: now.wall, what: What::Failed, version: Some(version.clone()), text: shortened(&failure.text) };
        vec![Effect::Persist, Effect::Log(entry)]
    }

    fn refuse(&mut self, purpose: &Purpose, version: Version, reason: Reason, now: Now) -> Vec<Effect> {
        let text = shortened(&reason.text(&version));
        let again = self.reported_refusal.as_ref() == Some(&(version.clone(), text.clone()));
        self.rest(purpose, Outcome::Refused { version: version.clone(), reason: reason.clone() }, now);
        if again {
            return self.persist_after_quiet_check(now);
        }
        self.reported_refusal = Some((version.clone(), text.clone()));
        let own_rule = matches!(reason, Reason::Pinned { .. } | Reason::Quarantined { .. } | Reason::TooManyFailures { .. });
        let entry = Entry { at: now.wall, what: What::Refused, version: Some(version.clone()), text: text.clone() };
        if !own_rule {
            self.count_failure("refused");
            let mut event = self.event(3, 0, Some(&version));
            event.error_code = Some(if matches!(reason, Reason::Metadata { .. }) { METADATA_REFUSED } else { IGNORED_BY_POLICY });
            event.cause = Some(text.clone());
            self.persisted.post(event);
            self.persisted.last_error = Some(text);
        }
        vec![Effect::Persist, Effect::Log(entry)]
    }

    /// Back to rest after a question to the server.
    fn rest(&mut self, purpose: &Purpose, outcome: Outcome, now: Now) {
        self.state = State::Idle;
        self.operation_of(purpose);
        self.finish(outcome);
        self.plan_next_check(now);
    }

    fn operation_of(&mut self, purpose: &Purpose) {
        if let Some(operation) = purpose.operation {
            self.operation = self.operation.max(operation);
        }
    }

    /// Tells whoever waits how it ended.
    pub(super) fn finish(&mut self, outcome: Outcome) {
        self.outcome = Some((self.operation, outcome));
    }

    /// A check without consequences is written down at most once per [`CHECKED_ON_DISK_EVERY`], unless it ended an error.
    fn persist_after_quiet_check(&mut self, now: Now) -> Vec<Effect> {
        let ended_error = self.persisted.last_error.take().is_some();
        let recent = self.checked_on_disk.is_some_and(|at| at <= now.wall && now.wall.duration_since(at) < CHECKED_ON_DISK_EVERY);
        if recent && !ended_error {
            return Vec::new();
        }
        self.checked_on_disk = Some(now.wall);
        vec![Effect::Persist]
    }
}
