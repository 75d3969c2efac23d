use super::{PackageExplanation, PathExplanation, Weight};
use crate::manifest::{Kind, Origin};
use crate::progress::bytes;

/// How many packages or owners are named in a text before the rest is counted.
const NAMED: usize = 12;

/// The explanation of a path for people.
#[must_use]
pub fn path_text(found: &PathExplanation) -> String {
    let mut lines = vec![format!("{} <- {}", found.path, origin(found))];
    lines.extend(found.via.iter().map(|link| format!("  by way of  {link}")));
    if let Some(target) = &found.target {
        let leads = match &target.path {
            Some(path) if *path == target.written => String::new(),
            Some(path) => format!(", which is {path}"),
            None => ", which is not in the image".to_owned(),
        };
        let kind = if found.kind == Kind::Hardlink { "hard link" } else { "link" };
        lines.push(format!("  {kind} to  {}{leads}", target.written));
    }
    if !found.hard_links.is_empty() {
        lines.push(format!("  also named  {}", found.hard_links.join(", ")));
    }
    lines.push(format!("  mode {} uid {} gid {}", found.mode, found.uid, found.gid));
    lines.push(format!("  costs  {}", cost(found.bytes, found.image_bytes)));
    if let Some(below) = &found.below {
        lines.push(format!("  below  {}", paths(below.paths)));
        lines.extend(sizes(&below.owners));
    }
    // What a directory's package costs says nothing about the directory.
    if let Some(package) = found.package.as_ref().filter(|_| found.below.is_none()) {
        lines.push(format!("  package {}  {} in {}", package.name, cost(package.bytes, package.image_bytes), paths(package.paths)));
        lines.extend(dropped(package));
    }
    lines.join("\n")
}

/// The explanation of a package for people.
#[must_use]
pub fn package_text(found: &PackageExplanation) -> String {
    let mut lines = vec![found.chain.line(), format!("  licence  {}", found.licence)];
    lines.push(format!("  costs  {} in {}", cost(found.bytes, found.image_bytes), paths(found.paths)));
    lines.extend(sizes(&found.largest));
    if !found.brings.is_empty() {
        lines.push(format!("  brings  {}", names(&found.brings)));
    }
    lines.extend(dropped(found));
    lines.join("\n")
}

fn origin(found: &PathExplanation) -> String {
    match (&found.package, &found.origin) {
        (Some(package), _) => package.chain.line(),
        (None, Origin::Configure) => "written while the packages were configured".to_owned(),
        (None, Origin::Builder) => "made by image-builder itself".to_owned(),
        (None, Origin::RecipeTree { recipe, line, tree }) => format!("{tree} <- {recipe}:{line}"),
        (None, Origin::RecipeSetting { recipe, line }) => format!("{recipe}:{line}"),
        (None, Origin::Package { name }) => format!("{name}, which is not in the list of packages"),
    }
}

fn dropped(package: &PackageExplanation) -> Option<String> {
    let dropped = package.if_dropped.as_ref()?;
    let others: Vec<String> = dropped.packages.iter().filter(|name| **name != dropped.asked).cloned().collect();
    let others = if others.is_empty() { String::new() } else { format!(" with {}", names(&others)) };
    Some(format!("  without {}  up to {} would go{others}", dropped.asked, cost(dropped.bytes, package.image_bytes)))
}

fn names(names: &[String]) -> String {
    let (shown, hidden) = names.split_at(names.len().min(NAMED));
    let rest = if hidden.is_empty() { String::new() } else { format!(" and {} more", hidden.len()) };
    format!("{}{rest}", shown.join(", "))
}

fn sizes(entries: &[Weight]) -> Vec<String> {
    let (shown, hidden) = entries.split_at(entries.len().min(NAMED));
    let mut lines: Vec<String> = shown.iter().map(|entry| format!("    {:>9}  {}", bytes(entry.bytes), entry.name)).collect();
    if !hidden.is_empty() {
        let rest = hidden.iter().map(|entry| entry.bytes).sum();
        lines.push(format!("    {:>9}  {} more", bytes(rest), hidden.len()));
    }
    lines
}

fn paths(count: usize) -> String {
    if count == 1 { "1 path".to_owned() } else { format!("{count} paths") }
}

/// `11.0 MB (7.4 % of the image)`
fn cost(part: u64, whole: u64) -> String {
    let percent = if whole == 0 { 0.0 } else { part as f64 * 100.0 / whole as f64 };
    format!("{} ({percent:.1} % of the image)", bytes(part))
}

#[cfg(test)]
mod tests {
    use super::super::{package, path};
    use super::*;
    use crate::manifest::fixture;

    #[test]
    fn paths_read_well() {
        let manifest = fixture::manifest();
        let asked = [
            "/bin/runc",
            "/bin",
            "/usr/lib",
            "/etc/hostname",
            "/etc/ld.so.cache",
            "/etc/systemd/system",
            "/usr/bin/perl5.40.1",
            "/usr/lib/os-release",
            "/usr/bin/sudo",
        ];
        let texts: Vec<String> = asked.iter().map(|asked| path_text(&path(&manifest, asked).unwrap())).collect();
        insta::assert_snapshot!(texts.join("\n\n"));
    }

    #[test]
    fn packages_read_well() {
        let manifest = fixture::manifest();
        let texts: Vec<String> =
            ["docker.io", "libc6", "sudo"].iter().map(|name| package_text(&package(&manifest, name).unwrap())).collect();
        insta::assert_snapshot!(texts.join("\n\n"));
    }

    #[test]
    fn long_lists_are_cut_and_an_empty_image_divides_by_nothing() {
        let many: Vec<String> = (0..NAMED + 3).map(|number| format!("p{number}")).collect();
        assert!(names(&many).ends_with("p11 and 3 more"));
        assert_eq!(cost(0, 0), "0 B (0.0 % of the image)");
    }
}
