//! `/etc/coreos/update.conf`: the file that users of CoreOS and Flatcar have, read for what it says about this updater.
//!
//! | key | becomes |
//! | --- | --- |
//! | `GROUP` | `group` |
//! | `SERVER` | `server`, without a trailing `/v1/update`; `disabled` switches updates off |
//! | `REBOOT_STRATEGY=reboot` | `reboot.strategy = "immediate"` |
//! | `REBOOT_STRATEGY=off`, `etcd-lock`, `fleet-lock`, `best-effort` | `reboot.strategy` of the same name |
//! | `LOCKSMITHD_REBOOT_WINDOW_START`, `_LENGTH` | a window, and `reboot.strategy = "window"` instead of `"immediate"` |

use std::ops::Range;
use std::time::Duration;

use jiff::SignedDuration;
use jiff::civil::{Time, Weekday};

use super::Loaded;
use super::diagnostic::{Diagnostic, Mark, nearest};
use super::model::Strategy;
use super::read::{group_name, time, weekday};
use super::value::{duration, url};
use crate::machine::window::Window;

const START: &str = "LOCKSMITHD_REBOOT_WINDOW_START";
const LENGTH: &str = "LOCKSMITHD_REBOOT_WINDOW_LENGTH";
const STRATEGIES: [&str; 5] = ["reboot", "off", "etcd-lock", "fleet-lock", "best-effort"];

/// Applies the file. Keys of other programs are passed over: the file is shared with them.
pub(super) fn apply(name: &str, text: &str, into: &mut Loaded) -> Vec<Diagnostic> {
    let mut problems = Vec::new();
    let (mut start, mut length) = (None, None);
    let mut offset = 0;
    for (number, line) in text.split_inclusive('\n').enumerate() {
        let begin = offset;
        offset += line.len();
        let trimmed = line.trim();
        if trimmed.is_empty() || trimmed.starts_with('#') {
            continue;
        }
        let indent = line.len() - line.trim_start().len();
        let span = begin + indent..begin + indent + trimmed.len();
        let mut problem = |message: String, label: String| {
            let mark = Some(Mark::of_span(text, &span));
            problems.push(Diagnostic { message, file: name.to_owned(), mark, label });
        };
        let Some((key, value)) = trimmed.split_once('=') else {
            problem("this line has no `=`".to_owned(), "expected KEY=value".to_owned());
            continue;
        };
        let value = value.trim().trim_matches(['"', '\'']);
        let line = number + 1;
        let result = match key.trim() {
            "GROUP" => set_group(value, into).map(|()| into.came_from("group", name, line)),
            "SERVER" => set_server(value, into).map(|key| into.came_from(key, name, line)),
            "REBOOT_STRATEGY" => set_strategy(value, into).map(|()| into.came_from("reboot.strategy", name, line)),
            START => window_start(value).map(|found| start = Some((found, span.clone(), line))),
            LENGTH => duration(Duration::from_secs(60)..=Duration::from_secs(7 * 24 * 3600))(value).map(|found| length = Some(found)),
            _ => Ok(()),
        };
        if let Err(label) = result {
            problem(format!("{value:?} is not right for {}", key.trim()), label);
        }
    }
    set_window(name, text, start, length, into, &mut problems);
    problems
}

fn set_group(value: &str, into: &mut Loaded) -> Result<(), String> {
    into.settings.group = group_name(value)?;
    Ok(())
}

fn set_server(value: &str, into: &mut Loaded) -> Result<&'static str, String> {
    if value.is_empty() || value == "disabled" {
        into.settings.enabled = false;
        return Ok("enabled");
    }
    let value = value.trim_end_matches('/');
    into.settings.access.server = url(value.strip_suffix("/v1/update").unwrap_or(value))?;
    Ok("server")
}

fn set_strategy(value: &str, into: &mut Loaded) -> Result<(), String> {
    into.settings.reboot.strategy = match value {
        "reboot" => Strategy::Immediate,
        "off" => Strategy::Off,
        "etcd-lock" => Strategy::EtcdLock,
        "fleet-lock" => Strategy::FleetLock,
        "best-effort" => Strategy::BestEffort,
        other => {
            let meant = nearest(other, STRATEGIES).map(|word| format!("did you mean `{word}`? ")).unwrap_or_default();
            return Err(format!("{meant}known are: {}", STRATEGIES.join(", ")));
        }
    };
    Ok(())
}

fn window_start(value: &str) -> Result<(Option<Weekday>, Time), String> {
    match value.split_once(' ') {
        Some((day, at)) => Ok((Some(weekday(day)?), time(at.trim())?)),
        None => Ok((None, time(value)?)),
    }
}

type Start = ((Option<Weekday>, Time), Range<usize>, usize);

fn set_window(name: &str, text: &str, start: Option<Start>, length: Option<Duration>, into: &mut Loaded, problems: &mut Vec<Diagnostic>) {
    let Some(((day, start), span, line)) = start else { return };
    let Some(length) = length else {
        let mark = Some(Mark::of_span(text, &span));
        let message = format!("{START} without {LENGTH}");
        problems.push(Diagnostic { message, file: name.to_owned(), mark, label: format!("add e.g. {LENGTH}=1h") });
        return;
    };
    into.settings.reboot.windows.list = vec![Window { day, start, length: SignedDuration::try_from(length).unwrap_or_default() }];
    into.came_from("reboot.window", name, line);
    if into.settings.reboot.strategy == Strategy::Immediate {
        into.settings.reboot.strategy = Strategy::Window;
        into.came_from("reboot.strategy", name, line);
    }
}
