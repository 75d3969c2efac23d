//! Through the whole museum.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use camino::{Utf8Path, Utf8PathBuf};

use super::cargo::Cargo;
use super::copy::Copy;
use super::exhibit::{Exhibit, Kind};
use super::judge::{self, Verdict};
use super::observe::{Observed, Tests};
use super::report::{Report, Row};

/// Time for the tests of one target, unless a run sets another: several times what the slowest need on a busy machine of two cores.
pub(super) const TEST_LIMIT: Duration = Duration::from_secs(300);

/// Where a run takes place.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The source.
    pub repository: Utf8PathBuf,
    /// Where the copy and what is compiled from it go; both are kept for the next run.
    pub work: Utf8PathBuf,
    /// Time for the tests of one target.
    pub limit: Duration,
}

/// The tests of one kind in one package.
type Target = (String, Kind);

/// A run under way.
struct Visit<'a> {
    copy: Copy,
    cargo: Cargo,
    /// What the named tests of each target said without any defect.
    sound: BTreeMap<Target, Tests>,
    /// What all tests of a target said without any defect; looked at only where it matters.
    usual: BTreeMap<Target, Observed>,
    say: &'a mut dyn FnMut(String),
}

impl Plan {
    /// A run for the source at `repository`, in its target folder.
    #[must_use]
    pub fn new(repository: &Utf8Path) -> Self {
        Self { repository: repository.to_owned(), work: repository.join("target/museum"), limit: TEST_LIMIT }
    }
}

/// Runs the named tests without any defect, then plants one after another. `say` gets a line whenever something is known.
///
/// # Errors
/// A named test fails although nothing is wrong, so that nothing could be proved; or git, cargo or the file system refuses.
pub fn run(plan: &Plan, exhibits: Vec<Exhibit>, mut say: impl FnMut(String)) -> anyhow::Result<Report> {
    ensure!(!exhibits.is_empty(), "there is nothing to run");
    let begun = Instant::now();
    let copy = Copy::make(&plan.repository, &plan.work.join("tree"))?;
    let cargo =
        Cargo { source: copy.folder().to_owned(), target: plan.work.join("build"), scratch: plan.work.join("scratch"), limit: plan.limit };
    let mut visit = Visit { copy, cargo, sound: BTreeMap::new(), usual: BTreeMap::new(), say: &mut say };
    visit.without_defect(&exhibits)?;
    let sound_seconds = begun.elapsed().as_secs_f64();
    let mut rows = Vec::new();
    for exhibit in in_order(exhibits) {
        let begun = Instant::now();
        let verdict = visit.exhibit(&exhibit).with_context(|| format!("exhibit {}", exhibit.name))?;
        let row = Row::new(exhibit, verdict, begun.elapsed());
        (visit.say)(row.line());
        rows.push(row);
    }
    rows.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(Report { rows, sound_seconds, seconds: begun.elapsed().as_secs_f64() })
}

/// Neighbours that change the same file compile the least.
fn in_order(mut exhibits: Vec<Exhibit>) -> Vec<Exhibit> {
    exhibits.sort_by_key(|exhibit| {
        let killer = exhibit.killers.first().map(|killer| (killer.package.clone(), killer.kind.clone()));
        (exhibit.changes.first().map(|change| change.file.clone()), killer, exhibit.name.clone())
    });
    exhibits
}

impl Visit<'_> {
    /// All named tests of all exhibits, each target once.
    fn without_defect(&mut self, exhibits: &[Exhibit]) -> anyhow::Result<()> {
        let mut wanted: BTreeMap<Target, Vec<String>> = BTreeMap::new();
        for killer in exhibits.iter().flat_map(|exhibit| &exhibit.killers) {
            let filters = wanted.entry((killer.package.clone(), killer.kind.clone())).or_default();
            filters.extend(killer.filters.iter().cloned());
            filters.sort();
            filters.dedup();
        }
        for ((package, kind), filters) in wanted {
            let begun = Instant::now();
            let tests = match self.cargo.test(&package, &kind, &filters)? {
                Observed::Ran(tests) if tests.failed.is_empty() => tests,
                Observed::Ran(Tests { failed, .. }) => {
                    bail!("{package} {kind}: fails without any defect, so nothing is proved: {failed:?}")
                }
                Observed::NotCompiled(words) => bail!("{package} {kind}: does not compile without any defect: {words}"),
                Observed::Died(words) => bail!("{package} {kind}: the test program died without any defect: {words}"),
                Observed::TimedOut => bail!("{package} {kind}: no end within {} s without any defect", self.cargo.limit.as_secs()),
            };
            let (count, seconds) = (tests.passed.len(), begun.elapsed().as_secs());
            (self.say)(format!("sound     {package} {kind}: {count} tests pass without a defect, {seconds} s"));
            self.sound.insert((package, kind), tests);
        }
        Ok(())
    }

    fn exhibit(&mut self, exhibit: &Exhibit) -> anyhow::Result<Verdict> {
        for killer in &exhibit.killers {
            let sound = self.sound.get(&(killer.package.clone(), killer.kind.clone()));
            if let Some(missing) = killer.filters.iter().find(|filter| sound.is_none_or(|tests| tests.matching(filter) == 0)) {
                let reason = format!("{} {} has no test `{missing}`", killer.package, killer.kind);
                return Ok(Verdict::Broken { reason });
            }
        }
        let planted = self.copy.plant(exhibit)?;
        let verdict = self.planted(exhibit);
        planted.restore()?;
        self.second_look(exhibit, verdict?)
    }

    /// The named tests, up to those that notice.
    fn planted(&self, exhibit: &Exhibit) -> anyhow::Result<Verdict> {
        for killer in &exhibit.killers {
            let verdict = judge::named(&self.cargo.test(&killer.package, &killer.kind, &killer.filters)?, exhibit.hangs);
            if verdict != Verdict::Survived {
                return Ok(verdict);
            }
        }
        Ok(Verdict::Survived)
    }

    /// When the named tests let it pass: does any other test of their targets notice?
    fn second_look(&mut self, exhibit: &Exhibit, verdict: Verdict) -> anyhow::Result<Verdict> {
        if verdict != Verdict::Survived {
            return Ok(verdict);
        }
        for killer in &exhibit.killers {
            let planted = self.copy.plant(exhibit)?;
            let observed = self.cargo.test(&killer.package, &killer.kind, &[]);
            planted.restore()?;
            let target = (killer.package.clone(), killer.kind.clone());
            if !self.usual.contains_key(&target) {
                let usual = self.cargo.test(&killer.package, &killer.kind, &[])?;
                self.usual.insert(target.clone(), usual);
            }
            let verdict = judge::others(&observed?, &self.usual[&target]);
            if verdict.is_killed() {
                return Ok(verdict);
            }
        }
        Ok(Verdict::Survived)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use image_builder::cmd::Cmd;

    use super::*;
    use crate::museum::judge::How;

    const LIB: &str = "pub fn add(a: u8, b: u8) -> u8 {\n    a + b\n}\n\npub fn unseen() -> u8 {\n    7\n}\n\n\
        #[test]\nfn adds() {\n    assert_eq!(add(1, 2), 3);\n}\n\n#[test]\nfn adds_nothing() {\n    assert_eq!(add(1, 0), 1);\n}\n";

    fn exhibit(name: &str, before: &str, after: &str, filter: &str) -> Exhibit {
        let text = format!(
            "story='s'\npromise='p'\n[[change]]\nfile='src/lib.rs'\nbefore='''\n{before}\n'''\nafter='''\n{after}\n'''\n\
             [[killers]]\npackage='tiny'\nkind='lib'\nfilters=['{filter}']\n"
        );
        Exhibit::parse(name, &text).unwrap()
    }

    fn tiny(dir: &Utf8Path, lib: &str) -> Plan {
        fs::create_dir_all(dir.join("src")).unwrap();
        fs::write(dir.join("Cargo.toml"), "[package]\nname = \"tiny\"\nedition = \"2024\"\n[workspace]\n").unwrap();
        fs::write(dir.join("Cargo.lock"), "version = 4\n\n[[package]]\nname = \"tiny\"\nversion = \"0.0.0\"\n").unwrap();
        fs::write(dir.join(".gitignore"), "/target\n").unwrap();
        fs::write(dir.join("src/lib.rs"), lib).unwrap();
        Cmd::new("git").args(["-C", dir.as_str(), "init", "--quiet"]).run().unwrap();
        Plan { limit: Duration::from_secs(60), ..Plan::new(dir) }
    }

    #[test]
    fn a_small_museum_tells_killed_survived_and_broken_apart() {
        let dir = tempfile::tempdir().unwrap();
        let dir = Utf8Path::from_path(dir.path()).unwrap();
        let plan = tiny(dir, LIB);
        let exhibits = vec![
            exhibit("by-the-named", "    a + b", "    a", "adds"),
            exhibit("by-another", "    a + b", "    a", "adds_nothing"),
            exhibit("does-not-compile", "    a + b", "    \"a\"", "adds"),
            exhibit("no-such-test", "    a + b", "    a", "subtracts"),
            exhibit("unseen", "    7", "    8", "adds"),
        ];
        let mut lines = Vec::new();
        let report = run(&plan, exhibits, |line| lines.push(line)).unwrap();
        let how: Vec<_> = report
            .rows
            .iter()
            .map(|row| match &row.verdict {
                Verdict::Killed { by, how } => (row.name.as_str(), Some(*how), by.iter().cloned().collect::<Vec<_>>().join(" ")),
                Verdict::Survived => (row.name.as_str(), None, "survived".to_owned()),
                Verdict::Broken { reason } => (row.name.as_str(), None, reason.split([':', '`']).next().unwrap().trim().to_owned()),
            })
            .collect();
        assert_eq!(
            how,
            [
                ("by-another", Some(How::ByOthers), "adds".to_owned()),
                ("by-the-named", Some(How::AsNamed), "adds".to_owned()),
                ("does-not-compile", None, "it does not compile, which no test has to notice".to_owned()),
                ("no-such-test", None, "tiny lib has no test".to_owned()),
                ("unseen", None, "survived".to_owned()),
            ]
        );
        assert_eq!(report.escaped().count(), 3);
        assert_eq!(lines.len(), 1 + 5);
        assert_eq!(fs::read_to_string(plan.work.join("tree/src/lib.rs")).unwrap(), LIB, "the last defect is gone");
    }

    #[test]
    fn nothing_is_proved_by_tests_that_fail_anyway() {
        let dir = tempfile::tempdir().unwrap();
        let dir = Utf8Path::from_path(dir.path()).unwrap();
        let plan = tiny(dir, &LIB.replace("3);", "4);"));
        let error = run(&plan, vec![exhibit("x", "    a + b", "    a", "adds")], |_| {}).unwrap_err().to_string();
        assert!(error.contains("fails without any defect") && error.contains("\"adds\""), "{error}");
        assert!(run(&plan, Vec::new(), |_| {}).is_err());
    }
}
