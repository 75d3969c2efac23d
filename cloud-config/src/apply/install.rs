//! What enabling a unit means: the links that its `[Install]` section asks for.
//!
//! The same code serves a running host and a root that no systemd has ever seen. It knows `WantedBy=`, `RequiredBy=`, `UpheldBy=`,
//! `Alias=`, `Also=` and `DefaultInstance=`, which is all there is; specifiers other than `%i`, `%n` and `%N` are refused.

use super::root::FsError;
use super::tree::Tree;
use crate::plan::effect::Persistence;
use crate::plan::path::{HostPath, PathError};

/// Units that `Also=` may lead to; a circle ends here.
const ALSO_LIMIT: usize = 64;
/// Where systemd looks for units, the winner first.
pub const UNIT_FOLDERS: [&str; 6] = [
    "/etc/systemd/system",
    "/run/systemd/system",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/run/systemd/generator",
    "/lib/systemd/system",
];

/// A unit that cannot be enabled.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InstallError {
    /// It is nowhere.
    #[error("there is no unit {0}; give it `content`, or check its name")]
    NoUnit(String),
    /// It does not say when it starts.
    #[error("{0} has no [Install] section: add one, for example with `WantedBy=multi-user.target`")]
    NothingToInstall(String),
    /// A template needs an instance.
    #[error("{0} is a template without DefaultInstance=; enable an instance such as `{1}`")]
    Template(String, String),
    /// It is masked.
    #[error("{0} is masked")]
    Masked(String),
    /// A name in the section is no unit name.
    #[error("{0}: [Install] names {1:?}, which is no unit name this program understands")]
    Name(String, String),
    /// A path cannot be made of it.
    #[error(transparent)]
    Path(#[from] PathError),
    /// A file could not be read.
    #[error(transparent)]
    Fs(#[from] FsError),
}

/// Links to be made: where, and what they say.
pub type Links = Vec<(HostPath, String)>;

/// The links that enable `unit`.
pub fn links(tree: &Tree, unit: &str, persistence: Persistence) -> Result<Links, InstallError> {
    let folder = HostPath::new(match persistence {
        Persistence::Persistent => "/etc/systemd/system",
        Persistence::Runtime => "/run/systemd/system",
    })?;
    let mut links = Vec::new();
    let mut left = vec![unit.to_owned()];
    let mut seen: Vec<String> = Vec::new();
    let mut asked_for_something = false;
    while let Some(name) = left.pop() {
        if seen.contains(&name) || seen.len() >= ALSO_LIMIT {
            continue;
        }
        let first = seen.is_empty();
        seen.push(name.clone());
        let (file, text) = match find(tree, &name)? {
            Some(Found::Text(file, text)) => (file, text),
            Some(Found::Masked) => return Err(InstallError::Masked(name)),
            None if first => return Err(InstallError::NoUnit(name)),
            None => continue,
        };
        let install = Install::of(&text, &name);
        asked_for_something |= !install.is_empty();
        let name = match (&install.default_instance, is_template(&name)) {
            (Some(instance), true) => name.replacen("@.", &format!("@{instance}."), 1),
            (None, true) if !install.wanted_by.is_empty() => {
                return Err(InstallError::Template(name.clone(), name.replacen("@.", "@NAME.", 1)));
            }
            _ => name,
        };
        for alias in &install.alias {
            let alias = expand(alias, &name).ok_or_else(|| InstallError::Name(name.clone(), alias.clone()))?;
            if alias != name {
                links.push((folder.join(&alias)?, file.clone()));
            }
        }
        for (targets, suffix) in [(&install.wanted_by, "wants"), (&install.required_by, "requires"), (&install.upheld_by, "upholds")] {
            for target in targets {
                let target = expand(target, &name).ok_or_else(|| InstallError::Name(name.clone(), target.clone()))?;
                links.push((folder.join(&format!("{target}.{suffix}"))?.join(&name)?, file.clone()));
            }
        }
        left.extend(install.also.iter().filter_map(|also| expand(also, &name)));
    }
    if asked_for_something { Ok(links) } else { Err(InstallError::NothingToInstall(unit.to_owned())) }
}

enum Found {
    Text(String, String),
    Masked,
}

/// Whether a unit of this name can be started: its own file, its template's, or an alias.
pub fn exists(tree: &Tree, unit: &str) -> Result<bool, InstallError> {
    Ok(find(tree, unit)?.is_some())
}

/// The unit's file and its text, drop-ins included.
fn find(tree: &Tree, unit: &str) -> Result<Option<Found>, InstallError> {
    let names: Vec<String> = std::iter::once(unit.to_owned()).chain(template_of(unit)).collect();
    for name in &names {
        for folder in UNIT_FOLDERS {
            let file = HostPath::new(folder)?.join(name)?;
            if !tree.exists(&file)? {
                continue;
            }
            if tree.read_link(&file)?.as_deref() == Some("/dev/null") {
                return Ok(Some(Found::Masked));
            }
            let Some(mut text) = tree.read_text(&file)? else { continue };
            for folder in UNIT_FOLDERS {
                let drop_ins = HostPath::new(folder)?.join(&format!("{name}.d"))?;
                for drop_in in tree.list(&drop_ins)?.iter().filter(|name| name.ends_with(".conf")) {
                    text.push('\n');
                    text.push_str(&tree.read_text(&drop_ins.join(drop_in)?)?.unwrap_or_default());
                }
            }
            return Ok(Some(Found::Text(file.to_string(), text)));
        }
    }
    Ok(None)
}

fn template_of(unit: &str) -> Option<String> {
    let (stem, rest) = unit.split_once('@')?;
    let (instance, kind) = rest.rsplit_once('.')?;
    (!instance.is_empty()).then(|| format!("{stem}@.{kind}"))
}

fn is_template(unit: &str) -> bool {
    unit.contains("@.")
}

/// A unit name in `[Install]` with its specifiers replaced; `None` if it is no name, or has others.
fn expand(text: &str, unit: &str) -> Option<String> {
    let stem = unit.rsplit_once('.').map_or(unit, |(stem, _)| stem);
    let instance = stem.split_once('@').map_or("", |(_, instance)| instance);
    let name = text.replace("%i", instance).replace("%n", unit).replace("%N", stem);
    let fine = name.contains('.') && name.chars().all(|c| c.is_ascii_alphanumeric() || ":-_.\\@".contains(c)) && !name.starts_with('.');
    fine.then_some(name)
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Install {
    wanted_by: Vec<String>,
    required_by: Vec<String>,
    upheld_by: Vec<String>,
    alias: Vec<String>,
    also: Vec<String>,
    default_instance: Option<String>,
}

impl Install {
    fn of(text: &str, _unit: &str) -> Self {
        let mut install = Self::default();
        let mut inside = false;
        for line in logical_lines(text) {
            let line = line.trim();
            if line.starts_with('[') {
                inside = line == "[Install]";
                continue;
            }
            let Some((key, value)) = line.split_once('=').filter(|_| inside && !line.starts_with(['#', ';'])) else { continue };
            let list = match key.trim() {
                "WantedBy" => &mut install.wanted_by,
                "RequiredBy" => &mut install.required_by,
                "UpheldBy" => &mut install.upheld_by,
                "Alias" => &mut install.alias,
                "Also" => &mut install.also,
                "DefaultInstance" => {
                    install.default_instance = Some(value.trim().to_owned());
                    continue;
                }
                _ => continue,
            };
            if value.trim().is_empty() {
                list.clear();
            }
            list.extend(value.split_whitespace().map(str::to_owned));
        }
        install
    }

    fn is_empty(&self) -> bool {
        self.wanted_by.is_empty()
            && self.required_by.is_empty()
            && self.upheld_by.is_empty()
            && self.alias.is_empty()
            && self.also.is_empty()
    }
}

/// Lines, with those that end in a backslash joined to the next.
fn logical_lines(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut open = false;
    for line in text.lines() {
        let (content, continues) = match line.strip_suffix('\\') {
            Some(content) => (content, true),
            None => (line, false),
        };
        match lines.last_mut().filter(|_| open) {
            Some(last) => {
                last.push(' ');
                last.push_str(content);
            }
            None => lines.push(content.to_owned()),
        }
        open = continues;
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::apply::root::Root;

    fn tree(files: &[(&str, &str)]) -> (tempfile::TempDir, Tree) {
        let dir = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = dir.path().join(&path[1..]);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let root = Root::open(dir.path()).unwrap();
        (dir, Tree::looking(root))
    }

    fn check(files: &[(&str, &str)], unit: &str) -> Result<Vec<String>, String> {
        let (_dir, tree) = tree(files);
        let links = links(&tree, unit, Persistence::Persistent).map_err(|error| error.to_string())?;
        Ok(links
            .into_iter()
            .map(|(path, target)| format!("{} -> {target}", path.as_str().trim_start_matches("/etc/systemd/system/")))
            .collect())
    }

    #[test]
    fn links_are_what_the_install_section_says() {
        let web = "[Service]\nExecStart=/bin/true\n[Install]\nWantedBy=multi-user.target \\\n other.target\nAlias=www.service\n";
        assert_eq!(
            check(&[("/etc/systemd/system/web.service", web)], "web.service").unwrap(),
            [
                "www.service -> /etc/systemd/system/web.service",
                "multi-user.target.wants/web.service -> /etc/systemd/system/web.service",
                "other.target.wants/web.service -> /etc/systemd/system/web.service",
            ]
        );
    }

    #[test]
    fn also_brings_others_and_circles_end() {
        let a = "[Install]\nRequiredBy=x.target\nAlso=b.socket\n";
        let b = "[Install]\nWantedBy=sockets.target\nAlso=a.service gone.service\n";
        let found = check(&[("/usr/lib/systemd/system/a.service", a), ("/usr/lib/systemd/system/b.socket", b)], "a.service").unwrap();
        assert_eq!(
            found,
            [
                "x.target.requires/a.service -> /usr/lib/systemd/system/a.service",
                "sockets.target.wants/b.socket -> /usr/lib/systemd/system/b.socket"
            ]
        );
    }

    #[test]
    fn an_instance_is_enabled_by_its_template() {
        let text = "[Install]\nWantedBy=multi-user.target\n";
        let files = [("/usr/lib/systemd/system/w@.service", text)];
        assert_eq!(check(&files, "w@1.service").unwrap(), ["multi-user.target.wants/w@1.service -> /usr/lib/systemd/system/w@.service"]);
        assert!(check(&files, "w@.service").unwrap_err().contains("w@NAME.service"));
        let with_default = [("/usr/lib/systemd/system/w@.service", "[Install]\nWantedBy=m.target\nDefaultInstance=0\n")];
        assert_eq!(check(&with_default, "w@.service").unwrap(), ["m.target.wants/w@0.service -> /usr/lib/systemd/system/w@.service"]);
    }

    #[test]
    fn drop_ins_have_a_say_and_etc_wins() {
        let files = [
            ("/usr/lib/systemd/system/a.service", "[Install]\nWantedBy=old.target\n"),
            ("/etc/systemd/system/a.service.d/10.conf", "[Install]\nWantedBy=\nWantedBy=new.target\n"),
        ];
        assert_eq!(check(&files, "a.service").unwrap(), ["new.target.wants/a.service -> /usr/lib/systemd/system/a.service"]);
    }

    #[test]
    fn says_why_a_unit_cannot_be_enabled() {
        for (text, reason) in [
            ("[Service]\nWantedBy=multi-user.target\n", "no [Install] section"),
            ("[Install]\n#WantedBy=multi-user.target\n", "no [Install] section"),
            ("[Install]\nWantedBy=../../etc\n", "no unit name"),
            ("[Install]\nWantedBy=%H.target\n", "no unit name"),
        ] {
            let error = check(&[("/etc/systemd/system/a.service", text)], "a.service").unwrap_err();
            assert!(error.contains(reason), "{error}");
        }
        assert!(check(&[], "a.service").unwrap_err().contains("there is no unit a.service"));
    }

    #[test]
    fn a_masked_unit_is_not_enabled() {
        let (dir, tree) = tree(&[]);
        std::fs::create_dir_all(dir.path().join("etc/systemd/system")).unwrap();
        std::os::unix::fs::symlink("/dev/null", dir.path().join("etc/systemd/system/a.service")).unwrap();
        assert!(matches!(links(&tree, "a.service", Persistence::Runtime), Err(InstallError::Masked(_))));
    }
}
