//! Why each package of a resolution is there: asked for, essential, or the shortest chain of dependencies to one of those.

use std::collections::{BTreeMap, BTreeSet};

use super::index::Stanza;
use crate::manifest::Reason;

/// A reason for each of `packages`. `asked` names the reasons that are known beforehand. A package that no chain of
/// dependencies reaches is left out.
pub(super) fn reasons(packages: &[&Stanza], asked: &BTreeMap<&str, Reason>) -> BTreeMap<String, Reason> {
    let by_name: BTreeMap<&str, &Stanza> = packages.iter().map(|stanza| (stanza.name.as_str(), *stanza)).collect();
    let mut providers: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for stanza in packages {
        for name in stanza.provides() {
            providers.entry(name).or_default().insert(&stanza.name);
        }
    }
    let mut found: BTreeMap<&str, Reason> = BTreeMap::new();
    for stanza in by_name.values() {
        if let Some(reason) = asked.get(stanza.name.as_str()) {
            found.insert(&stanza.name, reason.clone());
        } else if stanza.essential {
            found.insert(&stanza.name, Reason::Essential);
        }
    }
    // One ring of dependencies after the other: chains stay short and cannot run in a circle.
    let mut ring: Vec<&str> = found.keys().copied().collect();
    while !ring.is_empty() {
        let mut next = BTreeSet::new();
        for parent in ring {
            for alternatives in by_name.get(parent).into_iter().flat_map(|stanza| stanza.dependencies()) {
                let installed = alternatives
                    .iter()
                    .find_map(|name| by_name.get_key_value(name).map(|(name, _)| *name).or_else(|| providers.get(name)?.first().copied()));
                if let Some(name) = installed.filter(|name| !found.contains_key(name)) {
                    found.insert(name, Reason::DependencyOf { package: parent.to_owned() });
                    next.insert(name);
                }
            }
        }
        ring = next.into_iter().collect();
    }
    found.into_iter().map(|(name, reason)| (name.to_owned(), reason)).collect()
}

#[cfg(test)]
mod tests {
    use super::super::format::ArchiveLabel;
    use super::super::index::Index;
    use super::*;

    /// Reasons as `name: reason`; a package is `name`, further fields; `asked` is asked for.
    fn check(packages: &[(&str, &str)], expected: &[&str]) {
        let mut index = Index::default();
        for (name, fields) in packages {
            let stanza = format!("Package: {name}\nVersion: 1\nArchitecture: all\nFilename: {name}_1.deb\nSize: 1\nSHA256: aa\n{fields}\n");
            index.add(ArchiveLabel::Debian, &stanza);
        }
        let stanzas: Vec<&Stanza> = packages.iter().map(|(name, _)| index.at_address(&format!("/{name}_1.deb"), &[]).unwrap().1).collect();
        let asked = BTreeMap::from([("asked", Reason::Asked { recipe: "vm.toml".to_owned(), line: 3 })]);
        let text = |(name, reason): (String, Reason)| match reason {
            Reason::Asked { .. } => format!("{name}: asked"),
            Reason::Essential => format!("{name}: essential"),
            Reason::DependencyOf { package } => format!("{name}: {package}"),
        };
        assert_eq!(reasons(&stanzas, &asked).into_iter().map(text).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn chains_lead_to_what_was_asked_for() {
        check(&[("asked", "Depends: bb"), ("bb", "Pre-Depends: cc (>= 1)"), ("cc", "")], &["asked: asked", "bb: asked", "cc: bb"]);
    }

    #[test]
    fn packages_that_need_one_another_do_not_explain_one_another() {
        check(&[("asked", "Depends: yy"), ("xx", "Depends: yy"), ("yy", "Depends: xx")], &["asked: asked", "xx: yy", "yy: asked"]);
    }

    #[test]
    fn essential_packages_need_no_chain_but_being_asked_for_counts_more() {
        check(
            &[("asked", "Essential: yes"), ("bb", "Essential: yes\nDepends: cc"), ("cc", "")],
            &["asked: asked", "bb: essential", "cc: bb"],
        );
    }

    #[test]
    fn alternatives_and_virtual_packages_are_followed() {
        check(
            &[("asked", "Depends: zz | bb, mail"), ("bb", ""), ("mta", "Provides: mail (= 2)")],
            &["asked: asked", "bb: asked", "mta: asked"],
        );
    }

    #[test]
    fn what_nothing_leads_to_has_no_reason() {
        check(&[("asked", "Depends: absent"), ("loner", "Depends: asked")], &["asked: asked"]);
        check(&[], &[]);
    }
}
