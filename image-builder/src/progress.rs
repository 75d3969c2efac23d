//! Progress of long work: one living line on a terminal, plain lines elsewhere.
//!
//! All of it goes to standard error; standard output is data.

use std::io::{IsTerminal, Write};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// How often the living line is redrawn at most.
const REDRAW: Duration = Duration::from_millis(100);

/// Where progress is shown.
#[derive(Debug)]
pub struct Progress {
    sink: Sink,
    last_draw: Mutex<Option<Instant>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sink {
    Terminal,
    Lines,
    Silent,
}

impl Progress {
    /// A living line when standard error is a terminal, plain lines otherwise.
    #[must_use]
    pub fn auto() -> Self {
        Self::with(if std::io::stderr().is_terminal() { Sink::Terminal } else { Sink::Lines })
    }

    /// Shows nothing; for `--json` callers and tests.
    #[must_use]
    pub fn silent() -> Self {
        Self::with(Sink::Silent)
    }

    fn with(sink: Sink) -> Self {
        Self { sink, last_draw: Mutex::new(None) }
    }

    /// Begins a phase of the work. `total_bytes` is zero when the amount is not known beforehand.
    #[must_use]
    pub fn phase(&self, name: impl Into<String>, total_bytes: u64) -> Phase<'_> {
        let phase = Phase { progress: self, name: name.into(), total: total_bytes, done: Mutex::new(0), begun: Instant::now() };
        if self.sink == Sink::Terminal {
            self.draw(&phase.line(Duration::ZERO, 0), true);
        }
        phase
    }

    /// Says one thing a person should know.
    pub fn note(&self, text: impl AsRef<str>) {
        match self.sink {
            Sink::Terminal => self.emit(&format!("\r\x1b[K{}\n", text.as_ref())),
            Sink::Lines => self.emit(&format!("{}\n", text.as_ref())),
            Sink::Silent => {}
        }
    }

    fn draw(&self, line: &str, force: bool) {
        let Ok(mut last) = self.last_draw.lock() else { return };
        if !force && last.is_some_and(|at| at.elapsed() < REDRAW) {
            return;
        }
        *last = Some(Instant::now());
        self.emit(&format!("\r\x1b[K{line}"));
    }

    fn emit(&self, text: &str) {
        let mut stderr = std::io::stderr().lock();
        // Progress is a courtesy: a closed standard error must not end the work.
        let _ = stderr.write_all(text.as_bytes()).and_then(|()| stderr.flush());
    }
}

/// One phase of the work; ends when dropped.
#[derive(Debug)]
pub struct Phase<'a> {
    progress: &'a Progress,
    name: String,
    total: u64,
    done: Mutex<u64>,
    begun: Instant,
}

impl Phase<'_> {
    /// Adds `bytes` to what is done.
    pub fn advance(&self, bytes: u64) {
        let Ok(mut done) = self.done.lock() else { return };
        *done += bytes;
        if self.progress.sink == Sink::Terminal {
            self.progress.draw(&self.line(self.begun.elapsed(), *done), false);
        }
    }

    fn line(&self, elapsed: Duration, done: u64) -> String {
        if self.total == 0 {
            return format!("{} ...", self.name);
        }
        let percent = (done.min(self.total) * 100) / self.total;
        format!("{} {percent:>3}%  {} / {}{}", self.name, bytes(done), bytes(self.total), time_left(elapsed, done, self.total))
    }
}

impl Drop for Phase<'_> {
    fn drop(&mut self) {
        let seconds = self.begun.elapsed().as_secs_f64();
        self.progress.note(format!("{} ({seconds:.1} s)", self.name));
    }
}

fn time_left(elapsed: Duration, done: u64, total: u64) -> String {
    if done == 0 || done >= total {
        return String::new();
    }
    let seconds = elapsed.as_secs_f64() * (total - done) as f64 / done as f64;
    format!("  {} s left", seconds.ceil())
}

/// A size for people, in decimal units as disks are sold: `12.3 MB`.
#[must_use]
pub fn bytes(count: u64) -> String {
    const UNITS: [&str; 4] = ["kB", "MB", "GB", "TB"];
    if count < 1000 {
        return format!("{count} B");
    }
    let mut value = count as f64 / 1000.0;
    let mut unit = 0;
    while value >= 999.95 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_decimal_and_short() {
        let table = [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (999_949, "999.9 kB"), (999_950, "1.0 MB"), (173_000_000, "173.0 MB")];
        for (count, text) in table {
            assert_eq!(bytes(count), text);
        }
    }

    #[test]
    fn time_left_follows_the_rate_so_far() {
        assert_eq!(time_left(Duration::from_secs(2), 50, 150), "  4 s left");
        assert_eq!(time_left(Duration::from_secs(2), 0, 150), "");
        assert_eq!(time_left(Duration::from_secs(2), 150, 150), "");
    }
}
