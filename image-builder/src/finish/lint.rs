//! Looking for what cannot work before a machine finds out: programs without their interpreter or libraries.

use std::collections::BTreeSet;

use crate::elf;
use crate::tree::{Kind, Tree, TreeError};

const LIBRARY_DIRS: &[&str] = &["/usr/lib/x86_64-linux-gnu", "/usr/lib", "/usr/lib64"];
/// Enough of a script's first line, in bytes.
const SHEBANG_MAX: usize = 256;

/// Every executable that cannot run, with the reason, sorted by path.
pub fn broken_programs(tree: &Tree) -> Result<Vec<String>, TreeError> {
    let libraries: BTreeSet<&str> =
        tree.iter().filter(|(path, _)| path.contains(".so")).filter_map(|(path, _)| path.rsplit('/').next()).collect();
    let mut findings = Vec::new();
    for (path, node) in tree.iter().filter(|(_, node)| node.mode & 0o111 != 0) {
        let Kind::File(content) = &node.kind else { continue };
        let mut head = [0; SHEBANG_MAX];
        let read = content.reader().and_then(|mut reader| read_head(&mut reader, &mut head));
        let count = read.map_err(|source| TreeError::Io { action: "reading", path: path.into(), source })?;
        if let Some(interpreter) = shebang(&head[..count]) {
            if tree.resolve(&interpreter).is_none() {
                findings.push(format!("{path} needs the interpreter {interpreter}, which is not in the image"));
            }
        } else if head.starts_with(b"\x7fELF") {
            let Some(needs) = elf::needs(&tree.read(path)?) else { continue };
            let missing = needs.libraries.iter().filter(|library| {
                !LIBRARY_DIRS.iter().any(|dir| tree.resolve(&format!("{dir}/{library}")).is_some()) && !libraries.contains(library.as_str())
            });
            findings.extend(missing.map(|library| format!("{path} needs the library {library}, which is not in the image")));
        }
    }
    Ok(findings)
}

fn read_head(reader: &mut impl std::io::Read, head: &mut [u8]) -> std::io::Result<usize> {
    let mut count = 0;
    while count < head.len() {
        match reader.read(&mut head[count..])? {
            0 => break,
            more => count += more,
        }
    }
    Ok(count)
}

/// The program after `#!`; for env(1), the program it is to find.
fn shebang(head: &[u8]) -> Option<String> {
    let line = head.strip_prefix(b"#!")?.split(|byte| *byte == b'\n').next()?;
    let line = String::from_utf8_lossy(line).into_owned();
    let mut words = line.split_whitespace();
    let program = words.next()?;
    if program.ends_with("/env") {
        let name = words.find(|word| !word.starts_with('-'))?;
        return Some(format!("/usr/bin/{name}"));
    }
    Some(program.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::Origin;
    use crate::tree::Node;

    #[test]
    fn scripts_without_interpreter_are_found() {
        let mut tree = Tree::default();
        let scripts =
            [("/a", "#!/bin/sh -e\n"), ("/b", "#!/usr/bin/perl\n"), ("/c", "#!/usr/bin/env -S python3 -u\n"), ("/d", "no script")];
        for (path, text) in scripts {
            tree.insert(path, Node::file(text.to_owned(), 0o755, Origin::Builder));
        }
        tree.insert("/data", Node::file("#!/nowhere\n".to_owned(), 0o644, Origin::Builder));
        tree.insert("/bin/sh", Node::file(Vec::new(), 0o755, Origin::Builder));
        let found = broken_programs(&tree).unwrap();
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].starts_with("/b needs the interpreter /usr/bin/perl"));
        assert!(found[1].starts_with("/c needs the interpreter /usr/bin/python3"));
    }

    #[test]
    fn a_program_without_its_libraries_is_found() {
        let mut tree = Tree::default();
        let program = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        tree.insert("/usr/bin/program", Node::file(program, 0o755, Origin::Builder));
        assert!(broken_programs(&tree).unwrap().iter().any(|finding| finding.contains("libc.so.6")));
        tree.insert("/usr/lib/x86_64-linux-gnu/libc.so.6", Node::file(Vec::new(), 0o755, Origin::Builder));
        assert!(!broken_programs(&tree).unwrap().iter().any(|finding| finding.contains("libc.so.6")));
    }
}
