//! From what is announced to what is wanted. Pure.

use crate::Entries;

/// One write to etcd.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step<'e> {
    /// This key gets this value.
    Put(&'e str, &'e str),
    /// This key goes.
    Delete(&'e str),
}

/// What to write so that `announced` becomes `wanted`. New places come before old ones go: a service that moves is never nowhere.
#[must_use]
pub fn steps<'e>(announced: &'e Entries, wanted: &'e Entries) -> Vec<Step<'e>> {
    let puts = wanted.iter().filter(|(key, value)| announced.get(*key) != Some(value));
    let deletes = announced.keys().filter(|key| !wanted.contains_key(*key));
    puts.map(|(key, value)| Step::Put(key, value)).chain(deletes.map(|key| Step::Delete(key))).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn apply(entries: &mut Entries, step: Step<'_>) {
        match step {
            Step::Put(key, value) => drop(entries.insert(key.to_owned(), value.to_owned())),
            Step::Delete(key) => drop(entries.remove(key)),
        }
    }

    fn entries() -> impl Strategy<Value = Entries> {
        proptest::collection::btree_map("[a-f]", "[xy]", 0..6)
    }

    #[test]
    fn a_move_puts_before_it_deletes() {
        let old: Entries = [("web/n1:a".to_owned(), "1".to_owned())].into();
        let new: Entries = [("web/n1:b".to_owned(), "1".to_owned())].into();
        assert_eq!(steps(&old, &new), [Step::Put("web/n1:b", "1"), Step::Delete("web/n1:a")]);
    }

    proptest! {
        #[test]
        fn the_steps_lead_to_what_is_wanted(announced in entries(), wanted in entries()) {
            let mut now = announced.clone();
            for step in steps(&announced, &wanted) {
                apply(&mut now, step);
            }
            prop_assert_eq!(now, wanted);
        }

        #[test]
        fn there_is_no_step_too_many(announced in entries(), wanted in entries()) {
            let steps = steps(&announced, &wanted);
            let keys: BTreeSet<&str> = steps.iter().map(|step| match step { Step::Put(key, _) | Step::Delete(key) => *key }).collect();
            prop_assert_eq!(keys.len(), steps.len());
            for step in steps {
                let mut after = announced.clone();
                apply(&mut after, step);
                prop_assert_ne!(&after, &announced);
            }
        }

        #[test]
        fn on_the_way_there_are_never_fewer_than_before_and_after(announced in entries(), wanted in entries()) {
            let fewest = announced.len().min(wanted.len());
            let mut now = announced.clone();
            for step in steps(&announced, &wanted) {
                apply(&mut now, step);
                prop_assert!(now.len() >= fewest);
            }
        }
    }
}
