//! The files, one over the other, and what is wrong with them.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use diagnostics::{Diagnostic, Mark, nearest};

use super::Config;

/// Largest file that is read, in bytes: a configuration is a page, and not a disk.
const FILE_MAX: u64 = 1 << 20;

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A file or folder cannot be read.
    #[error("reading {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The operating system's reason.
        source: std::io::Error,
    },
    /// A file is wrong at some place.
    #[error("{0}")]
    Wrong(Diagnostic),
    /// The files are right one by one, and do not fit together.
    #[error("{}: {}", path.display(), wrong.join("; "))]
    Unfit {
        /// The main file.
        path: PathBuf,
        /// What does not fit.
        wrong: Vec<String>,
    },
}

/// Reads `file` and then `file.d/*.toml` by name; a key of a later file wins. Without any there is an empty configuration.
///
/// # Errors
/// A file cannot be read, is wrong (with line, caret and the nearest right word), or they do not fit together.
pub fn read(file: &Path) -> Result<Config, ConfigError> {
    let mut merged = toml::Table::new();
    for path in files(file)? {
        let Some(text) = text_of(&path)? else { continue };
        // By itself first: only then are there lines to point at.
        let alone = toml::from_str::<Config>(&text).and_then(|_| toml::from_str::<toml::Table>(&text));
        merge(&mut merged, alone.map_err(|error| ConfigError::Wrong(diagnose(&path, &text, &error)))?);
    }
    let text = merged.to_string();
    let config: Config = toml::from_str(&text).map_err(|error| ConfigError::Wrong(diagnose(file, &text, &error)))?;
    let wrong = config.check();
    if wrong.is_empty() { Ok(config) } else { Err(ConfigError::Unfit { path: file.to_owned(), wrong }) }
}

fn files(file: &Path) -> Result<Vec<PathBuf>, ConfigError> {
    let mut folder = file.as_os_str().to_owned();
    folder.push(".d");
    let folder = PathBuf::from(folder);
    let failed = |source| ConfigError::Read { path: folder.clone(), source };
    let mut found = match std::fs::read_dir(&folder) {
        Ok(entries) => entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<Vec<_>, _>>().map_err(failed)?,
        Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(failed(error)),
    };
    found.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
    found.sort();
    found.insert(0, file.to_owned());
    Ok(found)
}

fn text_of(path: &Path) -> Result<Option<String>, ConfigError> {
    let failed = |source| ConfigError::Read { path: path.to_owned(), source };
    match std::fs::metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Ok(found) if found.len() > FILE_MAX => {
            return Err(failed(std::io::Error::new(ErrorKind::FileTooLarge, "larger than 1 MiB")));
        }
        _ => {}
    }
    std::fs::read_to_string(path).map(Some).map_err(failed)
}

/// Puts `over` over `under`: tables key by key, anything else as a whole.
fn merge(under: &mut toml::Table, over: toml::Table) {
    for (key, value) in over {
        match (under.get_mut(&key), value) {
            (Some(toml::Value::Table(below)), toml::Value::Table(above)) => merge(below, above),
            (_, value) => drop(under.insert(key, value)),
        }
    }
}

fn diagnose(path: &Path, text: &str, error: &toml::de::Error) -> Diagnostic {
    let message = error.message().to_owned();
    // serde lists what it would have taken: "unknown field `a`, expected one of `b`, `c`".
    let mut words = message.split('`').skip(1).step_by(2);
    let label = match words.next() {
        Some(word) if message.starts_with("unknown") => {
            nearest(word, words).map(|meant| format!("did you mean `{meant}`?")).unwrap_or_default()
        }
        _ => String::new(),
    };
    Diagnostic { message, file: path.display().to_string(), mark: error.span().map(|span| Mark::of_span(text, &span)), label }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::{Role, TlsMode};

    fn read_files(files: &[(&str, &str)]) -> Result<Config, ConfigError> {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("cluster.toml.d")).unwrap();
        for (name, text) in files {
            std::fs::write(dir.path().join(name), text).unwrap();
        }
        read(&dir.path().join("cluster.toml")).map_err(|error| match error {
            ConfigError::Wrong(mut wrong) => {
                wrong.file = Path::new(&wrong.file).file_name().unwrap().to_string_lossy().into_owned();
                ConfigError::Wrong(wrong)
            }
            other => other,
        })
    }

    #[test]
    fn nothing_at_all_is_no_cluster() {
        let config = read(Path::new("/nonexistent/cluster.toml")).unwrap();
        assert_eq!(config, Config::default());
        assert!(!config.is_configured());
    }

    #[test]
    fn later_files_win_key_by_key() {
        let config = read_files(&[
            ("cluster.toml", "[etcd]\ndiscovery = \"http://a/1\"\nrole = \"client\"\n[metadata]\na = \"1\"\nb = \"1\"\n"),
            ("cluster.toml.d/20-b.toml", "[metadata]\nb = \"3\"\n"),
            ("cluster.toml.d/10-a.toml", "[etcd]\nreplace-after = \"never\"\ntls = \"auto\"\n[metadata]\nb = \"2\"\nc = \"2\"\n"),
            ("cluster.toml.d/30-c.conf", "this is not read"),
            ("cluster.toml.d/40-d.toml", "[snapshot]\nevery = \"1h30m\"\n"),
        ])
        .unwrap();
        assert_eq!(config.etcd.discovery.as_deref(), Some("http://a/1"));
        assert_eq!((config.etcd.role, config.etcd.tls, config.etcd.replace_after), (Role::Client, TlsMode::Auto, None));
        assert_eq!((config.snapshot.every, config.snapshot.keep), (Some(Duration::from_secs(5400)), 8));
        let metadata: Vec<_> = config.metadata.into_iter().map(|(key, value)| key + &value).collect();
        assert_eq!(metadata, ["a1", "b3", "c2"]);
    }

    #[test]
    fn what_is_wrong_shows_its_line_and_the_nearest_right_word() {
        let error = read_files(&[("cluster.toml.d/10-a.toml", "[etcd]\nroll = \"auto\"\n")]).unwrap_err();
        insta::assert_snapshot!(error, @r#"
        unknown field `roll`, expected one of `discovery`, `initial-cluster`, `role`, `name`, `address`, `replace-after`, `tls`, `secret-file`, `ca-file`, `cert-file`, `key-file`
          --> 10-a.toml:2:1
           |
        2  | roll = "auto"
           | ^^^^ did you mean `role`?
        "#);
        for (text, word) in [
            ("[etdc]", "did you mean `etcd`"),
            ("[etcd]\ntls = \"atuo\"", "did you mean `auto`"),
            ("[etcd]\nreplace-after = \"10\"", "10m"),
            ("[etcd]\naddress = \"here\"", "IP address"),
            ("[etcd", "2:1"),
            ("[metadata]\na = 1", "a string"),
        ] {
            let error = read_files(&[("cluster.toml", text)]).unwrap_err().to_string();
            assert!(error.contains(word) || word == "2:1", "{text}: {error}");
        }
    }

    #[test]
    fn what_does_not_fit_together_is_refused() {
        for (text, word) in [
            ("[etcd]\ndiscovery = \"a\"\ninitial-cluster = \"b\"", "remove the other"),
            ("[etcd]\ntls = \"files\"\nca-file = \"/a\"\nkey-file = \"/c\"", "needs `cert-file`"),
            ("[etcd]\ntls = \"auto\"\nca-file = \"/a\"", "only"),
            ("[etcd]\nreplace-after = \"59s\"", "rebooting"),
            ("[etcd]\nname = \"a b\"", "letters"),
            ("[etcd]\nname = \"\"", "letters"),
            ("[snapshot]\nkeep = 0", "never"),
            ("[snapshot]\nevery = \"1s\"", "less than"),
        ] {
            let error = read_files(&[("cluster.toml", text)]).unwrap_err().to_string();
            assert!(error.contains(word), "{text}: {error}");
        }
    }
}
