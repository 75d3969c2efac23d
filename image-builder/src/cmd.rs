//! The one door to external programs.
//!
//! Arguments are passed as a list (never through a shell), the environment is reduced to what makes output
//! reproducible, standard error is captured but bounded, and a missing program names the package that holds it.

use std::ffi::{OsStr, OsString};
use std::io::{self, Read, Write};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// How much of a failing program's standard error is kept, in bytes: enough for its last words, bounded for safety.
const STDERR_TAIL_BYTES: usize = 4 * 1024;

/// Programs we call on the host and the Debian package that provides each.
///
/// Everything that shapes the bytes of an image runs from the tools tree of the lock, not from this table.
const PACKAGES: &[(&str, &str)] = &[
    ("/usr/lib/apt/apt-helper", "apt"),
    ("apt-cache", "apt"),
    ("apt-config", "apt"),
    ("apt-get", "apt"),
    ("chroot", "coreutils"),
    ("dpkg-deb", "dpkg"),
    ("newgidmap", "uidmap"),
    ("newuidmap", "uidmap"),
    ("mcopy", "mtools"),
    ("openssl", "openssl"),
    ("qemu-img", "qemu-utils"),
    ("qemu-system-x86_64", "qemu-system-x86"),
    ("sbsign", "sbsigntool"),
    ("sbverify", "sbsigntool"),
    ("setpriv", "util-linux"),
    ("socat", "socat"),
    ("ssh", "openssh-client"),
    ("ssh-keygen", "openssh-client"),
    ("unshare", "util-linux"),
    ("veritysetup", "cryptsetup-bin"),
];

/// What went wrong with an external program.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CmdError {
    /// The program is not installed.
    #[error("the program `{program}` is not installed; install it with: apt-get install {package}")]
    Missing {
        /// Name of the program.
        program: String,
        /// Debian package that contains it.
        package: String,
    },
    /// The program could not be started or talked to.
    #[error("running `{program}`: {source}")]
    Io {
        /// Name of the program.
        program: String,
        /// The operating system's reason.
        source: io::Error,
    },
    /// The program ran and reported failure.
    #[error("`{command}` failed ({status}){}", tail_of(.stderr))]
    Failed {
        /// The whole command line, for repeating it by hand.
        command: String,
        /// How it ended.
        status: ExitStatus,
        /// The last part of its standard error.
        stderr: String,
    },
    /// It used no processor time for too long, and was ended.
    #[error("`{command}` stood still for {} s and was ended", .quiet.as_secs_f32())]
    StoodStill {
        /// The whole command line, for repeating it by hand.
        command: String,
        /// For how long it did nothing.
        quiet: Duration,
    },
}

fn tail_of(stderr: &str) -> String {
    let text = stderr.trim();
    if text.is_empty() { String::new() } else { format!(":\n{text}") }
}

/// What a program said, as UTF-8 with replacement characters.
#[derive(Debug, Clone, Default)]
pub struct Transcript {
    /// It ended with status zero.
    pub success: bool,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
}

/// A command line under construction; a thin, stricter face over [`std::process::Command`].
#[derive(Debug)]
pub struct Cmd {
    program: OsString,
    inner: Command,
}

impl Cmd {
    /// A command that runs `program` with a clean environment: `PATH`, `HOME`, proxies and nothing else of the caller's.
    pub fn new(program: impl AsRef<OsStr>) -> Self {
        let program = program.as_ref().to_owned();
        #[expect(clippy::disallowed_methods, reason = "this is the door itself")]
        let mut inner = Command::new(&program);
        inner.env_clear();
        for name in ["PATH", "HOME", "TMPDIR", "http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"] {
            if let Some(value) = std::env::var_os(name) {
                inner.env(name, value);
            }
        }
        // Debian keeps mkfs and friends in sbin, which an ordinary user's PATH may lack.
        let path = std::env::var("PATH").unwrap_or_default();
        inner.env("PATH", format!("{path}:/usr/sbin:/sbin"));
        inner.env("LC_ALL", "C.UTF-8").env("TZ", "UTC");
        inner.stdin(Stdio::null());
        Self { program, inner }
    }

    /// Appends one argument.
    #[must_use]
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.inner.arg(arg);
        self
    }

    /// Appends several arguments.
    #[must_use]
    pub fn args<S: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.inner.args(args);
        self
    }

    /// Sets one environment variable.
    #[must_use]
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.inner.env(name, value);
        self
    }

    /// Sets the working directory.
    #[must_use]
    pub fn dir(mut self, dir: impl AsRef<std::path::Path>) -> Self {
        self.inner.current_dir(dir);
        self
    }

    /// Runs to the end and returns standard output; a non-zero exit is an error with the tail of standard error.
    pub fn output(mut self) -> Result<Vec<u8>, CmdError> {
        tracing::debug!(command = %self.line(), "run");
        self.inner.stdout(Stdio::piped()).stderr(Stdio::piped());
        let output = self.inner.output().map_err(|source| self.io(source))?;
        self.check(output.status, &output.stderr)?;
        Ok(output.stdout)
    }

    /// Runs to the end and returns all it said, whether or not it failed; for programs whose complaints are data.
    pub fn transcript(mut self) -> Result<Transcript, CmdError> {
        tracing::debug!(command = %self.line(), "run");
        self.inner.stdout(Stdio::piped()).stderr(Stdio::piped());
        let output = self.inner.output().map_err(|source| self.io(source))?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ok(Transcript { success: output.status.success(), stdout: text(&output.stdout), stderr: text(&output.stderr) })
    }

    /// Like [`Cmd::output`], decoded as UTF-8 with replacement characters.
    pub fn text(self) -> Result<String, CmdError> {
        Ok(String::from_utf8_lossy(&self.output()?).into_owned())
    }

    /// Runs to the end and discards standard output.
    pub fn run(self) -> Result<(), CmdError> {
        self.output().map(drop)
    }

    /// Like [`Cmd::run`], but ends the program when it uses no processor time for as long as `quiet`: one that hangs would
    /// hold up a build until somebody looks.
    pub fn run_unless_still(mut self, quiet: Duration) -> Result<(), CmdError> {
        tracing::debug!(command = %self.line(), "run watched");
        self.inner.stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = self.spawn_inner()?;
        let stderr = child.stderr.take();
        let drain = std::thread::spawn(move || read_tail(stderr));
        let mut moved = (Instant::now(), None);
        let status = loop {
            if let Some(status) = child.try_wait().map_err(|source| self.io(source))? {
                break status;
            }
            let ticks = processor_ticks(child.id());
            if ticks != moved.1 {
                moved = (Instant::now(), ticks);
            } else if moved.0.elapsed() >= quiet {
                // Its end is what is wanted; one that has just ended by itself did not stand still for nothing.
                let _ = child.kill();
                child.wait().map_err(|source| self.io(source))?;
                return Err(CmdError::StoodStill { command: self.line(), quiet });
            }
            std::thread::sleep(WATCH_INTERVAL);
        };
        self.check(status, &drain.join().unwrap_or_default())
    }

    /// Runs to the end with `feed` writing its standard input; standard output is discarded.
    pub fn run_with_input(mut self, feed: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<(), CmdError> {
        tracing::debug!(command = %self.line(), "run with input");
        self.inner.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = self.spawn_inner()?;
        let stderr = child.stderr.take();
        let drain = std::thread::spawn(move || read_tail(stderr));
        let fed = match child.stdin.take() {
            Some(mut stdin) => feed(&mut stdin),
            None => Ok(()),
        };
        let status = child.wait().map_err(|source| self.io(source))?;
        let stderr = drain.join().unwrap_or_default();
        // The program's own complaint explains a broken pipe better than the broken pipe does.
        self.check(status, &stderr)?;
        fed.map_err(|source| self.io(source))
    }

    /// Starts the program and leaves it to the caller, with the terminal's own output streams.
    pub fn spawn(mut self) -> Result<Child, CmdError> {
        tracing::debug!(command = %self.line(), "spawn");
        self.spawn_inner()
    }

    /// Direct access for stream redirection, for callers that [`Cmd::spawn`].
    #[must_use]
    pub fn with(mut self, change: impl FnOnce(&mut Command)) -> Self {
        change(&mut self.inner);
        self
    }

    /// The command line as a person would type it.
    #[must_use]
    pub fn line(&self) -> String {
        let mut line = self.program.to_string_lossy().into_owned();
        for arg in self.inner.get_args() {
            line.push(' ');
            let arg = arg.to_string_lossy();
            let plain = !arg.is_empty() && arg.chars().all(|c| c.is_ascii_alphanumeric() || "-_./=:,@%+".contains(c));
            if plain { line.push_str(&arg) } else { line.push_str(&format!("'{}'", arg.replace('\'', r"'\''"))) }
        }
        line
    }

    fn spawn_inner(&mut self) -> Result<Child, CmdError> {
        self.inner.spawn().map_err(|source| self.io(source))
    }

    fn check(&self, status: ExitStatus, stderr: &[u8]) -> Result<(), CmdError> {
        if status.success() {
            return Ok(());
        }
        let from = stderr.len().saturating_sub(STDERR_TAIL_BYTES);
        Err(CmdError::Failed { command: self.line(), status, stderr: String::from_utf8_lossy(&stderr[from..]).into_owned() })
    }

    fn io(&self, source: io::Error) -> CmdError {
        let program = self.program.to_string_lossy().into_owned();
        if source.kind() == io::ErrorKind::NotFound
            && let Some((_, package)) = PACKAGES.iter().find(|(name, _)| *name == program)
        {
            return CmdError::Missing { program, package: (*package).to_owned() };
        }
        CmdError::Io { program, source }
    }
}

/// How often a watched program is looked at.
const WATCH_INTERVAL: Duration = Duration::from_millis(20);

/// Processor time that all threads of `pid` have used, in clock ticks (proc_pid_stat(5), fields utime and stime).
fn processor_ticks(pid: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold anything, so the fields are counted from its end: the state is the third one.
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace().skip(11);
    let mut next = || fields.next()?.parse::<u64>().ok();
    Some(next()? + next()?)
}

fn read_tail(stream: Option<impl Read>) -> Vec<u8> {
    let mut tail = Vec::new();
    let Some(mut stream) = stream else { return tail };
    let mut buffer = [0; 4096];
    while let Ok(count @ 1..) = stream.read(&mut buffer) {
        tail.extend_from_slice(&buffer[..count]);
        if tail.len() > 2 * STDERR_TAIL_BYTES {
            tail.drain(..tail.len() - STDERR_TAIL_BYTES);
        }
    }
    tail
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_program_names_its_package() {
        let mut cmd = Cmd::new("veritysetup");
        let error = cmd.io(io::Error::from(io::ErrorKind::NotFound));
        assert_eq!(error.to_string(), "the program `veritysetup` is not installed; install it with: apt-get install cryptsetup-bin");
        cmd.program = "no-such-program-anywhere".into();
        assert!(matches!(cmd.io(io::Error::from(io::ErrorKind::NotFound)), CmdError::Io { .. }));
    }

    #[test]
    fn a_program_that_stands_still_is_ended() {
        let error = Cmd::new("sleep").arg("600").run_unless_still(Duration::from_millis(200)).unwrap_err();
        assert_eq!(error.to_string(), "`sleep 600` stood still for 0.2 s and was ended");
    }

    #[test]
    fn a_program_that_works_longer_than_the_patience_is_left_alone() {
        let busy = "end=$(($(date +%s%N) + 600000000)); while [ $(date +%s%N) -lt $end ]; do i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; done";
        Cmd::new("sh").args(["-c", busy]).run_unless_still(Duration::from_millis(400)).unwrap();
        let error = Cmd::new("sh").args(["-c", "echo no >&2; exit 3"]).run_unless_still(Duration::from_secs(5)).unwrap_err();
        assert!(error.to_string().ends_with("no"), "{error}");
    }

    #[test]
    fn a_failure_carries_the_command_and_its_last_words() {
        let error = Cmd::new("sh").args(["-c", "echo useful >&2; exit 3"]).run().unwrap_err().to_string();
        assert!(error.contains("sh -c 'echo useful >&2; exit 3'") && error.ends_with("useful"), "{error}");
    }

    #[test]
    fn a_program_that_stops_reading_is_explained_by_its_own_words() {
        let error = Cmd::new("sh").args(["-c", "echo full >&2; exit 1"]).run_with_input(|pipe| {
            let block = [0; 65536];
            loop {
                pipe.write_all(&block)?;
            }
        });
        assert!(error.unwrap_err().to_string().ends_with("full"));
    }

    #[test]
    fn the_environment_of_the_caller_does_not_leak() {
        let text = Cmd::new("sh").args(["-c", "echo $LC_ALL $TZ $CARGO_PKG_NAME"]).text().unwrap();
        assert_eq!(text, "C.UTF-8 UTC\n");
    }
}
