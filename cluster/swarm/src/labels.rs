//! Labels of a node: ours follow the configuration, those that a person set stay.
//!
//! Which ones are ours is itself a label, so that it is changed in the same step and never says anything else than the rest.

use std::collections::{BTreeMap, BTreeSet};

/// The machine that a node is on.
pub const MACHINE: &str = "slipway.machine";
/// The labels that follow the configuration, separated by commas.
const OURS: &str = "slipway.labels";
/// Set while a node is drained by us; a drain without it is a person's.
pub const DRAINED: &str = "slipway.drained";
/// Labels with this beginning are Slipway's own, and nobody's wish.
const RESERVED: &str = "slipway.";

/// The labels that a node on `machine` should have, from those it has and those its owner wants.
#[must_use]
pub fn next(current: &BTreeMap<String, String>, wanted: &BTreeMap<String, String>, machine: &str) -> BTreeMap<String, String> {
    let ours: BTreeSet<&str> = current.get(OURS).map(|text| text.split(',').filter(|name| !name.is_empty()).collect()).unwrap_or_default();
    let wanted: BTreeMap<&str, &str> =
        wanted.iter().map(|(name, value)| (name.as_str(), value.as_str())).filter(|(name, _)| usable(name)).collect();
    let mut next = current.clone();
    next.retain(|name, _| !ours.contains(name.as_str()) || wanted.contains_key(name.as_str()));
    let mut kept = Vec::new();
    for (name, value) in wanted {
        if current.contains_key(name) && !ours.contains(name) {
            continue;
        }
        next.insert(name.to_owned(), value.to_owned());
        kept.push(name);
    }
    next.insert(MACHINE.to_owned(), machine.to_owned());
    if kept.is_empty() {
        next.remove(OURS);
    } else {
        next.insert(OURS.to_owned(), kept.join(","));
    }
    next
}

/// A name that the list can hold and that is not reserved.
fn usable(name: &str) -> bool {
    !name.is_empty() && !name.contains(',') && !name.starts_with(RESERVED)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn check(current: &[(&str, &str)], wanted: &[(&str, &str)], expected: &[(&str, &str)]) {
        let mut expected = map(expected);
        expected.insert(MACHINE.into(), "m".into());
        let first = next(&map(current), &map(wanted), "m");
        assert_eq!(first, expected, "{current:?} {wanted:?}");
        assert_eq!(next(&first, &map(wanted), "m"), expected, "a second time");
    }

    #[test]
    fn ours_come_change_and_go() {
        check(&[], &[], &[]);
        check(&[], &[("zone", "a")], &[("zone", "a"), (OURS, "zone")]);
        check(&[("zone", "a"), (OURS, "zone")], &[("zone", "b")], &[("zone", "b"), (OURS, "zone")]);
        check(&[("zone", "a"), (OURS, "zone")], &[("disk", "ssd")], &[("disk", "ssd"), (OURS, "disk")]);
        check(&[("zone", "a"), (OURS, "zone")], &[], &[]);
    }

    #[test]
    fn those_of_a_person_stay() {
        check(&[("zone", "hers")], &[("zone", "a"), ("disk", "ssd")], &[("zone", "hers"), ("disk", "ssd"), (OURS, "disk")]);
        check(&[("rack", "7"), ("zone", "a"), (OURS, "zone")], &[], &[("rack", "7")]);
        check(&[(DRAINED, "reboot")], &[], &[(DRAINED, "reboot")]);
    }

    #[test]
    fn names_that_the_list_cannot_hold_are_nobodys() {
        check(&[], &[("a,b", "1"), ("", "2"), ("slipway.machine", "x"), ("slipway.drained", "x")], &[]);
    }
}
