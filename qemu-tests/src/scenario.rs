//! Scenarios: each proves one promise to the user on a real image.
//!
//! A scenario with a machine of its own gets a [`Bench`]. Cheap checks that change nothing share one machine and run one
//! after the other, in the order they are written.

use std::any::Any;
use std::collections::BTreeMap;
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use camino::{Utf8Path, Utf8PathBuf};

use crate::budget::{Budget, Need, Share};
use crate::console;
use crate::disk::Disk;
use crate::images::{Images, Variant};
use crate::plan::Options;
use crate::report::{Case, Outcome};
use crate::scratch;
use crate::switch::Switch;
use crate::template::Templates;
use crate::vm::{Host, SETTLE_SECS, Spec, Vm};

/// Decides which frames a lossy cable loses: the same ones in each run.
const SWITCH_SEED: u64 = 1;

/// How long a scenario takes that does not say so: a boot and something small.
const USUAL_SECONDS: u32 = 90;

/// Environment variable that asks for the long runs.
pub const FULL_ENV: &str = "SLIPWAY_TEST_FULL";

/// Whether the long runs are asked for.
#[must_use]
pub fn full() -> bool {
    std::env::var_os(FULL_ENV).is_some_and(|value| !value.is_empty())
}

/// In which runs a scenario takes part. Named by its user it always runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// In every run.
    Always,
    /// In long runs, see [`FULL_ENV`]: another one shows most of its promise in less time.
    Full,
    /// Only when it is named.
    Named,
}

impl When {
    /// Whether it runs without being named.
    #[must_use]
    pub fn today(self) -> bool {
        match self {
            Self::Always => true,
            Self::Full => full(),
            Self::Named => false,
        }
    }
}

/// A promise and how to see that it is kept.
#[derive(Debug, Clone, Copy)]
pub struct Scenario {
    /// Name, also of its log directory.
    pub name: &'static str,
    /// What the user is promised, as one sentence.
    pub promise: &'static str,
    /// The image it is about.
    pub variant: Variant,
    /// What its machines take; waiting for its turn goes by it.
    pub needs: Need,
    /// About how long it takes when emulated, in seconds; the longest are started first.
    pub seconds: u32,
    /// In which runs it takes part.
    pub when: When,
    /// Words that its console may contain although they are bad elsewhere.
    pub allowed: &'static [&'static str],
    /// The proof.
    pub run: fn(&Bench) -> anyhow::Result<()>,
}

impl Scenario {
    /// A scenario with one machine of the image for virtual machines that takes about a minute and a half.
    #[must_use]
    pub const fn new(name: &'static str, promise: &'static str, run: fn(&Bench) -> anyhow::Result<()>) -> Self {
        Self { name, promise, variant: Variant::Vm, needs: Need::ONE, seconds: USUAL_SECONDS, when: When::Always, allowed: &[], run }
    }

    /// The same on another image.
    #[must_use]
    pub const fn on(self, variant: Variant) -> Self {
        Self { variant, ..self }
    }

    /// The same with that many machines.
    #[must_use]
    pub const fn needs(self, needs: Need) -> Self {
        Self { needs, ..self }
    }

    /// About how long it takes when emulated, in seconds.
    #[must_use]
    pub const fn seconds(self, seconds: u32) -> Self {
        Self { seconds, ..self }
    }

    /// The same in some runs only.
    #[must_use]
    pub const fn when(self, when: When) -> Self {
        Self { when, ..self }
    }

    /// Words that its consoles may say although they are bad elsewhere.
    #[must_use]
    pub const fn allow(self, allowed: &'static [&'static str]) -> Self {
        Self { allowed, ..self }
    }
}

/// A check on the machine that all checks share. It leaves the machine as it found it.
#[derive(Debug, Clone, Copy)]
pub struct Check {
    /// Name.
    pub name: &'static str,
    /// What the user is promised, as one sentence.
    pub promise: &'static str,
    /// The proof.
    pub run: fn(&Vm) -> anyhow::Result<()>,
}

/// What all scenarios of a run have in common.
#[derive(Debug)]
pub struct Suite {
    options: Options,
    host: Host,
    budget: Arc<Budget>,
    templates: Templates,
    cases: Mutex<Vec<Case>>,
    shared: Shared,
    /// What scenarios measured.
    figures: Mutex<Vec<String>>,
    /// Why a failure of a scenario does not count, by its name.
    excuses: BTreeMap<String, String>,
}

impl Suite {
    /// A suite with the machine that its checks share; `checks` are those that will run. A failure with an excuse is recorded
    /// and does not count.
    pub fn new(options: Options, checks: &[&'static str], shared: Spec, excuses: BTreeMap<String, String>) -> anyhow::Result<Self> {
        let host = Host::probe()?;
        let shared = Shared { spec: shared, order: checks.to_vec(), state: Mutex::default(), changed: Condvar::new() };
        let (budget, templates) = (Budget::new(options.vms), Templates::new(options.logs.clone()));
        Ok(Self { options, host, budget, templates, cases: Mutex::default(), shared, figures: Mutex::default(), excuses })
    }

    /// What this host can do.
    #[must_use]
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// Runs one scenario; the error is the whole story for the one who reads it.
    pub fn run(&self, scenario: &Scenario) -> Result<(), String> {
        let share = self.budget.take(scenario.needs, scenario.seconds);
        let begun = Instant::now();
        let bench = Bench {
            suite: self,
            scenario: *scenario,
            begun,
            logs: self.options.logs.join(scenario.name),
            vms: Mutex::default(),
            kept: Mutex::default(),
        };
        let result = bench.prepare().and_then(|()| guarded(|| (scenario.run)(&bench))).and_then(|()| bench.scan());
        let result = bench.finish(result);
        drop(share);
        self.record(scenario.name, scenario.variant, scenario.promise, begun, bench.logs, result)
    }

    /// Runs one check on the shared machine, when its turn comes.
    pub fn run_check(&self, check: &Check) -> Result<(), String> {
        let mut state = self.shared.wait_for_turn(check.name);
        state.share.get_or_insert_with(|| self.budget.take(Need::ONE, SHARED_SECONDS));
        let begun = Instant::now();
        let result = state.machine(self).and_then(|vm| guarded(|| (check.run)(&vm)));
        state.turn += 1;
        state.failed |= result.is_err();
        let mut result = result.map_err(|error| format!("{error:#}"));
        if result.is_err()
            && let Some(Ok(vm)) = &state.vm
        {
            // The machine goes on: the next check wants it.
            let _ = vm.screenshot();
            let _ = vm.save_journal();
        }
        if state.turn == self.shared.order.len() {
            result = state.stop(result, self.options.keep);
            state.share = None;
        }
        if result.is_err() {
            result = result.map_err(|story| format!("{story}\nlogs: {}", self.shared.logs(self)));
        }
        drop(state);
        self.shared.changed.notify_all();
        self.record(check.name, Variant::Vm, check.promise, begun, self.shared.logs(self), result)
    }

    /// The results so far.
    #[must_use]
    pub fn cases(&self) -> Vec<Case> {
        self.cases.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What did not go as it should but was made good, and what scenarios measured.
    #[must_use]
    pub fn notes(&self) -> Vec<String> {
        let figures = self.figures.lock().unwrap_or_else(PoisonError::into_inner);
        self.templates.notes().into_iter().chain(figures.iter().cloned()).collect()
    }

    fn record(
        &self,
        name: &str,
        variant: Variant,
        promise: &str,
        begun: Instant,
        logs: Utf8PathBuf,
        result: Result<(), String>,
    ) -> Result<(), String> {
        let outcome = match (result, self.excuses.get(name)) {
            (Ok(()), _) => Outcome::Passed,
            (Err(story), None) => Outcome::Failed(story),
            (Err(story), Some(excuse)) => Outcome::Snoozed { story, excuse: excuse.clone() },
        };
        let took = begun.elapsed();
        let result = match &outcome {
            Outcome::Failed(story) => Err(format!("broken promise: {promise}\n{story}")),
            Outcome::Passed | Outcome::Snoozed { .. } => Ok(()),
        };
        let case = Case { name: name.to_owned(), variant: variant.to_string(), promise: promise.to_owned(), took, outcome, logs };
        self.cases.lock().unwrap_or_else(PoisonError::into_inner).push(case);
        result
    }
}

/// Where one scenario works: its images, its machines, its log directory.
#[derive(Debug)]
pub struct Bench<'a> {
    suite: &'a Suite,
    scenario: Scenario,
    begun: Instant,
    logs: Utf8PathBuf,
    vms: Mutex<Vec<Arc<Vm>>>,
    kept: Mutex<Vec<Arc<dyn Any + Send + Sync>>>,
}

impl Bench<'_> {
    /// Keeps what a machine cannot do without, such as its disk, until a failed machine has been looked at.
    pub fn keep<T: Any + Send + Sync>(&self, needed: T) -> Arc<T> {
        let needed = Arc::new(needed);
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&needed) as Arc<dyn Any + Send + Sync>);
        needed
    }

    /// A copy of the image that the scenario may change before a machine starts from it.
    pub fn disk(&self) -> anyhow::Result<Disk> {
        let dir = self.keep(scratch::dir("disk")?);
        Disk::copy_of(&self.image()?, Utf8Path::from_path(dir.path()).context("the temporary directory's name is not UTF-8")?)
    }

    /// Tells whoever watches a scenario that runs only when it is named how far it is.
    pub fn say(&self, text: &str) {
        if self.scenario.when == When::Named {
            let seconds = self.begun.elapsed().as_secs();
            // A reader that went away is not an error.
            let _ = writeln!(std::io::stderr().lock(), "== [{seconds} s] {text}");
        }
    }

    /// Notes how long something took, for the end of the run: as measured, and as it would take with KVM.
    pub fn note(&self, what: &str, took: Duration) {
        let fast = self.suite.host.pace().as_fast(took);
        self.figure(&format!("{what}: {:.0} s, or {:.0} s with KVM", took.as_secs_f64(), fast.as_secs_f64()));
    }

    /// Notes something that was measured, for the end of the run.
    pub fn figure(&self, figure: &str) {
        self.say(figure);
        let figure = format!("{}: {figure}", self.scenario.name);
        self.suite.figures.lock().unwrap_or_else(PoisonError::into_inner).push(figure);
    }

    /// The image that the scenario is about.
    pub fn image(&self) -> anyhow::Result<Utf8PathBuf> {
        self.suite.options.images.disk(self.scenario.variant)
    }

    /// The images and releases of this run.
    #[must_use]
    pub fn images(&self) -> &Images {
        &self.suite.options.images
    }

    /// Where the logs of this scenario go.
    #[must_use]
    pub fn logs(&self) -> &Utf8Path {
        &self.logs
    }

    /// The keys it was signed with.
    pub fn keys(&self) -> anyhow::Result<Utf8PathBuf> {
        self.suite.options.images.keys(self.scenario.variant)
    }

    /// An ordinary machine with that image.
    pub fn spec(&self) -> anyhow::Result<Spec> {
        Ok(Spec::new(self.image()?))
    }

    /// Starts a machine. It runs until the scenario ends, and its logs go to a directory of that name.
    pub fn start(&self, name: &str, spec: &Spec) -> anyhow::Result<Arc<Vm>> {
        let vm = Arc::new(Vm::start(name, spec, &self.suite.host, &self.logs.join(name))?);
        self.vms.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&vm));
        Ok(vm)
    }

    /// Like [`Bench::start`], and the machine has booted: it is a fork of one that did. For everything but first boots,
    /// boot counting and measured boots.
    pub fn fork(&self, name: &str, spec: &Spec) -> anyhow::Result<Arc<Vm>> {
        let vm = Arc::new(self.suite.templates.start(name, spec, &self.suite.host, &self.logs.join(name))?);
        self.vms.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&vm));
        Ok(vm)
    }

    /// A switch for the machines of this scenario; what passes is kept beside the logs.
    pub fn switch(&self, ports: u8) -> anyhow::Result<Switch> {
        Switch::start(ports, SWITCH_SEED, &self.logs.join("network.pcap"))
    }

    fn prepare(&self) -> anyhow::Result<()> {
        clear(&self.logs)
    }

    /// Looks for bad words on the consoles of all machines.
    fn scan(&self) -> anyhow::Result<()> {
        for vm in self.vms().iter() {
            scan(vm, self.scenario.allowed)?;
        }
        Ok(())
    }

    fn finish(&self, result: anyhow::Result<()>) -> Result<(), String> {
        let result = result.map_err(|error| {
            for vm in self.vms().iter() {
                vm.leave_evidence();
            }
            format!("{error:#}\nlogs: {}", self.logs)
        });
        let keep = self.suite.options.keep;
        if result.is_ok() && keep {
            self.vms().iter().for_each(|vm| vm.leave_evidence());
        }
        self.vms().drain(..).for_each(|vm| vm.kill());
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).clear();
        if result.is_ok() && !keep {
            // Leftover logs are untidy, not a failure.
            let _ = std::fs::remove_dir_all(&self.logs);
        }
        result
    }

    fn vms(&self) -> MutexGuard<'_, Vec<Arc<Vm>>> {
        self.vms.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The machine that the checks share.
#[derive(Debug)]
struct Shared {
    spec: Spec,
    /// The checks that will run, in this order.
    order: Vec<&'static str>,
    state: Mutex<SharedState>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct SharedState {
    /// Index of the check whose turn it is.
    turn: usize,
    vm: Option<Result<Arc<Vm>, String>>,
    /// Its place, from the first check to the last.
    share: Option<Share>,
    failed: bool,
}

/// How long all checks together take, emulated, in seconds.
const SHARED_SECONDS: u32 = 300;

impl Shared {
    fn wait_for_turn(&self, name: &str) -> MutexGuard<'_, SharedState> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        while self.order.get(state.turn).is_some_and(|next| *next != name) {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state
    }

    fn logs(&self, suite: &Suite) -> Utf8PathBuf {
        suite.options.logs.join("shared")
    }
}

impl SharedState {
    /// The machine, booted by whoever comes first.
    fn machine(&mut self, suite: &Suite) -> anyhow::Result<Arc<Vm>> {
        match self.vm.get_or_insert_with(|| boot_shared(suite).map_err(|error| format!("{error:#}"))) {
            Ok(vm) => Ok(Arc::clone(vm)),
            Err(story) => bail!("the shared machine did not boot: {story}"),
        }
    }

    /// Ends the machine after the last check; a dirty console fails that one.
    fn stop(&mut self, result: Result<(), String>, keep: bool) -> Result<(), String> {
        let Some(Ok(vm)) = &self.vm else { return result };
        let result = result.and_then(|()| scan(vm, &[]).map_err(|error| format!("{error:#}")));
        let clean = result.is_ok() && !self.failed;
        if !clean || keep {
            vm.leave_evidence();
        }
        vm.kill();
        if clean && !keep {
            let _ = std::fs::remove_dir_all(vm.logs());
        }
        result
    }
}

fn boot_shared(suite: &Suite) -> anyhow::Result<Arc<Vm>> {
    let logs = suite.shared.logs(suite);
    clear(&logs)?;
    let vm = Vm::start("shared", &suite.shared.spec, &suite.host, &logs)?;
    vm.wait_for_agent()?;
    // The checks look at a machine that has settled; whether it has settled well is the first one's question.
    vm.guest().run_for("systemctl is-system-running --wait", SETTLE_SECS)?;
    Ok(Arc::new(vm))
}

fn clear(logs: &Utf8Path) -> anyhow::Result<()> {
    match std::fs::remove_dir_all(logs) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error).with_context(|| format!("clearing {logs}")),
        _ => Ok(()),
    }
}

fn scan(vm: &Vm, allowed: &[&str]) -> anyhow::Result<()> {
    let mut findings = console::scan(&vm.console()?, allowed);
    // What the console does not say, as far as there is still somebody to ask: crashed programs, cycles of units.
    if vm.guest().boot_id().is_ok() {
        let said = vm.guest().run(&console::journal_query())?;
        findings.extend(console::journal_findings(&said.stdout, allowed));
    }
    if findings.is_empty() {
        return Ok(());
    }
    let lines: Vec<String> = findings.iter().take(20).map(ToString::to_string).collect();
    bail!("the console or the journal of {} has {} bad lines:\n{}", vm.name(), findings.len(), lines.join("\n"))
}

/// A panic in a proof is a failure like any other, with logs and all.
fn guarded(proof: impl FnOnce() -> anyhow::Result<()>) -> anyhow::Result<()> {
    catch_unwind(AssertUnwindSafe(proof)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
        bail!("the proof panicked: {}", text.unwrap_or("no message"))
    })
}
