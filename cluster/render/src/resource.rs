//! One file that follows keys: what confd calls a template resource.
//!
//! ```toml
//! [template]
//! src = "haproxy.cfg.j2"                  # beside this file, or in the folder `templates` next to this one's
//! dest = "/etc/haproxy/haproxy.cfg"
//! services = ["web"]                      # announcements that the template uses
//! keys = ["/production/limits"]           # other keys, each with everything below it
//! prefix = ""                             # stands before every key, and is left out in the template
//! mode = "0644"                           # and uid, gid: those of the file that is there unless said
//! check_cmd = "haproxy -c -f {{.src}}"    # a file that it does not like is never installed
//! reload_cmd = "systemctl reload haproxy"
//! ```

use std::path::{Path, PathBuf};

use diagnostics::toml::{Reader, get};
use diagnostics::{Diagnostic, nearest};

use crate::command::CommandLine;

/// Files in a folder that are looked at; more than this is a mistake.
const MOST: usize = 256;
/// Largest file, in bytes.
const LARGEST: u64 = 64 * 1024;
const KEYS: [&str; 10] = ["src", "dest", "keys", "services", "prefix", "uid", "gid", "mode", "check_cmd", "reload_cmd"];
/// The largest number of a user or group; the one above it means "leave as it is" to the kernel.
const LAST_ID: u64 = u32::MAX as u64 - 1;

/// One file that follows keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resource {
    /// The file that says so.
    pub file: PathBuf,
    /// The template.
    pub source: PathBuf,
    /// The file that is written.
    pub dest: PathBuf,
    /// Keys as they are in etcd, each with everything below it.
    pub keys: Vec<String>,
    /// What is left out of keys in the template.
    pub prefix: String,
    /// Owner and rights.
    pub attributes: Attributes,
    /// Says whether a file is good.
    pub check: Option<CommandLine>,
    /// Tells those who read the file.
    pub reload: Option<CommandLine>,
}

/// Owner and rights of a file; what is not said stays as it is, and a new file gets ours and 0644.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Attributes {
    /// The user's number.
    pub uid: Option<u32>,
    /// The group's number.
    pub gid: Option<u32>,
    /// Permission bits.
    pub mode: Option<u32>,
}

impl Resource {
    /// Reads one file; `exists` says whether a template is there.
    ///
    /// # Errors
    /// Everything that is wrong with it, each with its line.
    pub fn parse(file: &Path, text: &str, exists: impl Fn(&Path) -> bool) -> Result<Self, Vec<Diagnostic>> {
        let name = file.display().to_string();
        let mut reader = Reader::new(&name, text);
        let top = reader.parse();
        if !reader.diagnostics.is_empty() {
            return Err(reader.diagnostics);
        }
        reader.check_keys(&top, "at the top", &["template"]);
        let missing = |what: &str, label: &str| Diagnostic {
            message: format!("{what} is missing"),
            file: name.clone(),
            mark: None,
            label: label.to_owned(),
        };
        let Some(table) = reader.table(&top, "template") else {
            if get(&top, "template").is_none() {
                reader.diagnostics.push(missing("`[template]`", "begin with a line `[template]`"));
            }
            return Err(reader.diagnostics);
        };
        reader.check_keys(table, "in [template]", &KEYS);
        for key in ["src", "dest"].into_iter().filter(|key| get(table, key).is_none()) {
            reader.diagnostics.push(missing(&format!("`{key}`"), &format!("add `{key} = …` to [template]")));
        }
        let source = reader.string(table, "src", |text| locate(file, text, &exists));
        let dest = reader.string(table, "dest", |text| {
            let path = Path::new(text);
            let good = path.is_absolute() && path.file_name().is_some() && !path.components().any(|part| part.as_os_str() == "..");
            good.then(|| path.to_owned()).ok_or_else(|| "a file, from `/` on, without `..`".to_owned())
        });
        let prefix = reader.string(table, "prefix", |text| Ok(text.trim_end_matches('/').to_owned()));
        let prefix = prefix.map(|found| found.value).unwrap_or_default();
        let keys = reader.strings(table, "keys", |key| Ok(full_key(&prefix, key)));
        let services = reader.strings(table, "services", |service| match announce::Key::new(service, "n", "x") {
            Ok(_) => Ok(format!("{}{service}", announce::PREFIX)),
            Err(_) if service == "*" => Ok(announce::PREFIX.trim_end_matches('/').to_owned()),
            Err(error) => Err(error.to_string()),
        });
        let uid = reader.number(table, "uid", 0..=LAST_ID);
        let gid = reader.number(table, "gid", 0..=LAST_ID);
        let mode = reader.string(table, "mode", |text| match u32::from_str_radix(text, 8) {
            Ok(mode) if mode <= 0o7777 && !text.starts_with('+') => Ok(mode),
            _ => Err("octal digits, such as \"0644\"".to_owned()),
        });
        let check = reader.string(table, "check_cmd", CommandLine::parse);
        let reload = reader.string(table, "reload_cmd", CommandLine::parse);
        let mut all: Vec<String> = [keys, services].into_iter().flatten().flat_map(|found| found.value).map(|found| found.value).collect();
        all.sort();
        all.dedup();
        if all.is_empty() && reader.diagnostics.is_empty() {
            reader.diagnostics.push(missing("what to follow", "add `services = […]` or `keys = […]` to [template]"));
        }
        let number = |found: Option<diagnostics::toml::Found<u64>>| found.and_then(|found| u32::try_from(found.value).ok());
        match (source, dest) {
            (Some(source), Some(dest)) if reader.diagnostics.is_empty() => Ok(Self {
                file: file.to_owned(),
                source: source.value,
                dest: dest.value,
                keys: all,
                prefix,
                attributes: Attributes { uid: number(uid), gid: number(gid), mode: mode.map(|found| found.value) },
                check: check.map(|found| found.value).filter(|command| !command.is_empty()),
                reload: reload.map(|found| found.value).filter(|command| !command.is_empty()),
            }),
            _ => Err(reader.diagnostics),
        }
    }

    /// Whether a key of etcd is one of those that are followed.
    #[must_use]
    pub fn follows(&self, key: &str) -> bool {
        self.keys.iter().any(|followed| covers(followed, key))
    }
}

/// Whether `key` is `followed` or below it: `/web` has `/web/a` below it, and not `/website`.
#[must_use]
pub fn covers(followed: &str, key: &str) -> bool {
    let below = |rest: &str| rest.is_empty() || followed.is_empty() || followed.ends_with('/') || rest.starts_with('/');
    key.strip_prefix(followed).is_some_and(below)
}

/// The key of etcd that `key` is with `prefix` before it.
fn full_key(prefix: &str, key: &str) -> String {
    let trimmed = key.trim_end_matches('/');
    match (prefix, trimmed) {
        // All keys, or all that begin with a slash.
        ("", "") => key.chars().take(1).collect(),
        ("", key) => key.to_owned(),
        (prefix, "") => prefix.to_owned(),
        (prefix, key) => format!("{prefix}/{}", key.trim_start_matches('/')),
    }
}

/// Where the template is: beside the file that names it, or in the folder `templates` next to that file's, as in confd.
fn locate(file: &Path, source: &str, exists: &impl Fn(&Path) -> bool) -> Result<PathBuf, String> {
    let folder = file.parent().unwrap_or(Path::new("/"));
    let mut places = vec![folder.join(source)];
    if Path::new(source).is_relative() {
        places.extend(folder.parent().map(|above| above.join("templates").join(source)));
    }
    if let Some(found) = places.iter().find(|place| exists(place)) {
        return Ok(found.clone());
    }
    let places: Vec<String> = places.iter().map(|place| place.display().to_string()).collect();
    Err(format!("there is no {}", places.join(", and no ")))
}

/// Reads all files of a folder, by name. A file that is wrong does not keep the others from counting. `only` keeps those of these names.
#[must_use]
pub fn read(folder: &Path, only: &[String]) -> (Vec<Resource>, Vec<String>) {
    let mut found: Vec<Resource> = Vec::new();
    let mut problems = Vec::new();
    let mut paths = Vec::new();
    match std::fs::read_dir(folder) {
        Ok(entries) => paths.extend(entries.filter_map(Result::ok).map(|entry| entry.path())),
        Err(error) => problems.push(format!("reading {}: {error}", folder.display())),
    }
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
    paths.sort();
    let stem = |path: &Path| path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    for name in only.iter().filter(|name| !paths.iter().any(|path| stem(path) == **name)) {
        let names: Vec<String> = paths.iter().map(|path| stem(path)).collect();
        let hint = nearest(name, names.iter().map(String::as_str)).map(|near| format!("; did you mean {near}?")).unwrap_or_default();
        problems.push(format!("there is no {}{hint}", folder.join(format!("{name}.toml")).display()));
    }
    paths.retain(|path| only.is_empty() || only.contains(&stem(path)));
    if paths.len() > MOST {
        problems.push(format!("{}: {} files; only the first {MOST} count", folder.display(), paths.len()));
    }
    for path in paths.iter().take(MOST) {
        let text = match std::fs::metadata(path) {
            Ok(metadata) if metadata.len() > LARGEST => Err(format!("{}: more than {LARGEST} bytes", path.display())),
            _ => std::fs::read_to_string(path).map_err(|error| format!("reading {}: {error}", path.display())),
        };
        let parsed = text.and_then(|text| Resource::parse(path, &text, Path::exists).map_err(|wrong| diagnostics::join(&wrong)));
        match parsed {
            Ok(resource) => match found.iter().find(|had| had.dest == resource.dest) {
                // Two would undo each other's work for ever.
                Some(had) => {
                    problems.push(format!("{}: {} is written by {} already", path.display(), resource.dest.display(), had.file.display()));
                }
                None => found.push(resource),
            },
            Err(problem) => problems.push(problem),
        }
    }
    (found, problems)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "/etc/slipway/render.d/web.toml";

    fn parse(text: &str) -> Result<Resource, String> {
        Resource::parse(Path::new(FILE), text, |path| path.ends_with("web.j2")).map_err(|wrong| diagnostics::join(&wrong))
    }

    #[test]
    fn a_file_of_confd_is_read() {
        let text = "[template]\nprefix = \"/production\"\nsrc = \"web.j2\"\ndest = \"/etc/web.conf\"\nuid = 33\ngid = 0\nmode = \"0640\"\n\
            keys = [\n  \"/web\",\n  \"limits/\",\n]\ncheck_cmd = \"/usr/sbin/web -t -c {{.src}}\"\nreload_cmd = \"\"\n";
        let resource = parse(text).unwrap();
        assert_eq!(resource.keys, ["/production/limits", "/production/web"]);
        assert_eq!(resource.source, Path::new("/etc/slipway/render.d/web.j2"));
        assert_eq!(resource.attributes, Attributes { uid: Some(33), gid: Some(0), mode: Some(0o640) });
        assert!(resource.check.is_some() && resource.reload.is_none());
    }

    #[test]
    fn services_are_keys_without_the_prefix() {
        let resource = parse("[template]\nsrc = \"web.j2\"\ndest = \"/a\"\nprefix = \"/p\"\nservices = [\"web\"]\n").unwrap();
        assert_eq!(resource.keys, ["slipway/services/web"]);
        let resource = parse("[template]\nsrc = \"web.j2\"\ndest = \"/a\"\nservices = [\"*\"]\n").unwrap();
        assert_eq!(resource.keys, ["slipway/services"]);
    }

    #[test]
    fn what_is_wrong_has_its_line_and_the_right_word() {
        let text =
            "[template]\nsrc = \"other.j2\"\ndest = \"web.conf\"\nmode = \"rw\"\nkey = [\"/web\"]\ncheck_cmd = \"web {{.source}}\"\n";
        let told = parse(text).unwrap_err();
        for part in [
            "unknown key `key` in [template]",
            "web.toml:5:1",
            "5  | key = [\"/web\"]\n   | ^^^ did you mean `keys`?",
            "\"other.j2\" is not right for `src`",
            "there is no /etc/slipway/render.d/other.j2, and no /etc/slipway/templates/other.j2",
            "4  | mode = \"rw\"\n   |        ^^^^ octal digits",
            "a file, from `/` on",
            "`{{.src}}` is the new file",
        ] {
            assert!(told.contains(part), "{part:?} is not in:\n{told}");
        }
        for (text, part) in [
            ("[template\nsrc = 1\n", "web.toml:1:"),
            ("src = \"web.j2\"\n", "begin with a line `[template]`"),
            ("[template]\nsrc = \"web.j2\"\ndest = \"/a\"\n", "what to follow is missing"),
            ("[template]\nkeys = [\"/a\"]\n", "add `dest = …` to [template]"),
        ] {
            let told = parse(text).unwrap_err();
            assert!(told.contains(part), "{part:?} is not in:\n{told}");
        }
    }

    #[test]
    fn a_key_has_below_it_what_comes_after_a_slash() {
        let table = [
            ("/web", "/web", true),
            ("/web", "/web/a", true),
            ("/web", "/website", false),
            ("/web", "/we", false),
            ("", "anything", true),
            ("/", "/web", true),
            ("/", "web", false),
        ];
        for (followed, key, below) in table {
            assert_eq!(covers(followed, key), below, "{followed} {key}");
        }
        for (prefix, key, full) in
            [("", "/", "/"), ("", "", ""), ("", "/a/", "/a"), ("/p", "/", "/p"), ("p", "a", "p/a"), ("/p", "/a", "/p/a")]
        {
            assert_eq!(full_key(prefix, key), full, "{prefix} {key}");
        }
    }

    #[test]
    fn one_wrong_file_does_not_keep_the_others_from_counting() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        write("web.j2", "");
        write("a.toml", "?");
        write("b.toml", "[template]\nsrc = \"web.j2\"\ndest = \"/b\"\nkeys = [\"/\"]\n");
        write("c.toml", "[template]\nsrc = \"web.j2\"\ndest = \"/b\"\nkeys = [\"/\"]\n");
        write("d.txt", "?");
        let (found, problems) = read(folder.path(), &[]);
        assert_eq!((found.len(), problems.len()), (1, 2), "{problems:?}");
        assert!(problems[1].contains("is written by"), "{problems:?}");
        let (found, problems) = read(folder.path(), &["b".to_owned(), "d".to_owned()]);
        assert_eq!((found.len(), problems.len()), (1, 1), "{problems:?}");
        assert_eq!(read(&folder.path().join("absent"), &[]).1.len(), 1);
    }
}
