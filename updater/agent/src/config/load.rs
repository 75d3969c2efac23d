//! The files and their order.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::diagnostic::Diagnostic;
use super::model::{Settings, Strategy};
use super::{ConfigError, Shown, coreos, read};

/// Largest configuration file in bytes; a real one has a few hundred.
const FILE_BYTES_MAX: u64 = 256 * 1024;
/// Most drop-ins; a folder with more is something else.
const DROP_INS_MAX: usize = 64;

const VENDOR: &str = "usr/lib/slipway/updater.toml";
const COREOS: &str = "etc/coreos/update.conf";
const LOCAL: &str = "etc/slipway/updater.toml";
const DROP_INS: &str = "etc/slipway/updater.toml.d";

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Origin {
    /// The file.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
}

/// The effective settings and where they come from.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Loaded {
    /// The settings.
    pub settings: Settings,
    /// Key, e.g. `reboot.strategy`, to origin; keys that are not here have their default.
    pub origins: BTreeMap<&'static str, Origin>,
    /// What operators should know though it is no mistake.
    pub notes: Vec<String>,
    pub(super) too_many_windows: bool,
}

impl Loaded {
    pub(super) fn came_from(&mut self, key: &'static str, file: &str, line: usize) {
        self.origins.insert(key, Origin { file: file.to_owned(), line });
    }

    /// Every key with its value as text and its origin, in the order of the documentation.
    #[must_use]
    pub fn rows(&self) -> Vec<(&'static str, String, Option<&Origin>)> {
        let settings = &self.settings;
        let access = &settings.access;
        let windows: Vec<String> = settings.reboot.windows.list.iter().map(window_text).collect();
        let text = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
        let path = access.ca_file.as_ref().map(|path| path.display().to_string());
        let rows = vec![
            ("enabled", settings.enabled.to_string()),
            ("server", text(Some(access.server.clone()).filter(|server| !server.is_empty()))),
            ("group", settings.group.clone()),
            ("metadata-url", text(Some(access.metadata_url.clone()).filter(|url| !url.is_empty()))),
            ("mirrors", text(Some(access.mirrors.join(" ")).filter(|mirrors| !mirrors.is_empty()))),
            ("proxy", text(access.proxy.clone())),
            ("ca-file", text(path)),
            ("bandwidth-limit", text(access.bandwidth_limit.map(|limit| format!("{limit} B/s")))),
            ("pin", text(settings.pin.as_ref().map(ToString::to_string))),
            ("app-id", text(settings.app_id.clone())),
            ("check.interval", Shown(settings.check.interval).to_string()),
            ("check.jitter", Shown(settings.check.jitter).to_string()),
            ("check.first", Shown(settings.check.first).to_string()),
            ("check.metadata", Shown(settings.check.metadata).to_string()),
            ("reboot.strategy", settings.reboot.strategy.name().to_owned()),
            ("reboot.timezone", settings.reboot.windows.zone.iana_name().unwrap_or("UTC").to_owned()),
            ("reboot.window", text(Some(windows.join(", ")).filter(|windows| !windows.is_empty()))),
            ("reboot.wait-for-users", Shown(settings.reboot.wait_for_users).to_string()),
            ("health.deadline", Shown(settings.health.deadline).to_string()),
            ("health.ignore", text(Some(settings.health.ignore.join(" ")).filter(|ignore| !ignore.is_empty()))),
            ("health.services", text(Some(settings.health.services.join(" ")).filter(|services| !services.is_empty()))),
        ];
        rows.into_iter().map(|(key, value)| (key, value, self.origins.get(key))).collect()
    }

    /// What can only be judged when all files are read.
    fn complete(&mut self) -> Vec<Diagnostic> {
        let access = &mut self.settings.access;
        if access.metadata_url.is_empty() && !access.server.is_empty() {
            access.metadata_url = format!("{}/tuf", access.server);
        }
        let mut problems = Vec::new();
        let mut problem = |key: &str, message: &str, label: &str| {
            let place = self.origins.get(key).map_or_else(|| LOCAL.to_owned(), |origin| format!("{}:{}", origin.file, origin.line));
            problems.push(Diagnostic { message: message.to_owned(), file: place, mark: None, label: label.to_owned() });
        };
        if self.settings.reboot.strategy == Strategy::Window && self.settings.reboot.windows.list.is_empty() {
            problem(
                "reboot.strategy",
                "the reboot strategy is `window`, but there is no window",
                "add a [[reboot.window]] with `start` and `length`",
            );
        }
        if self.too_many_windows {
            problem("reboot.window", "there are too many windows", "a week has 168 hours");
        }
        problems
    }
}

fn window_text(window: &crate::machine::window::Window) -> String {
    let day = window.day.map_or("every day", crate::machine::window::name_of);
    format!("{day} {:02}:{:02} for {:#}", window.start.hour(), window.start.minute(), window.length)
}

/// Reads all files below `root`, which is `/` but for tests. Files that do not exist say nothing.
///
/// # Errors
/// A file cannot be read, or has a problem; then nothing of the configuration is to be used.
pub fn load(root: &Path) -> Result<Loaded, ConfigError> {
    let mut loaded = Loaded::default();
    let mut diagnostics = Vec::new();
    let mut files = vec![root.join(VENDOR), root.join(COREOS), root.join(LOCAL)];
    files.extend(drop_ins(&root.join(DROP_INS))?);
    for path in files {
        if let Some(text) = read_file(&path)? {
            diagnostics.extend(apply(root, &path, &text, &mut loaded));
        }
    }
    diagnostics.extend(loaded.complete());
    if diagnostics.is_empty() { Ok(loaded) } else { Err(ConfigError::Invalid { diagnostics }) }
}

/// Checks one file by itself, as if it were the only one.
///
/// # Errors
/// It cannot be read, or has a problem.
pub fn check_file(path: &Path) -> Result<Loaded, ConfigError> {
    let mut loaded = Loaded::default();
    let missing = || ConfigError::Read { path: path.to_owned(), source: std::io::Error::from(ErrorKind::NotFound) };
    let text = read_file(path)?.ok_or_else(missing)?;
    let mut diagnostics = apply(Path::new(""), path, &text, &mut loaded);
    if diagnostics.is_empty() {
        diagnostics = loaded.complete();
    }
    if diagnostics.is_empty() { Ok(loaded) } else { Err(ConfigError::Invalid { diagnostics }) }
}

fn apply(root: &Path, path: &Path, text: &str, loaded: &mut Loaded) -> Vec<Diagnostic> {
    // Shown as on the machine, wherever the root is.
    let name = path.strip_prefix(root).map_or_else(|_| path.display().to_string(), |inner| format!("/{}", inner.display()));
    let name = if root.as_os_str().is_empty() { path.display().to_string() } else { name };
    if path.extension().is_some_and(|extension| extension == "conf") {
        coreos::apply(&name, text, loaded)
    } else {
        read::apply(&name, text, loaded)
    }
}

fn drop_ins(folder: &Path) -> Result<Vec<PathBuf>, ConfigError> {
    let failed = |source| ConfigError::Read { path: folder.to_owned(), source };
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.map_err(failed)?.path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            files.push(path);
        }
    }
    files.sort();
    if files.len() > DROP_INS_MAX {
        return Err(failed(std::io::Error::other(format!("more than {DROP_INS_MAX} drop-ins"))));
    }
    Ok(files)
}

fn read_file(path: &Path) -> Result<Option<String>, ConfigError> {
    let failed = |source| ConfigError::Read { path: path.to_owned(), source };
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let mut text = String::new();
    file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text).map_err(failed)?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(ConfigError::Large { path: path.to_owned(), limit: FILE_BYTES_MAX });
    }
    Ok(Some(text))
}
