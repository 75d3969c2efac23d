//! Everything that a list of paths drags in: link targets and shared libraries.

use std::collections::BTreeSet;

use super::InitrdError;
use crate::elf;
use crate::tree::{Kind, Tree};

/// Where the loader looks without a cache, in its order.
const LIBRARY_DIRS: &[&str] = &["/usr/lib/x86_64-linux-gnu", "/usr/lib", "/usr/lib64"];

/// A tree of `wanted` plus the targets of links and the libraries of programs among them.
pub(super) fn with_libraries(root: &Tree, wanted: &[String]) -> Result<Tree, InitrdError> {
    let mut tree = Tree::default();
    let mut queue: Vec<String> = wanted.to_vec();
    let mut seen = BTreeSet::new();
    while let Some(path) = queue.pop() {
        if !seen.insert(path.clone()) {
            continue;
        }
        let path = take_with_parents(root, &mut tree, &path, &mut queue)?;
        let Some(node) = root.get(&path) else { continue };
        match &node.kind {
            Kind::Directory => {}
            Kind::Symlink(target) => queue.push(absolute(&path, target)),
            Kind::Hardlink(target) => queue.push(target.clone()),
            Kind::File(_) => queue.extend(libraries(root, &path)?),
        }
    }
    Ok(tree)
}

/// Copies the node at `path` and the directories above it; returns its path with linked directories resolved.
fn take_with_parents(root: &Tree, tree: &mut Tree, path: &str, queue: &mut Vec<String>) -> Result<String, InitrdError> {
    let missing = || InitrdError::MissingFile { path: path.to_owned() };
    let slash = path.rfind('/').ok_or_else(missing)?;
    let (parent, name) = (&path[..slash], &path[slash + 1..]);
    let mut real = String::new();
    if !parent.is_empty() {
        real = root.resolve(parent).ok_or_else(missing)?;
        if real != parent {
            // A linked directory on the way, like /bin, has to exist in the initrd as well.
            let first = parent[1..].split('/').next().unwrap_or_default();
            queue.push(format!("/{first}"));
        }
    }
    let mut upto = String::new();
    for part in real.split('/').skip(1) {
        upto = format!("{upto}/{part}");
        if tree.get(&upto).is_none() {
            tree.insert(upto.clone(), root.get(&upto).ok_or_else(missing)?.clone());
        }
    }
    let path = format!("{real}/{name}");
    // A link into what only exists at run time, like /etc/resolv.conf, stays a dangling link.
    let Some(node) = root.get(&path) else { return Ok(path) };
    tree.insert(path.clone(), node.clone());
    Ok(path)
}

fn absolute(link: &str, target: &str) -> String {
    if target.starts_with('/') {
        return target.to_owned();
    }
    let mut parts: Vec<&str> = link.split('/').collect();
    parts.pop();
    for part in target.split('/') {
        match part {
            "." | "" => {}
            ".." => {
                parts.pop();
            }
            name => parts.push(name),
        }
    }
    parts.join("/")
}

fn libraries(root: &Tree, program: &str) -> Result<Vec<String>, InitrdError> {
    let bytes = root.read(program)?;
    if program.ends_with(".ko") {
        return Ok(Vec::new());
    }
    let Some(needs) = elf::needs(&bytes) else { return Ok(Vec::new()) };
    let origin = program.rfind('/').map_or("", |slash| &program[..slash]);
    let mut found: Vec<String> = needs.interpreter.into_iter().collect();
    for library in needs.libraries {
        let own = needs.search.iter().map(|dir| dir.replace("$ORIGIN", origin));
        let path = own
            .chain(LIBRARY_DIRS.iter().map(|dir| (*dir).to_owned()))
            // A private library finds its siblings because the program that loads it has loaded them already.
            .chain([origin.to_owned()])
            .map(|dir| format!("{dir}/{library}"))
            .find(|path| root.resolve(path).is_some())
            .ok_or_else(|| InitrdError::MissingLibrary { program: program.to_owned(), library: library.clone() })?;
        found.push(path);
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn link_targets_become_absolute() {
        let table = [("/a/b", "c", "/a/c"), ("/a/b", "/x", "/x"), ("/a/b/c", "../d", "/a/d"), ("/a", "./b", "/b")];
        for (link, target, path) in table {
            assert_eq!(absolute(link, target), path);
        }
    }
}
