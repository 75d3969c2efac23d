//! Enabling, disabling and masking systemd units by the links that `systemctl` would make.

use std::collections::{BTreeMap, BTreeSet};

use crate::manifest::{Origin, Unit, UnitState};
use crate::tree::{Kind, Node, Tree};

const CONFIG: &str = "/etc/systemd/system";
const VENDOR: &str = "/usr/lib/systemd/system";

/// A unit that cannot be enabled.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum UnitError {
    /// No such unit in the image.
    #[error("there is no unit `{unit}` in the image{}", .nearest.as_ref().map(|name| format!("; did you mean `{name}`?")).unwrap_or_default())]
    Missing {
        /// The unit's name.
        unit: String,
        /// A unit with a similar name.
        nearest: Option<String>,
    },
    /// Nothing says what should start it.
    #[error("unit `{unit}` has no [Install] section, so it cannot be enabled; let another unit want it instead")]
    NoInstall {
        /// The unit's name.
        unit: String,
    },
}

/// Makes the links of `systemctl enable`: `WantedBy=`, `RequiredBy=`, `UpheldBy=`, `Alias=`, and `Also=` likewise.
pub fn enable(tree: &mut Tree, unit: &str, origin: &Origin) -> Result<(), UnitError> {
    let mut pending = vec![unit.to_owned()];
    let mut seen = BTreeSet::new();
    while let Some(unit) = pending.pop() {
        if !seen.insert(unit.clone()) {
            continue;
        }
        let path = find(tree, &unit)?;
        let install = section(&tree.read_text(&path).unwrap_or_default(), "Install");
        if install.is_empty() {
            return Err(UnitError::NoInstall { unit });
        }
        for (key, value) in install {
            match key.as_str() {
                "WantedBy" => link(tree, &format!("{CONFIG}/{value}.wants/{unit}"), &path, origin),
                "RequiredBy" => link(tree, &format!("{CONFIG}/{value}.requires/{unit}"), &path, origin),
                "UpheldBy" => link(tree, &format!("{CONFIG}/{value}.upholds/{unit}"), &path, origin),
                "Alias" => link(tree, &format!("{CONFIG}/{value}"), &path, origin),
                "Also" => pending.push(value),
                _ => {}
            }
        }
    }
    Ok(())
}

fn link(tree: &mut Tree, path: &str, target: &str, origin: &Origin) {
    tree.insert(path, Node::symlink(target, origin.clone()));
}

/// Removes every link below /etc/systemd/system that starts the unit or gives it another name.
///
/// A unit that is not there is fine: packages come and go, and it is certainly not enabled.
pub fn disable(tree: &mut Tree, unit: &str) {
    let links: Vec<String> =
        tree.below(CONFIG).filter(|(path, node)| points_to(path, node, unit)).map(|(path, _)| path.to_owned()).collect();
    for path in links {
        tree.remove(&path);
    }
}

fn points_to(path: &str, node: &Node, unit: &str) -> bool {
    let Kind::Symlink(target) = &node.kind else { return false };
    let name = |path: &str| path.rsplit('/').next().unwrap_or_default().to_owned();
    target != "/dev/null" && (name(path) == unit || name(target) == unit)
}

/// Links the unit to /dev/null, so that nothing can start it. A unit that is not there can be masked as well.
pub fn mask(tree: &mut Tree, unit: &str, origin: &Origin) {
    disable(tree, unit);
    tree.insert(format!("{CONFIG}/{unit}"), Node::symlink("/dev/null", origin.clone()));
}

/// A preset file that repeats the choices, so that the first boot and `systemctl preset` change nothing.
#[must_use]
pub fn preset(units: &[Unit]) -> String {
    let enabled = units.iter().filter(|unit| unit.state == UnitState::Enabled).map(|unit| format!("enable {}\n", unit.name));
    enabled.chain(["disable *\n".to_owned()]).collect()
}

/// The state of every unit that has an `[Install]` section, is enabled or is masked; sorted by name.
#[must_use]
pub fn list(tree: &Tree) -> Vec<Unit> {
    let mut states: BTreeMap<String, UnitState> = BTreeMap::new();
    for (path, node) in tree.below(VENDOR).filter(|(path, _)| !path[VENDOR.len() + 1..].contains('/')) {
        let name = path.rsplit('/').next().unwrap_or_default();
        if matches!(node.kind, Kind::File(_)) && !section(&tree.read_text(path).unwrap_or_default(), "Install").is_empty() {
            states.insert(name.to_owned(), UnitState::Disabled);
        }
    }
    for (path, node) in tree.below(CONFIG) {
        let Kind::Symlink(target) = &node.kind else { continue };
        let name = path.rsplit('/').next().unwrap_or_default().to_owned();
        if target == "/dev/null" {
            states.insert(name, UnitState::Masked);
        } else if path[CONFIG.len() + 1..].contains('/') {
            states.insert(name, UnitState::Enabled);
        }
    }
    states
        .into_iter()
        .map(|(name, state)| {
            let text = find(tree, &name).ok().and_then(|path| tree.read_text(&path).ok()).unwrap_or_default();
            let listens = section(&text, "Socket")
                .into_iter()
                .filter(|(key, _)| key.starts_with("Listen"))
                .map(|(key, value)| format!("{key}={value}"));
            Unit { listens: listens.collect(), name, state }
        })
        .collect()
}

/// Path of the unit's file; an instance `a@b.service` is found by its template.
fn find(tree: &Tree, unit: &str) -> Result<String, UnitError> {
    let template = unit.split_once('@').and_then(|(name, rest)| Some(format!("{name}@{}", &rest[rest.rfind('.')?..])));
    let names = std::iter::once(unit.to_owned()).chain(template);
    let paths = names.flat_map(|name| [format!("{CONFIG}/{name}"), format!("{VENDOR}/{name}")]);
    let is_file = |path: &String| tree.get(path).is_some_and(|node| matches!(node.kind, Kind::File(_)));
    paths.into_iter().find(is_file).ok_or_else(|| UnitError::Missing { unit: unit.to_owned(), nearest: nearest(tree, unit) })
}

fn nearest(tree: &Tree, unit: &str) -> Option<String> {
    let stem = unit.split(['.', '@']).next().unwrap_or(unit);
    let names = tree.below(VENDOR).filter_map(|(path, _)| path.strip_prefix(VENDOR)?.strip_prefix('/')).filter(|name| !name.contains('/'));
    names
        .filter(|name| name.contains(stem) || stem.contains(name.split(['.', '@']).next().unwrap_or(name)))
        .min_by_key(|name| name.len().abs_diff(unit.len()))
        .map(str::to_owned)
}

/// Key-value pairs of one section, list values split at white space; enough of systemd.syntax(7) for what packages ship.
fn section(text: &str, wanted: &str) -> Vec<(String, String)> {
    let mut pairs = Vec::new();
    let mut inside = false;
    for line in text.replace("\\\n", " ").lines().map(str::trim) {
        if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            inside = name == wanted;
        } else if inside
            && !line.starts_with(['#', ';'])
            && let Some((key, value)) = line.split_once('=')
        {
            pairs.extend(value.split_whitespace().map(|value| (key.trim().to_owned(), value.to_owned())));
        }
    }
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree() -> Tree {
        let mut tree = Tree::default();
        let units = [
            ("docker.service", "[Service]\nExecStart=x\n[Install]\nWantedBy=multi-user.target\nAlias=moby.service\nAlso=docker.socket\n"),
            ("docker.socket", "[Socket]\nListenStream=/run/docker.sock\n[Install]\n# WantedBy=never.target\nWantedBy=sockets.target\n"),
            ("getty@.service", "[Install]\nWantedBy=getty.target\n"),
            ("plain.service", "[Service]\nExecStart=x\n"),
        ];
        for (name, text) in units {
            tree.insert(format!("{VENDOR}/{name}"), Node::file(text.to_owned(), 0o644, Origin::Builder));
        }
        tree
    }

    #[test]
    fn enabling_makes_the_links_of_the_install_section() {
        let mut tree = tree();
        enable(&mut tree, "docker.service", &Origin::Builder).unwrap();
        enable(&mut tree, "getty@tty1.service", &Origin::Builder).unwrap();
        for path in [
            "multi-user.target.wants/docker.service",
            "moby.service",
            "sockets.target.wants/docker.socket",
            "getty.target.wants/getty@tty1.service",
        ] {
            assert!(tree.get(&format!("{CONFIG}/{path}")).is_some(), "{path}");
        }
        assert!(tree.get(&format!("{CONFIG}/never.target.wants/docker.socket")).is_none());
    }

    #[test]
    fn what_cannot_be_enabled_says_why() {
        let mut tree = tree();
        let table = [
            ("dockerd.service", "there is no unit `dockerd.service` in the image; did you mean `docker.service`?"),
            ("zzz.service", "there is no unit `zzz.service` in the image"),
            ("plain.service", "unit `plain.service` has no [Install] section, so it cannot be enabled; let another unit want it instead"),
        ];
        for (unit, message) in table {
            assert_eq!(enable(&mut tree, unit, &Origin::Builder).unwrap_err().to_string(), message);
        }
    }

    #[test]
    fn disabling_and_masking_remove_every_link() {
        let mut tree = tree();
        enable(&mut tree, "docker.service", &Origin::Builder).unwrap();
        disable(&mut tree, "docker.service");
        assert!(tree.below(CONFIG).all(|(path, node)| !points_to(path, node, "docker.service")));
        mask(&mut tree, "docker.socket", &Origin::Builder);
        disable(&mut tree, "no-such.service");
        let states: Vec<(String, UnitState)> = list(&tree).into_iter().map(|unit| (unit.name, unit.state)).collect();
        let expected =
            [("docker.service", UnitState::Disabled), ("docker.socket", UnitState::Masked), ("getty@.service", UnitState::Disabled)];
        assert_eq!(states, expected.map(|(name, state)| (name.to_owned(), state)));
    }

    #[test]
    fn the_preset_lists_what_is_enabled_and_nothing_else() {
        let mut tree = tree();
        enable(&mut tree, "docker.service", &Origin::Builder).unwrap();
        assert_eq!(preset(&list(&tree)), "enable docker.service\nenable docker.socket\ndisable *\n");
        assert_eq!(list(&tree).iter().find(|unit| unit.name == "docker.socket").unwrap().listens, ["ListenStream=/run/docker.sock"]);
    }
}
