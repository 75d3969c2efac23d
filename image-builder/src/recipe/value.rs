//! The syntax of single values. Each function says what is expected when a value is not it.

use std::path::{Component, Path};

use super::rules::Rule;

/// Architectures that can be built.
const ARCHITECTURES: &[&str] = &["amd64"];

/// Kinds of units that can be enabled or masked.
const UNIT_SUFFIXES: &[&str] =
    &[".service", ".socket", ".target", ".timer", ".mount", ".automount", ".path", ".slice", ".swap", ".scope", ".device"];

/// Length limit of user and group names: what utmp and ps can show.
const USER_NAME_BYTES: usize = 32;

type Checked = Result<(), String>;

fn expect(good: bool, expected: &str) -> Checked {
    if good { Ok(()) } else { Err(expected.to_owned()) }
}

fn made_of(text: &str, more: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || more.contains(c))
}

fn one_line(text: &str) -> bool {
    !text.chars().any(char::is_control)
}

pub(super) fn name_for_people(text: &str) -> Checked {
    expect(!text.trim().is_empty() && one_line(text), "expected one line of text")
}

pub(super) fn identifier(text: &str) -> Checked {
    expect(made_of(text, "._-"), "expected lower-case letters, digits, `.`, `_` and `-`, as os-release allows")
}

pub(super) fn architecture(text: &str) -> Checked {
    expect(ARCHITECTURES.contains(&text), &format!("this architecture cannot be built; only {} can for now", ARCHITECTURES.join(", ")))
}

pub(super) fn suite(text: &str) -> Checked {
    expect(made_of(text, ".-"), "expected the name of a suite such as `trixie-security`; where it lives is told by --mirror")
}

pub(super) fn component(text: &str) -> Checked {
    expect(made_of(text, "-"), "expected a component such as `main`")
}

pub(super) fn package(text: &str) -> Checked {
    let good = made_of(text, "+-.") && text.len() >= 2 && text.starts_with(|c: char| c.is_ascii_alphanumeric());
    expect(good, "expected the name of a package alone: lower-case letters, digits, `+`, `-` and `.`; versions belong in the lock")
}

pub(super) fn kernel_argument(text: &str) -> Checked {
    expect(!text.is_empty() && one_line(text) && !text.contains(' '), "expected one kernel argument per item, such as `panic=5`")
}

pub(super) fn module(text: &str) -> Checked {
    let good = !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "_-".contains(c));
    expect(good, "expected the name of a module such as `virtio_blk`, without path and `.ko`")
}

pub(super) fn user_name(text: &str) -> Checked {
    let good = made_of(text, "_-") && text.starts_with(|c: char| c.is_ascii_lowercase() || c == '_') && text.len() <= USER_NAME_BYTES;
    expect(good, "expected a name of at most 32 lower-case letters, digits, `_` and `-` that starts with a letter")
}

pub(super) fn comment(text: &str) -> Checked {
    expect(one_line(text) && !text.contains(':'), "expected one line without `:`, as passwd allows")
}

pub(super) fn unit(text: &str) -> Checked {
    let stem = UNIT_SUFFIXES.iter().find_map(|suffix| text.strip_suffix(suffix));
    let good = stem.is_some_and(|stem| !stem.is_empty() && stem.chars().all(|c| c.is_ascii_alphanumeric() || ":-_.\\@".contains(c)));
    expect(good, "expected a unit with its suffix, such as `docker.service`")
}

pub(super) fn compression(text: &str) -> Checked {
    let (algorithm, options) = text.split_once(',').unwrap_or((text, "level=0"));
    let option = |part: &str| part.split_once('=').is_some_and(|(key, value)| made_of(key, "-") && made_of(value, ""));
    expect(made_of(algorithm, "") && options.split(',').all(option), "expected an algorithm of mkfs.erofs such as `zstd,level=3`")
}

pub(super) fn absolute_path(text: &str) -> Checked {
    let plain = one_line(text) && !text.contains(':');
    expect(plain && text.starts_with('/') && !climbs(text), "expected an absolute path without `..`")
}

/// A path of another recipe: it may lie beside or above, but not somewhere only this machine has.
pub(super) fn recipe_path(text: &str) -> Checked {
    expect(!text.is_empty() && !text.starts_with('/') && one_line(text), "expected a path relative to this file")
}

/// A path of a file tree: it travels with the recipe, so it lies below it.
pub(super) fn tree_path(text: &str) -> Checked {
    let inside = !text.is_empty() && !text.starts_with('/') && !climbs(text) && one_line(text);
    expect(inside, "expected a folder below the one of this file, without `..`")
}

pub(super) fn absolute_glob(text: &str) -> Checked {
    let path = text.strip_prefix('!').unwrap_or(text);
    expect(path.starts_with('/') && !climbs(path), "expected an absolute path such as `/usr/share/doc/**`, `!` in front to keep it")?;
    glob(text)
}

pub(super) fn module_glob(text: &str) -> Checked {
    let path = text.strip_prefix('!').unwrap_or(text);
    let below = !path.is_empty() && !path.starts_with('/') && !climbs(path);
    expect(below, "expected a path below /usr/lib/modules/VERSION such as `kernel/net/**`, `!` in front to exclude it")?;
    glob(text)
}

fn glob(text: &str) -> Checked {
    Rule::parse(text).map(drop).map_err(|error| error.kind().to_string())
}

fn climbs(path: &str) -> bool {
    Path::new(path).components().any(|part| part == Component::ParentDir)
}

#[cfg(test)]
mod tests {
    use super::super::table::Check;
    use super::*;

    #[test]
    fn values_are_checked() {
        let table: &[(Check, &[&str], &[&str])] = &[
            (name_for_people, &["Slipway OS"], &["", " ", "a\nb"]),
            (identifier, &["slipway", "a.b_c-1"], &["", "Slipway", "a b", "a/b"]),
            (architecture, &["amd64"], &["arm64", "x86_64", ""]),
            (suite, &["trixie", "trixie-security"], &["", "http://x/debian", "a b", "../a", "Trixie"]),
            (component, &["main", "non-free-firmware"], &["", "main contrib", "a/b"]),
            (package, &["docker.io", "libstdc++6", "0ad"], &["", "a", "a=1.0", "-o", "Docker", "a:i386", "a b", "a/trixie"]),
            (kernel_argument, &["panic=5", "quiet"], &["", "a b", "a\n"]),
            (module, &["virtio_blk", "8021q"], &["", "a.ko", "kernel/net/x", "a b"]),
            (user_name, &["core", "_apt", "a-1"], &["", "1a", "-a", "Core", "a:b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"]),
            (comment, &["", "Core user"], &["a:b", "a\nb"]),
            (unit, &["docker.service", "getty@tty1.service", "a-b.mount"], &["", "docker", ".service", "a/b.service", "a b.socket"]),
            (compression, &["zstd,level=3", "lz4", "lz4hc,level=9,dictsize=65536"], &["", "zstd level=3", "zstd,", "-x", "zstd,level"]),
            (absolute_path, &["/home/core", "/bin/bash"], &["", "home", "/a/../b", "/a:b", "/a\n"]),
            (recipe_path, &["common.toml", "../base/common.toml"], &["", "/etc/common.toml"]),
            (tree_path, &["tree/common"], &["", "/etc", "../tree", "tree/../../x"]),
            (absolute_glob, &["/usr/share/doc/**", "!/usr/share/doc/x"], &["", "usr/**", "/a/../b", "!", "/a[", "/{a"]),
            (module_glob, &["kernel/net/**", "!kernel/net/x.ko"], &["", "!", "/kernel", "../x", "a["]),
        ];
        for (check, good, bad) in table {
            for text in *good {
                assert_eq!(check(text), Ok(()), "{text:?}");
            }
            for text in *bad {
                assert!(check(text).is_err(), "{text:?} is accepted");
            }
        }
    }
}
