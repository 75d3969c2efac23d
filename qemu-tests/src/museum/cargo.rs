//! Builds and runs tests in the copy, each within a time limit.

use std::fs::{self, File};
use std::time::Duration;

use anyhow::Context;
use camino::{Utf8Path, Utf8PathBuf};
use image_builder::cmd::Cmd;

use super::exhibit::Kind;
use super::observe::{Observed, Tests, last_words};

/// Time for compiling one target. The first one compiles every library there is.
const BUILD_LIMIT: Duration = Duration::from_secs(45 * 60);
/// With this status `timeout` (coreutils) says that the time was over.
const STATUS_TIMEOUT: i32 = 124;
/// How long what was told to end may take to do so, before it is killed.
const KILL_AFTER: &str = "--kill-after=5";
/// Lines of an error that are kept.
const WORDS_LINES: usize = 12;
/// Address space of one program, in bytes: a defect that takes all the memory there is must not take it from others. Compilers
/// reserve much more than they use.
const MEMORY_BYTES: u64 = 16 << 30;

/// What cargo and the tests need of the environment, besides what every program gets.
const INHERITED: [&str; 5] = ["CARGO_HOME", "RUSTUP_HOME", "RUSTUP_TOOLCHAIN", "CARGO_BUILD_JOBS", "SLIPWAY_TEST_TOOLS"];

/// Cargo, in the copy of the source.
#[derive(Debug, Clone)]
pub struct Cargo {
    /// The copy.
    pub source: Utf8PathBuf,
    /// Its target folder, which stays warm between exhibits.
    pub target: Utf8PathBuf,
    /// Where output goes until it is read.
    pub scratch: Utf8PathBuf,
    /// Time for the tests of one target.
    pub limit: Duration,
}

impl Cargo {
    /// Builds the tests of a target and runs those that `filters` mean; all of them when there is no filter.
    ///
    /// # Errors
    /// Cargo cannot be started or its output not be kept. What cargo says is no error.
    pub fn test(&self, package: &str, kind: &Kind, filters: &[String]) -> anyhow::Result<Observed> {
        fs::create_dir_all(&self.scratch).with_context(|| format!("making {}", self.scratch))?;
        let target = match kind {
            Kind::Lib => vec!["--lib"],
            Kind::Bin => vec!["--bins"],
            Kind::Test(name) => vec!["--test", name],
        };
        let arguments = [&["--package", package][..], &target].concat();
        let (built, _, words) = self.run(&["--no-run"], &arguments, &[], BUILD_LIMIT)?;
        if built != Some(0) {
            return Ok(Observed::NotCompiled(last_words(&words, WORDS_LINES)));
        }
        let (ended, said, words) = self.run(&[], &arguments, filters, self.limit)?;
        let tests = Tests::parse(&said);
        Ok(match ended {
            Some(STATUS_TIMEOUT) => Observed::TimedOut,
            // A zero without a line that it went well, or a failure that no test is named for, is a test program that broke off.
            Some(0) if said.contains("test result: ok") => Observed::Ran(tests),
            _ if !tests.failed.is_empty() => Observed::Ran(tests),
            _ => Observed::Died(last_words(&words, WORDS_LINES)),
        })
    }

    /// Status, standard output and standard error of `cargo test`.
    fn run(&self, options: &[&str], target: &[&str], filters: &[String], limit: Duration) -> anyhow::Result<(Option<i32>, String, String)> {
        let (out, err) = (self.scratch.join("stdout"), self.scratch.join("stderr"));
        let file = |path: &Utf8Path| File::create(path).with_context(|| format!("making {path}"));
        let (stdout, stderr) = (file(&out)?, file(&err)?);
        let mut cmd = Cmd::new("prlimit")
            .args([&format!("--as={MEMORY_BYTES}"), "timeout", KILL_AFTER, &format!("{}", limit.as_secs()), "cargo", "test", "--locked"])
            .args(options)
            .args(target)
            .arg("--")
            .args(filters)
            .dir(&self.source)
            .env("CARGO_TARGET_DIR", &self.target)
            // What is compiled once and run once is not worth optimising; incremental compilation makes the next defect cheap.
            .env("CARGO_PROFILE_DEV_OPT_LEVEL", "0")
            .env("CARGO_PROFILE_DEV_DEBUG", "none")
            .env("CARGO_INCREMENTAL", "1")
            .env("CARGO_TERM_COLOR", "never")
            .with(|inner| _ = inner.stdout(stdout).stderr(stderr));
        for name in INHERITED {
            if let Some(value) = std::env::var_os(name) {
                cmd = cmd.env(name, value);
            }
        }
        let status = cmd.spawn()?.wait().context("waiting for cargo")?;
        let read = |path: &Utf8Path| -> anyhow::Result<String> {
            Ok(String::from_utf8_lossy(&fs::read(path).with_context(|| format!("reading {path}"))?).into_owned())
        };
        Ok((status.code(), read(&out)?, read(&err)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A crate with a test that passes, one that fails, one that does not end and one that ends everything.
    const SOURCE: &str = "#[test] fn good() {}\n#[test] fn bad() { panic!(\"no\") }\n#[test] fn endless() { loop { std::thread::park() } }\n\
        #[test] fn abort() { std::process::abort() }\n";

    fn observe(cargo: &Cargo, filter: &str) -> Observed {
        cargo.test("tiny", &Kind::Lib, &[filter.to_owned()]).unwrap()
    }

    #[test]
    fn every_way_to_end_is_told_apart() {
        let dir = tempfile::tempdir().unwrap();
        let dir = Utf8Path::from_path(dir.path()).unwrap();
        let source = dir.join("tiny");
        fs::create_dir_all(source.join("src")).unwrap();
        fs::write(source.join("Cargo.toml"), "[package]\nname = \"tiny\"\nedition = \"2024\"\n[workspace]\n").unwrap();
        fs::write(source.join("Cargo.lock"), "version = 4\n\n[[package]]\nname = \"tiny\"\nversion = \"0.0.0\"\n").unwrap();
        fs::write(source.join("src/lib.rs"), SOURCE).unwrap();
        let limit = Duration::from_secs(60);
        let cargo = Cargo { source: source.clone(), target: dir.join("target"), scratch: dir.join("scratch"), limit };
        let set = |name: &str| std::collections::BTreeSet::from([name.to_owned()]);
        assert_eq!(observe(&cargo, "good"), Observed::Ran(Tests { passed: set("good"), failed: Default::default() }));
        assert_eq!(observe(&cargo, "bad"), Observed::Ran(Tests { passed: Default::default(), failed: set("bad") }));
        assert_eq!(observe(&cargo, "none of them"), Observed::Ran(Tests::default()));
        assert!(matches!(observe(&cargo, "abort"), Observed::Died(words) if words.contains("SIGABRT")));
        let hasty = Cargo { limit: Duration::from_secs(1), ..cargo.clone() };
        assert_eq!(observe(&hasty, "endless"), Observed::TimedOut);
        fs::write(source.join("src/lib.rs"), "fn broken() -> u8 {}\n").unwrap();
        assert!(matches!(observe(&cargo, "good"), Observed::NotCompiled(words) if words.contains("E0308")));
    }
}
