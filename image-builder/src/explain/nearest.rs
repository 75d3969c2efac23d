//! What may have been meant by a name that is not there.

use crate::manifest::Manifest;

/// How many suggestions are made.
const MAX: usize = 5;

/// Longest name that is compared letter by letter, in bytes: as long as a file name can be.
const MAX_NAME: usize = 255;

/// `; did you mean a, b?`, or nothing.
pub(super) fn hint(names: &[String]) -> String {
    if names.is_empty() { String::new() } else { format!("; did you mean {}?", names.join(", ")) }
}

/// Existing paths near `path`: a similar name, in the same directory before others, then the directory that does exist.
pub(super) fn paths(manifest: &Manifest, path: &str) -> Vec<String> {
    let path = path.trim_end_matches('/');
    let Some((dir, name)) = path.rsplit_once('/') else { return Vec::new() };
    let score = |other: &'_ str| {
        let (other_dir, other_name) = other.rsplit_once('/')?;
        let distance = distance(name, other_name);
        (distance <= tolerance(name)).then_some((distance, other_dir != dir))
    };
    let paths = manifest.files.iter().map(|file| file.path.as_str());
    let mut scored: Vec<_> = paths.filter_map(|other| score(other).map(|score| (score, other))).collect();
    scored.sort_unstable();
    let similar = scored.into_iter().take(MAX - 1).map(|(_, path)| path);
    let mut ancestors = path.match_indices('/').map(|(at, _)| &path[..at]).rev().filter(|dir| !dir.is_empty());
    let nearest = ancestors.find(|dir| manifest.file(dir).is_some());
    similar.chain(nearest).map(str::to_owned).collect()
}

/// Those of `names` that differ from `wanted` in few letters, best first.
pub(super) fn by_spelling<'a>(wanted: &str, names: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut scored: Vec<(usize, &str)> =
        names.map(|name| (distance(wanted, name), name)).filter(|(distance, _)| *distance <= tolerance(wanted)).collect();
    scored.sort_unstable();
    scored.into_iter().take(MAX).map(|(_, name)| name.to_owned()).collect()
}

/// In how many letters a suggestion for `name` may differ: a third of them, three at most.
fn tolerance(name: &str) -> usize {
    name.chars().count().min(9) / 3
}

/// Levenshtein distance.
fn distance(a: &str, b: &str) -> usize {
    if a.len() > MAX_NAME || b.len() > MAX_NAME {
        return usize::MAX;
    }
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, to) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::fixture;

    #[test]
    fn distances() {
        for (a, b, expected) in
            [("", "", 0), ("a", "", 1), ("", "ab", 2), ("runc", "runc", 0), ("dockred", "dockerd", 2), ("kitten", "sitting", 3)]
        {
            assert_eq!(distance(a, b), expected, "{a} {b}");
            assert_eq!(distance(b, a), expected, "{b} {a}");
        }
        assert_eq!(distance(&"x".repeat(MAX_NAME + 1), "x"), usize::MAX);
    }

    #[test]
    fn suggests_at_most_a_few_and_nothing_far_fetched() {
        let manifest = fixture::manifest();
        assert_eq!(paths(&manifest, "/opt/runc"), ["/usr/bin/runc"]);
        assert_eq!(paths(&manifest, "/opt/dockred"), ["/usr/bin/dockerd"]);
        assert_eq!(paths(&manifest, "/usr/bin/sudoo/"), ["/usr/bin/sudo", "/usr/bin"]);
        assert_eq!(paths(&manifest, "/usr/lib/nothing/like/this"), ["/usr/lib"]);
        assert!(paths(&manifest, "/zzz").is_empty());
        assert!(paths(&manifest, "").is_empty());
        assert_eq!(by_spelling("abc", ["abd"; 9].into_iter()).len(), MAX);
        assert!(by_spelling("ab", ["ac"].into_iter()).is_empty());
    }
}
