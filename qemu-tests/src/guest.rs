//! The command channel's host side: run a script as root in the guest, copy files in and out.

use std::fmt;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, bail};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use camino::{Utf8Path, Utf8PathBuf};

use crate::agent::OUTPUT_LIMIT;
use crate::diary::Diary;
use crate::pace::{Deadline, Pace};

/// How long a command may take with KVM unless its test says otherwise.
const USUAL_SECS: u64 = 6;

/// How long the answer may take to travel after the command has ended, in KVM time.
const TRAVEL: Duration = Duration::from_secs(3);

/// One try at reaching the agent, in KVM time; the guest may be in the middle of a reboot.
const PING: Duration = Duration::from_millis(500);

/// The longest line the guest can send: all output as base64, and the words around it.
const MAX_LINE: usize = OUTPUT_LIMIT / 3 * 4 + 1024;

/// File content per request, in bytes; well below [`OUTPUT_LIMIT`].
const CHUNK: usize = 256 << 10;

/// What a command in the guest said and how it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// Exit status; 128 + n for signal n, as a shell tells it.
    pub status: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Output {
    /// Whether it exited with zero.
    #[must_use]
    pub fn success(&self) -> bool {
        self.status == 0
    }

    /// Standard output without white space around it.
    #[must_use]
    pub fn text(&self) -> &str {
        self.stdout.trim()
    }
}

impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "exit status {}\n--- stdout\n{}\n--- stderr\n{}", self.status, self.stdout.trim_end(), self.stderr.trim_end())
    }
}

/// A guest that can be talked to.
#[derive(Debug)]
pub struct Guest {
    socket: Utf8PathBuf,
    pace: Pace,
    channel: Mutex<Channel>,
    diary: Option<Mutex<Diary>>,
}

#[derive(Debug, Default)]
struct Channel {
    stream: Option<UnixStream>,
    /// What was received after the last whole line.
    rest: Vec<u8>,
    last_id: u64,
}

impl Guest {
    /// A guest behind the Unix socket of its virtio-serial port; nothing is sent yet.
    #[must_use]
    pub fn new(socket: Utf8PathBuf, pace: Pace) -> Self {
        Self { socket, pace, channel: Mutex::default(), diary: None }
    }

    /// The same, and what is said to it and by it is written to a file in `folder`.
    #[must_use]
    pub(crate) fn with_diary(self, folder: &Utf8Path) -> Self {
        Self { diary: Some(Mutex::new(Diary::beside(folder))), ..self }
    }

    /// Runs a shell script in the guest and returns how it went, whatever it was.
    pub fn run(&self, script: &str) -> anyhow::Result<Output> {
        self.run_for(script, USUAL_SECS)
    }

    /// Like [`Guest::run`], with `fast_secs` seconds of KVM time; then the guest kills it and this is an error.
    pub fn run_for(&self, script: &str, fast_secs: u64) -> anyhow::Result<Output> {
        let said = self.ask(script, fast_secs);
        if let Some(diary) = &self.diary {
            let answer = said.as_ref().map_or_else(|error| format!("{error:#}"), ToString::to_string);
            diary.lock().unwrap_or_else(PoisonError::into_inner).note(script, &answer);
        }
        said
    }

    fn ask(&self, script: &str, fast_secs: u64) -> anyhow::Result<Output> {
        let limit = self.pace.limit(Duration::from_secs(fast_secs));
        let begun = Instant::now();
        let reply = self.request("run", limit.as_secs(), script.as_bytes(), limit + self.pace.limit(TRAVEL));
        let reply = reply.with_context(|| format!("running in the guest: {script}"))?;
        if reply.word == "too-large" {
            bail!("the guest's command said {} bytes, more than {OUTPUT_LIMIT}: {script}", reply.out);
        }
        let status = reply.word.parse().with_context(|| format!("the guest answered {:?}", reply.word))?;
        let output = Output { status, stdout: text(&reply.out)?, stderr: text(&reply.err)? };
        // `timeout` says 124, or 137 when it had to kill; a command may say so itself, but not at this very moment.
        if matches!(status, 124 | 137) && begun.elapsed() >= limit {
            bail!("the guest's command did not end within {} s: {script}\n{output}", limit.as_secs());
        }
        Ok(output)
    }

    /// Runs a script that must succeed.
    pub fn check(&self, script: &str) -> anyhow::Result<Output> {
        self.check_for(script, USUAL_SECS)
    }

    /// Like [`Guest::check`], with a time limit of its own in KVM seconds.
    pub fn check_for(&self, script: &str, fast_secs: u64) -> anyhow::Result<Output> {
        let output = self.run_for(script, fast_secs)?;
        if !output.success() {
            bail!("the guest's command failed: {script}\n{output}");
        }
        Ok(output)
    }

    /// Runs a script until its output satisfies `good`.
    pub fn wait_for(&self, script: &str, fast_secs: u64, good: impl Fn(&Output) -> bool) -> anyhow::Result<Output> {
        let mut last = None;
        let found = self.pace.deadline_secs(fast_secs).wait(script, || {
            let output = self.run(script)?;
            Ok(if good(&output) {
                Some(output)
            } else {
                last = Some(output);
                None
            })
        });
        found.map_err(|error| match &last {
            Some(output) => anyhow!("{error:#}; last answer: {output}"),
            None => error,
        })
    }

    /// Asks the agent which boot this is; fails soon when it does not answer.
    pub fn boot_id(&self) -> anyhow::Result<String> {
        self.request("ping", 0, b"", self.pace.limit(PING)).map(|reply| reply.word)
    }

    /// Ends the connection; the next request makes a new one.
    pub(crate) fn hang_up(&self) {
        if let Some(diary) = &self.diary {
            diary.lock().unwrap_or_else(PoisonError::into_inner).flush();
        }
        let mut channel = self.channel.lock().unwrap_or_else(PoisonError::into_inner);
        channel.stream = None;
        channel.rest.clear();
    }

    /// Writes a file in the guest.
    pub fn write_file(&self, path: &Utf8Path, content: &[u8]) -> anyhow::Result<()> {
        self.check(&format!("mkdir -p \"$(dirname {path})\" && : > {path}"))?;
        for chunk in content.chunks(CHUNK) {
            let sent = self.request("put", 0, chunk, self.pace.limit(TRAVEL));
            sent.with_context(|| format!("sending {path} to the guest"))?;
            self.check(&format!("cat /run/slipway-test/upload >> {path}"))?;
        }
        Ok(())
    }

    /// Reads a file of the guest.
    pub fn read_file(&self, path: &Utf8Path) -> anyhow::Result<Vec<u8>> {
        let size: usize = self.check(&format!("stat -c %s {path}"))?.text().parse().with_context(|| format!("the size of {path}"))?;
        let mut content = Vec::with_capacity(size.min(CHUNK));
        for block in 0..size.div_ceil(CHUNK) {
            let output = self.check(&format!("dd if={path} bs={CHUNK} skip={block} count=1 status=none | base64 -w0"))?;
            content.extend(STANDARD.decode(output.text()).with_context(|| format!("decoding {path}"))?);
        }
        Ok(content)
    }

    fn request(&self, verb: &str, seconds: u64, payload: &[u8], limit: Duration) -> anyhow::Result<Reply> {
        let mut channel = self.channel.lock().unwrap_or_else(PoisonError::into_inner);
        channel.last_id += 1;
        let id = channel.last_id;
        let result = channel.exchange(&self.socket, id, verb, seconds, payload, Deadline::after(limit));
        if result.is_err() {
            // Whatever is still under way belongs to nobody: a new connection begins with an empty line.
            channel.stream = None;
            channel.rest.clear();
        }
        result
    }
}

#[derive(Debug)]
struct Reply {
    word: String,
    out: String,
    err: String,
}

impl Channel {
    fn exchange(
        &mut self,
        socket: &Utf8Path,
        id: u64,
        verb: &str,
        seconds: u64,
        payload: &[u8],
        deadline: Deadline,
    ) -> anyhow::Result<Reply> {
        let stream = match &mut self.stream {
            Some(stream) => stream,
            None => self.stream.insert(UnixStream::connect(socket).with_context(|| format!("connecting to {socket}"))?),
        };
        let payload = STANDARD.encode(payload);
        let request = format!("\nslipway {id} {verb} {seconds} {}\n{payload}", payload.len());
        stream.set_write_timeout(deadline.left()).context("setting a time limit")?;
        stream.write_all(request.as_bytes()).context("sending to the guest")?;
        loop {
            let line = self.line(deadline)?;
            if let Some(reply) = parse(&line, id) {
                return Ok(reply);
            }
        }
    }

    fn line(&mut self, deadline: Deadline) -> anyhow::Result<String> {
        let mut block = vec![0; 64 << 10];
        let mut searched = 0;
        loop {
            if let Some(end) = self.rest[searched..].iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.rest.drain(..=searched + end).collect();
                return Ok(String::from_utf8_lossy(&line).into_owned());
            }
            searched = self.rest.len();
            if searched > MAX_LINE {
                bail!("the guest sent a line of more than {MAX_LINE} bytes");
            }
            let Some(left) = deadline.left() else { bail!("the guest did not answer within {} s", deadline.limit().as_secs_f32()) };
            let stream = self.stream.as_mut().context("not connected")?;
            stream.set_read_timeout(Some(left)).context("setting a time limit")?;
            match stream.read(&mut block) {
                Ok(0) => bail!("QEMU closed the command channel"),
                Ok(count) => self.rest.extend_from_slice(&block[..count]),
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted) => {}
                Err(error) => return Err(error).context("receiving from the guest"),
            }
        }
    }
}

/// The answer to request `id`; answers to earlier requests and noise are nothing.
fn parse(line: &str, id: u64) -> Option<Reply> {
    let mut words = line.split_whitespace();
    if words.next()? != "slipway" || words.next()?.parse() != Ok(id) {
        return None;
    }
    let mut word = || words.next().map(str::to_owned);
    Some(Reply { word: word()?, out: word()?, err: word()? })
}

fn text(encoded: &str) -> anyhow::Result<String> {
    if encoded == "-" {
        return Ok(String::new());
    }
    let bytes = STANDARD.decode(encoded).context("decoding the guest's answer")?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use image_builder::qemu::accel::Accel;

    use super::*;

    /// A guest whose agent sends `answers`, one per request line.
    fn guest(answers: &'static [&'static str]) -> (Guest, tempfile::TempDir) {
        let dir = tempfile::tempdir().unwrap();
        let socket = Utf8Path::from_path(dir.path()).unwrap().join("port");
        let listener = UnixListener::bind(&socket).unwrap();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut received = [0; 4096];
            for answer in answers {
                let count = stream.read(&mut received).unwrap();
                assert!(received[..count].starts_with(b"\nslipway "));
                stream.write_all(answer.as_bytes()).unwrap();
            }
        });
        (Guest::new(socket, Pace::of(Accel::Kvm)), dir)
    }

    #[test]
    fn late_answers_and_noise_are_passed_over() {
        let (guest, _dir) = guest(&["c2xpcHdheQ==\nslipway 0 0 b2xk -\n\nslipway 1 3 bmV3 ZXJyCg==\n"]);
        let output = guest.run("true").unwrap();
        assert_eq!(output, Output { status: 3, stdout: "new".into(), stderr: "err\n".into() });
    }

    #[test]
    fn a_failed_command_is_reported_with_all_it_said() {
        let (guest, _dir) = guest(&["slipway 1 1 b3V0 ZXJy\n"]);
        let error = guest.check("do something").unwrap_err().to_string();
        for part in ["do something", "exit status 1", "out", "err"] {
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn too_much_output_and_a_lost_channel_are_errors() {
        let (guest, _dir) = self::guest(&["slipway 1 too-large 9999999 -\n"]);
        assert!(guest.run("yes").unwrap_err().to_string().contains("9999999 bytes"));
        assert!(guest.run("true").is_err());
    }

    #[test]
    fn a_silent_agent_is_given_up() {
        let (guest, _dir) = guest(&["", ""]);
        assert!(guest.boot_id().is_err());
    }
}
