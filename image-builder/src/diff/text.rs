use std::fmt::{self, Write};

use super::{BeforeAfter, Change, Diff, FileChange, FileGroup, UnitChange};
use crate::manifest::UnitState;
use crate::progress::bytes;

/// How many files of a group are shown unless all are asked for.
pub const DEFAULT_FILES_PER_GROUP: usize = 5;

/// How many groups of files are shown unless all are asked for.
const DEFAULT_GROUPS: usize = 20;

/// The differences for people; `all` shows every file.
#[must_use]
pub fn text(diff: &Diff, all: bool) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = render(&mut out, diff, all);
    out
}

fn render(out: &mut String, diff: &Diff, all: bool) -> fmt::Result {
    writeln!(out, "{} -> {}", diff.before, diff.after)?;
    let (old, new) = (diff.totals_before, diff.totals_after);
    writeln!(
        out,
        "{} -> {} ({}), {} -> {} paths, {} -> {} packages",
        bytes(old.bytes),
        bytes(new.bytes),
        delta(i64::try_from(new.bytes).unwrap_or(i64::MAX) - i64::try_from(old.bytes).unwrap_or(i64::MAX)),
        old.paths,
        new.paths,
        old.packages,
        new.packages
    )?;
    if diff.is_empty() {
        return writeln!(out, "\nno differences");
    }
    if !diff.new_set_id.is_empty() {
        writeln!(out, "\nWARNING: files that now run with the rights of their owner or group")?;
        for file in &diff.new_set_id {
            writeln!(out, "  ! {} {} uid {} gid {}  {}", file.mode, file.path, file.uid, file.gid, file.owner)?;
        }
    }
    section(out, "Image", diff.identity.iter().map(|(name, change)| value(name, change)))?;
    section(out, "Packages", diff.packages.iter().map(package))?;
    section(out, "Units", diff.units.iter().flat_map(unit))?;
    section(out, "Kernel options", diff.kernel_config.iter().map(|(name, change)| value(name, change)))?;
    files(out, &diff.files, all)
}

fn section(out: &mut String, title: &str, lines: impl Iterator<Item = String>) -> fmt::Result {
    let lines: Vec<String> = lines.collect();
    if lines.is_empty() { Ok(()) } else { writeln!(out, "\n{title}\n  {}", lines.join("\n  ")) }
}

fn value(name: &str, change: &BeforeAfter) -> String {
    match (&change.before, &change.after) {
        (Some(before), Some(after)) if before.len() + after.len() > 60 => format!("~ {name}\n    - {before}\n    + {after}"),
        (Some(before), Some(after)) => format!("~ {name} {before} -> {after}"),
        (Some(before), None) => format!("- {name} {before}"),
        (None, Some(after)) => format!("+ {name} {after}"),
        (None, None) => format!("~ {name}"),
    }
}

fn package(change: &super::PackageChange) -> String {
    if change.change == Change::Changed && change.version.before == change.version.after {
        let version = change.version.after.as_deref().unwrap_or_default();
        return format!("~ {} {version} ({})", change.name, change.fields.join(", "));
    }
    value(&change.name, &change.version)
}

fn unit(change: &UnitChange) -> Vec<String> {
    let state = |state: Option<UnitState>| state.map(|state| format!("{state:?}").to_lowercase());
    let (before, after) = (state(change.state.before), state(change.state.after));
    let head = if before == after { format!("~ {}", change.name) } else { value(&change.name, &BeforeAfter { before, after }) };
    let removed = change.listens_removed.iter().map(|listen| format!("  - listens on {listen}"));
    let added = change.listens_added.iter().map(|listen| format!("  + listens on {listen}"));
    std::iter::once(head).chain(removed).chain(added).collect()
}

fn files(out: &mut String, groups: &[FileGroup], all: bool) -> fmt::Result {
    if groups.is_empty() {
        return Ok(());
    }
    let count = |change| groups.iter().map(|group| group.count(change)).sum::<usize>();
    writeln!(out, "\nFiles: {}", counts(count(Change::Added), count(Change::Removed), count(Change::Changed)))?;
    let (shown, hidden) = groups.split_at(if all { groups.len() } else { groups.len().min(DEFAULT_GROUPS) });
    for group in shown {
        let counts = counts(group.count(Change::Added), group.count(Change::Removed), group.count(Change::Changed));
        writeln!(out, "  {}  {}  {counts}", group.owner, delta(group.delta))?;
        let (shown, hidden) = group.files.split_at(if all { group.files.len() } else { group.files.len().min(DEFAULT_FILES_PER_GROUP) });
        for file in shown {
            writeln!(out, "    {}", one_file(file))?;
        }
        if !hidden.is_empty() {
            let rest: i64 = hidden.iter().map(|file| file.delta).sum();
            writeln!(out, "    ... and {} more, {} (--all shows them)", hidden.len(), delta(rest))?;
        }
    }
    if !hidden.is_empty() {
        let rest: i64 = hidden.iter().map(|group| group.delta).sum();
        writeln!(out, "  ... and {} more owners, {} (--all shows them)", hidden.len(), delta(rest))?;
    }
    Ok(())
}

fn counts(added: usize, removed: usize, changed: usize) -> String {
    let table = [(added, "added"), (removed, "removed"), (changed, "changed")];
    table.iter().filter(|(count, _)| *count > 0).map(|(count, word)| format!("{count} {word}")).collect::<Vec<_>>().join(", ")
}

fn one_file(file: &FileChange) -> String {
    let sign = match file.change {
        Change::Added => '+',
        Change::Removed => '-',
        Change::Changed => '~',
    };
    // New content is what anyone expects of a changed file; only the rest is worth a word.
    let fields: Vec<&str> = file.fields.iter().copied().filter(|field| !matches!(*field, "size" | "content")).collect();
    let fields = if fields.is_empty() { String::new() } else { format!("  ({})", fields.join(", ")) };
    let delta = if file.delta == 0 { String::new() } else { format!("  {}", delta(file.delta)) };
    format!("{sign} {}{delta}{fields}", file.path)
}

/// A change of size with its sign: `+1.2 MB`.
fn delta(count: i64) -> String {
    format!("{}{}", if count < 0 { "-" } else { "+" }, bytes(count.unsigned_abs()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::{Manifest, Reason, fixture};

    fn next_release() -> Manifest {
        let mut next = fixture::manifest();
        next.version = "1.1.0".to_owned();
        next.cmdline = "console=ttyS0,115200n8 panic=10 gpt loglevel=3".to_owned();
        next.kernel_config.remove("CONFIG_HZ");
        next.kernel_config.extend([("CONFIG_EROFS_FS", "y"), ("CONFIG_NEW", "m")].map(|(k, v)| (k.to_owned(), v.to_owned())));
        next.packages.retain(|package| package.name != "sudo");
        next.packages.push(fixture::package("sudo-rs", "0.2.5-5", "Apache-2.0 OR MIT", fixture::asked(17)));
        next.packages[1].version = "1.7.25~ds1-1".to_owned();
        next.packages[5].reason = Reason::Essential;
        fixture::file(&mut next, "/usr/bin/containerd").size += 1_250_000;
        fixture::file(&mut next, "/usr/bin/runc").mode = 0o4755;
        next.files.retain(|file| file.path != "/usr/lib/modules/overlay.ko");
        let at = next.files.partition_point(|file| *file.path < *"/usr/lib/modules/m");
        let module = |number: u64| fixture::data(&format!("/usr/lib/modules/m{number}.ko"), 100 * number, fixture::from("linux-image"));
        next.files.splice(at..at, (1..8).map(module));
        next.units[2].state = UnitState::Enabled;
        next.units[2].listens = vec!["127.0.0.1:2379".to_owned()];
        next.units.remove(3);
        next
    }

    #[test]
    fn reads_well_in_short() {
        insta::assert_snapshot!(text(&Diff::new(&fixture::manifest(), &next_release()), false));
    }

    #[test]
    fn all_means_all() {
        let diff = Diff::new(&fixture::manifest(), &next_release());
        let text = text(&diff, true);
        for file in diff.files.iter().flat_map(|group| &group.files) {
            assert!(text.contains(&file.path), "{}", file.path);
        }
        assert!(!text.contains("more"));
    }

    #[test]
    fn equal_images_say_so() {
        insta::assert_snapshot!(text(&Diff::new(&fixture::manifest(), &fixture::manifest()), false), @r"
        slipway-vm 1.0.0 amd64 -> slipway-vm 1.0.0 amd64
        148.7 MB -> 148.7 MB (+0 B), 31 -> 31 paths, 12 -> 12 packages

        no differences
        ");
    }

    #[test]
    fn machines_get_the_same_data() {
        let json = serde_json::to_value(Diff::new(&fixture::manifest(), &next_release())).unwrap();
        assert_eq!(json["identity"]["version"]["after"], "1.1.0");
        assert_eq!(json["packages"].as_array().unwrap().len(), 4);
        assert_eq!(json["new-set-id"][0]["path"], "/usr/bin/runc");
        assert_eq!(json["kernel-config"]["CONFIG_HZ"]["after"], serde_json::Value::Null);
        assert_eq!(json["units"][0]["listens-added"][0], "127.0.0.1:2379");
    }
}
