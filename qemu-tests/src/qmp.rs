//! The few words of QEMU's control protocol (QMP) that the tests need: JSON lines over a Unix socket.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use anyhow::{Context, bail};
use camino::Utf8Path;
use serde_json::{Value, json};

/// QEMU answers at once; a socket that stays silent this long belongs to a hung process.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Lines skipped while waiting for one answer: events come in between, but not without end.
const MAX_EVENTS: usize = 1000;

/// A connection to one QEMU.
#[derive(Debug)]
pub struct Qmp {
    stream: BufReader<UnixStream>,
}

impl Qmp {
    /// Connects and leaves the negotiation mode.
    pub fn connect(socket: &Utf8Path) -> anyhow::Result<Self> {
        let stream = UnixStream::connect(socket).with_context(|| format!("connecting to {socket}"))?;
        stream.set_read_timeout(Some(TIMEOUT)).context("setting a time limit on QMP")?;
        let mut qmp = Self { stream: BufReader::new(stream) };
        let greeting = qmp.receive()?;
        if greeting.get("QMP").is_none() {
            bail!("QEMU greets with {greeting}");
        }
        qmp.execute("qmp_capabilities", json!({}))?;
        Ok(qmp)
    }

    /// Runs one command and returns its result.
    pub fn execute(&mut self, command: &str, arguments: Value) -> anyhow::Result<Value> {
        let request = json!({ "execute": command, "arguments": arguments });
        self.stream.get_mut().write_all(format!("{request}\n").as_bytes()).with_context(|| format!("sending {command} to QEMU"))?;
        for _ in 0..MAX_EVENTS {
            let mut answer = self.receive().with_context(|| format!("waiting for the answer to {command}"))?;
            if let Some(result) = answer.get_mut("return") {
                return Ok(result.take());
            }
            if let Some(error) = answer.get("error") {
                bail!("QEMU refuses {command}: {}", error["desc"].as_str().unwrap_or("no reason"));
            }
        }
        bail!("QEMU sends only events and no answer to {command}")
    }

    /// What the machine is doing: `running`, `paused`, `shutdown`, ...
    pub fn status(&mut self) -> anyhow::Result<String> {
        let status = self.execute("query-status", json!({}))?;
        Ok(status["status"].as_str().unwrap_or_default().to_owned())
    }

    fn receive(&mut self) -> anyhow::Result<Value> {
        let mut line = String::new();
        if self.stream.read_line(&mut line).context("reading from QMP")? == 0 {
            bail!("QEMU closed the control connection");
        }
        serde_json::from_str(&line).with_context(|| format!("QEMU said {line:?}"))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    /// Talks to a QEMU that says `lines`, whatever it is asked.
    fn check(lines: &str, expected: Result<&str, &str>) {
        let dir = tempfile::tempdir().unwrap();
        let socket = Utf8Path::from_path(dir.path()).unwrap().join("qmp");
        let listener = UnixListener::bind(&socket).unwrap();
        let lines = lines.to_owned();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            stream.write_all(lines.as_bytes()).unwrap();
            stream.shutdown(std::net::Shutdown::Write).unwrap();
            stream
        });
        let result = Qmp::connect(&socket).and_then(|mut qmp| qmp.status());
        drop(server.join().unwrap());
        match expected {
            Ok(status) => assert_eq!(result.unwrap(), status),
            Err(part) => assert!(format!("{:#}", result.unwrap_err()).contains(part)),
        }
    }

    #[test]
    fn events_are_passed_over_and_errors_told() {
        let hello = "{\"QMP\": {}}\n{\"return\": {}}\n";
        check(&format!("{hello}{{\"event\": \"RESUME\"}}\n{{\"return\": {{\"status\": \"running\"}}}}\n"), Ok("running"));
        check(&format!("{hello}{{\"error\": {{\"desc\": \"not now\"}}}}\n"), Err("not now"));
        check(&format!("{hello}nonsense\n"), Err("nonsense"));
        check(hello, Err("closed"));
        check("{}\n", Err("greets"));
    }
}
