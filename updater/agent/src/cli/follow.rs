//! Watching an operation to its end, with a progress line on a terminal.

use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use std::time::Duration;

use super::client::Client;
use super::{EXIT_FAILED, EXIT_REFUSED, Ui};
use crate::machine::Status;
use crate::machine::status::Ended;

/// How often the state is looked at: often enough for a person, rarely enough for a bus.
const LOOK_EVERY: Duration = Duration::from_millis(300);
/// Width of the bar.
const BAR: usize = 30;

/// Watches until operation `number` has ended, prints how, and gives the exit code.
pub(super) async fn to_the_end(client: &Client, number: u64, ui: &Ui) -> anyhow::Result<ExitCode> {
    let line = Line { on: !ui.json && std::io::stderr().is_terminal() };
    loop {
        let status = client.status().await?;
        if let Some(ended) = status.outcome.as_ref().filter(|ended| ended.operation >= number) {
            line.clear();
            return finish(ended, ui);
        }
        line.show(&status);
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

fn finish(ended: &Ended, ui: &Ui) -> anyhow::Result<ExitCode> {
    if ui.json {
        ui.data(ended)?;
    }
    let code = exit_code(ended);
    if !ui.json {
        if code == 0 {
            ui.line(&ended.text);
        } else {
            ui.note(format!("error: {}", ended.text));
        }
    }
    Ok(ExitCode::from(code))
}

pub(super) fn exit_code(ended: &Ended) -> u8 {
    match ended.result.as_str() {
        "refused" => EXIT_REFUSED,
        "failed" | "cancelled" => EXIT_FAILED,
        _ => 0,
    }
}

/// One line that is written again and again.
struct Line {
    on: bool,
}

impl Line {
    fn show(&self, status: &Status) {
        if self.on {
            let _ = write!(std::io::stderr().lock(), "\r\x1b[K{}", text_of(status));
        }
    }

    fn clear(&self) {
        if self.on {
            let _ = write!(std::io::stderr().lock(), "\r\x1b[K");
        }
    }
}

fn text_of(status: &Status) -> String {
    let version = status.available.as_ref().map(ToString::to_string).unwrap_or_default();
    let Some(progress) = status.progress.filter(|progress| progress.total > 0) else {
        return format!("{} {version}", status.state);
    };
    let part = progress.done.min(progress.total) as f64 / progress.total as f64;
    let full = (part * BAR as f64) as usize;
    let mib = |bytes: u64| bytes >> 20;
    format!(
        "{} {version} [{}{}] {:3.0} % of {} MiB",
        status.state,
        "#".repeat(full),
        ".".repeat(BAR - full.min(BAR)),
        part * 100.0,
        mib(progress.total)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_follow_the_outcome() {
        let ended = |result: &str| Ended { operation: 1, result: result.to_owned(), version: None, text: String::new(), refusal: None };
        let table = [("up-to-date", 0), ("available", 0), ("staged", 0), ("refused", 3), ("failed", 1), ("cancelled", 1)];
        for (result, code) in table {
            assert_eq!(exit_code(&ended(result)), code, "{result}");
        }
    }
}
