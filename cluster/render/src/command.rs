//! Commands that a person wrote for a shell: checks and reloads. Bounded in time and output.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;
use tokio::process::Command;
use tokio::time::timeout;

/// How long a check or a reload may take.
pub const LIMIT: Duration = Duration::from_secs(30);
/// The last part of what a command says that is kept, in bytes.
const TAIL_BYTES: usize = 2048;
/// What it wrote just before its end is waited for this long; something it left running may hold the other end for good.
const SETTLE: Duration = Duration::from_millis(100);

/// A line for `/bin/sh`, with places for the names of files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandLine(Vec<Piece>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Source,
    Dest,
}

/// Why a command did not do it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CommandError {
    /// It cannot be started.
    #[error("`{line}` cannot be started: {source}")]
    Start {
        /// The command.
        line: String,
        /// The operating system's reason.
        source: io::Error,
    },
    /// It says no.
    #[error("`{line}` ended with {status}{}", said(output))]
    Failed {
        /// The command.
        line: String,
        /// How it ended.
        status: ExitStatus,
        /// Its last words.
        output: String,
    },
    /// It took too long.
    #[error("`{line}` was ended after {} s{}", limit.as_secs(), said(output))]
    Slow {
        /// The command.
        line: String,
        /// How long it had.
        limit: Duration,
        /// Its last words.
        output: String,
    },
}

fn said(output: &str) -> String {
    if output.is_empty() { String::new() } else { format!(":\n{output}") }
}

impl CommandLine {
    /// Reads a line; `{{.src}}` stands for the new file, `{{.dest}}` for its place, as in confd.
    ///
    /// # Errors
    /// Something else is between the braces.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("{{") {
            let (name, after) = after.split_once("}}").ok_or("`{{` without `}}`")?;
            pieces.push(Piece::Text(before.to_owned()));
            pieces.push(match name.trim().trim_start_matches('.') {
                "src" => Piece::Source,
                "dest" => Piece::Dest,
                _ => return Err("`{{.src}}` is the new file, `{{.dest}}` its place; there is nothing else".to_owned()),
            });
            rest = after;
        }
        pieces.push(Piece::Text(rest.to_owned()));
        Ok(Self(pieces))
    }

    /// Whether there is nothing to run.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(|piece| matches!(piece, Piece::Text(text) if text.trim().is_empty()))
    }

    /// The line for the shell.
    #[must_use]
    pub fn line(&self, source: &Path, dest: &Path) -> String {
        let text = |piece: &Piece| match piece {
            Piece::Text(text) => text.clone(),
            Piece::Source => quoted(source),
            Piece::Dest => quoted(dest),
        };
        self.0.iter().map(text).collect()
    }

    /// Runs it, at most for `limit`; when that is over, it and its children are killed.
    ///
    /// # Errors
    /// It cannot be started, ends with another status than 0, or takes too long.
    pub async fn run(&self, source: &Path, dest: &Path, limit: Duration) -> Result<(), CommandError> {
        let line = self.line(source, dest);
        let start = |source| CommandError::Start { line: line.clone(), source };
        // One pipe for both, so that what it says stays in order.
        let (reader, writer) = io::pipe().map_err(start)?;
        let mut command = Command::new("/bin/sh");
        command.arg("-c").arg(&line).stdin(Stdio::null()).stdout(writer.try_clone().map_err(start)?).stderr(writer);
        command.kill_on_drop(true).process_group(0).current_dir("/").env("LC_ALL", "C.UTF-8");
        let mut child = command.spawn().map_err(start)?;
        // It holds our ends of the pipe.
        drop(command);
        let group = child.id().and_then(|id| i32::try_from(id).ok()).and_then(rustix::process::Pid::from_raw);
        let mut tail = Tail::default();
        let ended = {
            let mut output = std::pin::pin!(tail.fill(reader.into()));
            let mut drained = false;
            let ended = timeout(limit, async {
                tokio::select! {
                    status = child.wait() => status,
                    () = &mut output => {
                        drained = true;
                        child.wait().await
                    }
                }
            });
            let ended = ended.await;
            if !drained {
                let _ = timeout(SETTLE, output).await;
            }
            ended
        };
        match ended {
            Ok(Ok(status)) if status.success() => Ok(()),
            Ok(Ok(status)) => Err(CommandError::Failed { line, status, output: tail.text() }),
            Ok(Err(source)) => Err(CommandError::Start { line, source }),
            Err(_) => {
                // What a command that ended by itself leaves running is its own business; this one did not end.
                let _ = group.map(|group| rustix::process::kill_process_group(group, rustix::process::Signal::KILL));
                Err(CommandError::Slow { line, limit, output: tail.text() })
            }
        }
    }
}

#[derive(Default)]
struct Tail(Vec<u8>);

impl Tail {
    /// Reads to the end, and keeps the last part.
    async fn fill(&mut self, reader: OwnedFd) {
        let Ok(mut reader) = pipe::Receiver::from_owned_fd(reader) else { return };
        let mut some = [0; 4096];
        while let Ok(length @ 1..) = reader.read(&mut some).await {
            self.0.extend_from_slice(&some[..length]);
            self.0.drain(..self.0.len().saturating_sub(TAIL_BYTES));
        }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0).trim().to_owned()
    }
}

/// A path as one word of a shell. Plain names stay as they are: a person may have put quotes around the place already.
fn quoted(path: &Path) -> String {
    let text = path.to_string_lossy();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:@%,=".contains(c);
    if text.chars().all(plain) { text.into_owned() } else { format!("'{}'", text.replace('\'', "'\\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str, source: &str) -> String {
        CommandLine::parse(text).unwrap().line(Path::new(source), Path::new("/etc/a"))
    }

    #[test]
    fn files_have_their_places() {
        assert_eq!(line("web -t {{.src}} && cmp {{ .src }} {{.dest}}", "/etc/.a.x"), "web -t /etc/.a.x && cmp /etc/.a.x /etc/a");
        assert_eq!(line("web '{{src}}'", "/etc/.a.x"), "web '/etc/.a.x'");
        assert_eq!(line("web {{.src}}", "/it's; rm"), "web '/it'\\''s; rm'");
        for wrong in ["web {{.source}}", "web {{", "web {{.src}", "{{}}", "{{ getv \"/a\" }}"] {
            assert!(CommandLine::parse(wrong).is_err(), "{wrong}");
        }
        assert!(CommandLine::parse(" ").unwrap().is_empty() && !CommandLine::parse("{{src}}").unwrap().is_empty());
    }

    async fn run(text: &str, limit: Duration) -> Result<(), String> {
        let result = CommandLine::parse(text).unwrap().run(Path::new("/new"), Path::new("/etc/a"), limit).await;
        result.map_err(|error| error.to_string())
    }

    #[tokio::test]
    async fn a_command_that_fails_says_why_and_only_its_last_words() {
        assert_eq!(run("true", LIMIT).await, Ok(()));
        assert_eq!(
            run("echo one; echo two >&2; exit 3", LIMIT).await.unwrap_err(),
            "`echo one; echo two >&2; exit 3` ended with exit status: 3:\none\ntwo"
        );
        let long = run("head -c 100000 /dev/zero | tr '\\0' x; false", LIMIT).await.unwrap_err();
        assert!(long.len() < TAIL_BYTES + 200, "{}", long.len());
    }

    #[tokio::test]
    async fn a_command_that_hangs_is_killed_with_its_children() {
        let folder = tempfile::tempdir().unwrap();
        let mark = folder.path().join("pid");
        let text = format!("sleep 1000 & echo $! > {}; wait", mark.display());
        let error = run(&text, Duration::from_millis(300)).await.unwrap_err();
        assert!(error.contains("was ended after"), "{error}");
        let pid = std::fs::read_to_string(mark).unwrap();
        let alive = || std::fs::read_to_string(format!("/proc/{}/stat", pid.trim())).is_ok_and(|stat| !stat.contains(") Z "));
        for _ in 0..100 {
            if !alive() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("the child lives on");
    }

    #[tokio::test]
    async fn what_a_command_leaves_running_is_not_waited_for() {
        assert_eq!(run("sleep 2 & true", Duration::from_secs(1)).await, Ok(()));
    }
}
