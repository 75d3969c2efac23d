//! The twin can fail: a disk that forgets one promise, which is what production code would look like that forgets to ask for it, is found.

use super::super::boot::Trouble;
use super::super::disk::Forgets;
use super::super::explore::{Explorer, Limits};
use super::super::story::Scenario;
use super::{ILL, UPDATE};

/// Explores with a promise broken; answers with the first history that breaks a rule.
fn found(scenario: &Scenario, forgets: Forgets) -> Option<String> {
    let trouble = Trouble { forgets: Some(forgets), fault: None };
    let broken = Explorer::new(scenario, Limits { depth: 1, one_in: 1 }, trouble).explore().err();
    println!("{forgets:?} in {}: {}", scenario.name, broken.as_deref().unwrap_or("not found"));
    broken
}

#[test]
fn a_forgotten_fsync_is_found() {
    let older = Scenario { name: "the slot of an older release", offer: Some(2), updated: true, ..UPDATE };
    let table = [
        // The state is empty after a rename.
        (&UPDATE, Forgets::NewFile, "state.json"),
        (&UPDATE, Forgets::NewFileBeforeRename, "state.json"),
        // An empty boot entry after it was published: the release is blamed for what was never started.
        (&UPDATE, Forgets::Renamed, "never started"),
        // What was written down before a deed is not there after it.
        (&UPDATE, Forgets::Folder, ""),
        (&ILL, Forgets::Folder, ""),
        // The entry comes before what it needs.
        (&UPDATE, Forgets::Flush, "before everything it needs is durable"),
        // The old entry is back, and its slot is not what it was.
        (&older, Forgets::Removal, "an entry that cannot work"),
    ];
    for (scenario, forgets, expected) in table {
        let broken = found(scenario, forgets).unwrap_or_else(|| panic!("{forgets:?} is not found in {}", scenario.name));
        assert!(broken.contains(expected), "{forgets:?}: {broken}");
    }
}
