//! What a machine said, cut to what may be stored and shown.
//!
//! All of it is the word of a stranger: it ends in tables, logs and terminals of operators. So every text is cut to a length and to
//! characters that mean nothing to HTML, SQL, CSV, shells and terminals.

use omaha::{App, Request};

/// Longest version, group, platform and the like, in characters.
const WORD: usize = 64;
/// Longest free text (alias, cause), in characters: one line of a table.
const LINE: usize = 200;
/// Longest application id, in characters: a UUID in braces, or a reversed domain.
const APP: usize = 100;

/// One report of a machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Omaha event type.
    pub kind: u32,
    /// Omaha event result.
    pub result: u32,
    /// Error code without flag bits.
    pub code: Option<i64>,
    /// Version before the update.
    pub previous: Option<String>,
    /// What it says was the cause.
    pub cause: Option<String>,
    /// The release it speaks of.
    pub release: Option<String>,
}

/// What one application of one machine said.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CheckIn {
    /// Application id as sent, for the answer.
    pub app_sent: String,
    /// Application id, normalised.
    pub app: String,
    /// The machine's id; empty when it sent none that can be kept.
    pub machine_id: String,
    /// The group it names.
    pub group: String,
    /// The version it runs.
    pub version: String,
    /// Architecture by Debian's name.
    pub arch: String,
    /// Platform.
    pub oem: String,
    /// Version of the platform's tools.
    pub oem_version: String,
    /// Board.
    pub board: String,
    /// A name its owner gave it.
    pub alias: String,
    /// First version installed.
    pub aleph: String,
    /// Its update client.
    pub client: String,
    /// The boot it is in.
    pub boot_id: String,
    /// It says it is there.
    pub ping: bool,
    /// It asks for an update.
    pub asks: bool,
    /// What happened to it.
    pub reports: Vec<Report>,
}

impl CheckIn {
    /// What each application of a request said.
    #[must_use]
    pub fn of(request: &Request) -> Vec<Self> {
        request.apps.iter().map(|app| one(request, app)).collect()
    }
}

fn one(request: &Request, app: &App) -> CheckIn {
    let report = |event: &omaha::Event| Report {
        kind: event.kind.0,
        result: event.result.0,
        code: event.error(),
        previous: event.previous_version.as_deref().map(|text| clean(text, WORD)),
        cause: event.cause.as_deref().map(|text| clean(text, LINE)).filter(|text| !text.is_empty()),
        release: event.release.as_deref().map(|text| clean(text, WORD)).filter(|text| !text.is_empty()),
    };
    CheckIn {
        app_sent: app.id.chars().take(APP).collect(),
        app: normal_app(&app.id),
        machine_id: machine_id(&app.machine_id),
        group: group(&app.track),
        version: clean(&app.version, WORD),
        arch: arch(app, request),
        oem: clean(&app.oem, WORD),
        oem_version: clean(&app.oem_version, WORD),
        board: clean(&app.board, WORD),
        alias: clean(&app.machine_alias, LINE),
        aleph: clean(&app.aleph_version, WORD),
        client: clean(&request.updater_version, WORD),
        boot_id: clean(app.boot_id.trim_matches(['{', '}']), WORD),
        ping: app.ping,
        asks: app.update_check.is_some(),
        reports: app.events.iter().map(report).collect(),
    }
}

/// An application id in its one spelling: no braces, lower case.
#[must_use]
pub fn normal_app(id: &str) -> String {
    clean(id.trim().trim_start_matches('{').trim_end_matches('}'), APP).to_ascii_lowercase()
}

/// An architecture by the one name it has here.
#[must_use]
pub fn normal_arch(name: &str) -> String {
    match name {
        "" | "x86_64" | "x64" | "x86-64" => "amd64".to_owned(),
        "aarch64" | "arm" => "arm64".to_owned(),
        other => clean(other, WORD),
    }
}

/// Stock clients say their architecture in `board` (`amd64-usr`); others in `os/@arch`; all of them behind the last `_` of `os/@sp`.
fn arch(app: &App, request: &Request) -> String {
    let board = app.board.split('-').next().unwrap_or_default();
    let behind_version = || ["x86_64", "aarch64"].into_iter().find(|machine| request.os.sp.ends_with(machine)).unwrap_or_default();
    let named = [board, request.os.arch.as_str()].into_iter().find(|name| !name.is_empty()).unwrap_or_else(behind_version);
    normal_arch(named)
}

/// Only the characters that mean nothing to whoever reads it; others become `_`.
fn clean(text: &str, limit: usize) -> String {
    let harmless = |c: char| c.is_ascii_alphanumeric() || " -_.:,/+@()[]{}~#=".contains(c);
    text.trim().chars().take(limit).map(|c| if harmless(c) { c } else { '_' }).collect()
}

/// A machine id is never repaired: two machines must not become one.
fn machine_id(text: &str) -> String {
    let text = text.trim().trim_matches(['{', '}']);
    let plain = !text.is_empty() && text.len() <= WORD && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.:".contains(c));
    if plain { text.to_ascii_lowercase() } else { String::new() }
}

fn group(track: &str) -> String {
    let name = clean(track.trim_matches(['{', '}']), WORD);
    if name.is_empty() { "stable".to_owned() } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_text_is_made_harmless() {
        for (sent, stored) in [
            ("1.2.3", "1.2.3"),
            ("<script>alert(1)</script>", "_script_alert(1)_/script_"),
            ("'; DROP TABLE machines; --", "__ DROP TABLE machines_ --"),
            ("\u{1b}[31mred", "_[31mred"),
            ("a\r\nb,c", "a__b,c"),
            ("=cmd|' /C calc'!A0", "=cmd__ /C calc__A0"),
            ("größe", "gr__e"),
        ] {
            assert_eq!(clean(sent, WORD), stored, "{sent}");
        }
        assert_eq!(clean(&"x".repeat(5000), WORD).len(), WORD);
    }

    #[test]
    fn a_machine_id_is_taken_whole_or_not_at_all() {
        for good in ["0123456789abcdef0123456789abcdef", "host-1.example:2", "{A-B}"] {
            assert!(!machine_id(good).is_empty(), "{good}");
        }
        for wrong in ["", "{}", "a b", "a'b", "<a>", "ä", &"a".repeat(65)] {
            assert_eq!(machine_id(wrong), "", "{wrong}");
        }
    }

    #[test]
    fn architectures_have_one_name() {
        let mut request = Request { os: omaha::Os { sp: "3732.0.0_aarch64".into(), ..Default::default() }, ..Default::default() };
        let app = |board: &str| App { board: board.into(), ..App::default() };
        assert_eq!(arch(&app("amd64-usr"), &request), "amd64");
        assert_eq!(arch(&app("arm64-usr"), &request), "arm64");
        assert_eq!(arch(&app(""), &request), "arm64");
        request.os.arch = "x86_64".into();
        assert_eq!(arch(&app(""), &request), "amd64");
        assert_eq!(arch(&app(""), &Request::default()), "amd64");
    }
}
