//! Kernel modules by name, with all they depend on: hard dependencies, and the soft ones that only modprobe knows.
//!
//! A soft dependency is not optional in practice: libcrc32c asks the kernel for "crc32c" while it is initialised, and
//! without a module that offers it erofs and ext4 are "unknown file system types".

use std::collections::{BTreeSet, HashMap};

use super::InitrdError;
use crate::tree::Tree;

/// What depmod(8) wrote about the modules of one kernel.
#[derive(Debug)]
struct Indexes {
    /// Path and dependencies (transitive) of each module, by name.
    dependencies: HashMap<String, Vec<String>>,
    /// Names that are part of the kernel itself.
    builtin: BTreeSet<String>,
    /// Names that a module wants loaded before or after it.
    soft: HashMap<String, Vec<String>>,
    /// Modules that offer something under another name; only exact names, no patterns of devices.
    aliases: HashMap<String, Vec<String>>,
}

impl Indexes {
    fn read(root: &Tree, dir: &str) -> Result<Self, InitrdError> {
        let dependencies = root.read_text(&format!("{dir}/modules.dep"))?;
        let builtin = root.read_text(&format!("{dir}/modules.builtin"))?;
        let soft = root.read_text(&format!("{dir}/modules.softdep")).unwrap_or_default();
        let aliases = root.read_text(&format!("{dir}/modules.alias")).unwrap_or_default();
        Ok(Self {
            dependencies: dependencies.lines().filter_map(dependency_line).collect(),
            builtin: builtin.lines().map(module_name).collect(),
            soft: grouped(soft.lines().filter_map(soft_line)),
            aliases: grouped(aliases.lines().filter_map(alias_line)),
        })
    }

    /// Modules behind a name of a soft dependency: the module of that name, or those that offer it.
    fn offered(&self, name: &str) -> Vec<String> {
        let own = module_name(name);
        if self.dependencies.contains_key(&own) { vec![own] } else { self.aliases.get(name).cloned().unwrap_or_default() }
    }
}

/// Paths of the modules in `names` and of all they need; names that are built into the kernel need nothing.
pub(super) fn closure(root: &Tree, kernel: &str, names: &[String]) -> Result<Vec<String>, InitrdError> {
    let dir = format!("/usr/lib/modules/{kernel}");
    let indexes = Indexes::read(root, &dir)?;
    let mut paths = BTreeSet::new();
    let mut queue = Vec::new();
    for name in names {
        let module = module_name(name);
        if indexes.dependencies.contains_key(&module) {
            queue.push(module);
        } else if !indexes.builtin.contains(&module) {
            return Err(InitrdError::MissingModule { module: name.clone() });
        }
    }
    let mut seen = BTreeSet::new();
    while let Some(module) = queue.pop() {
        let Some(files) = indexes.dependencies.get(&module).filter(|_| seen.insert(module.clone())) else { continue };
        for file in files {
            paths.insert(format!("{dir}/{file}"));
            queue.push(module_name(file));
        }
        // Nothing offers a soft dependency that the kernel itself has.
        queue.extend(indexes.soft.get(&module).into_iter().flatten().flat_map(|name| indexes.offered(name)));
    }
    // The indexes let udev and the kernel find modules by alias.
    let lists = root.below(&dir).map(|(path, _)| path).filter(|path| path[dir.len() + 1..].starts_with("modules.")).map(str::to_owned);
    paths.extend(lists);
    Ok(paths.into_iter().collect())
}

/// `kernel/a.ko: kernel/b.ko` as `a` and both files.
fn dependency_line(line: &str) -> Option<(String, Vec<String>)> {
    let (path, needs) = line.split_once(':')?;
    Some((module_name(path), std::iter::once(path).chain(needs.split_whitespace()).map(str::to_owned).collect()))
}

/// `softdep a pre: b c post: d` as `a` and each of the others; depmod also writes lines without `pre:`.
fn soft_line(line: &str) -> Option<(String, Vec<String>)> {
    let mut words = line.strip_prefix("softdep ")?.split_whitespace();
    let module = module_name(words.next()?);
    Some((module, words.filter(|word| !word.ends_with(':')).map(str::to_owned).collect()))
}

/// `alias crypto-crc32c crc32c_intel` as name and module; patterns are for devices, which udev finds by itself.
fn alias_line(line: &str) -> Option<(String, Vec<String>)> {
    let (name, module) = line.strip_prefix("alias ")?.split_once(' ')?;
    (!name.contains(['*', '?', '['])).then(|| (name.to_owned(), vec![module_name(module)]))
}

fn grouped(pairs: impl Iterator<Item = (String, Vec<String>)>) -> HashMap<String, Vec<String>> {
    let mut groups: HashMap<String, Vec<String>> = HashMap::new();
    for (name, items) in pairs {
        groups.entry(name).or_default().extend(items);
    }
    groups
}

/// `nf_conntrack` for `kernel/net/netfilter/nf-conntrack.ko.xz`: the kernel treats `-` and `_` alike.
fn module_name(path: &str) -> String {
    let file = path.rsplit('/').next().unwrap_or(path);
    file.split('.').next().unwrap_or(file).replace('-', "_")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::Origin;
    use crate::tree::Node;

    const DEP: &str = "kernel/fs/erofs.ko: kernel/lib/libcrc32c.ko\nkernel/lib/libcrc32c.ko:\nkernel/crypto/crc32c_generic.ko:\n\
                       kernel/arch/crc32c-intel.ko: kernel/lib/x.ko\nkernel/lib/x.ko:\nkernel/net/other.ko:\n";

    fn root() -> Tree {
        let mut root = Tree::default();
        let files = [
            ("modules.dep", DEP),
            ("modules.builtin", "kernel/fs/ext4.ko\n"),
            ("modules.softdep", "# made by depmod\nsoftdep libcrc32c pre: crypto-crc32c\nsoftdep other post: nothing\n"),
            ("modules.alias", "alias crypto-crc32c crc32c_intel\nalias crypto-crc32c crc32c_generic\nalias pci:v*d* other\n"),
        ];
        for (name, text) in files {
            root.insert(format!("/usr/lib/modules/6/{name}"), Node::file(text.to_owned(), 0o644, Origin::Builder));
        }
        root
    }

    fn files_for(names: &[&str]) -> Result<Vec<String>, InitrdError> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let paths = closure(&root(), "6", &names)?;
        let modules = paths.into_iter().filter(|path| path.contains("/kernel/"));
        Ok(modules.map(|path| path.rsplit('/').next().unwrap_or_default().to_owned()).collect())
    }

    #[test]
    fn soft_dependencies_of_dependencies_come_along() {
        let table: [(&[&str], &[&str]); 4] = [
            (&["erofs"], &["crc32c-intel.ko", "crc32c_generic.ko", "erofs.ko", "libcrc32c.ko", "x.ko"]),
            (&["crc32c-intel"], &["crc32c-intel.ko", "x.ko"]),
            (&["other"], &["other.ko"]),
            (&["ext4"], &[]),
        ];
        for (names, expected) in table {
            let mut expected: Vec<String> = expected.iter().map(|name| (*name).to_owned()).collect();
            let mut found = files_for(names).unwrap();
            expected.sort();
            found.sort();
            assert_eq!(found, expected, "{names:?}");
        }
    }

    #[test]
    fn a_module_that_is_nowhere_is_named() {
        assert!(files_for(&["erofs", "nvme"]).unwrap_err().to_string().contains("`nvme`"));
    }

    #[test]
    fn module_names_ignore_folder_suffix_and_dashes() {
        for name in ["kernel/net/nf-conntrack.ko.xz", "nf_conntrack", "kernel/nf-conntrack.ko"] {
            assert_eq!(module_name(name), "nf_conntrack");
        }
    }

    #[test]
    fn lines_that_say_nothing_are_passed_over() {
        for line in ["", "# comment", "softdep", "alias x", "no colon"] {
            assert!(soft_line(line).is_none() && alias_line(line).is_none() && dependency_line(line).is_none(), "{line}");
        }
    }
}
