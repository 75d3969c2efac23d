//! Which entry systemd-boot starts, as its documentation says (systemd-boot(7), loader.conf(5), the Boot Loader Interface).
//!
//! Written from the documentation, not from the loader's code: `LoaderEntryOneShot` if it names an entry, then
//! `LoaderEntryDefault`, then `default` of `loader.conf`, a pattern; then the first entry of the list. A variable that names no
//! entry is passed over. Once the one-shot has been read it is gone.

use super::efi_vars::Choices;

/// Why an entry was chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// For this boot only.
    OneShot,
    /// The firmware's variable.
    Default,
    /// `loader.conf`.
    Conf,
    /// Nothing names one of the entries that there are.
    First,
}

/// The entry that is started, of `entries` (names in lower case, the loader's order); nothing when there is none.
#[must_use]
pub fn select<'a>(entries: &'a [String], choices: &Choices, loader_conf: &str) -> Option<(&'a str, Reason)> {
    let find = |pattern: Option<&str>| {
        let pattern = pattern?.to_lowercase();
        entries.iter().find(|entry| matches(&pattern, entry)).map(String::as_str)
    };
    let one_shot = find(choices.one_shot.as_deref()).map(|entry| (entry, Reason::OneShot));
    let default = || find(choices.default.as_deref()).map(|entry| (entry, Reason::Default));
    let conf = || find(conf_default(loader_conf)).map(|entry| (entry, Reason::Conf));
    one_shot.or_else(default).or_else(conf).or_else(|| entries.first().map(|entry| (entry.as_str(), Reason::First)))
}

/// The entry of the boot after that.
#[must_use]
pub fn select_next<'a>(entries: &'a [String], choices: &Choices, loader_conf: &str) -> Option<(&'a str, Reason)> {
    select(entries, &Choices { one_shot: None, ..choices.clone() }, loader_conf)
}

/// `default` of a `loader.conf`; the last one counts.
fn conf_default(text: &str) -> Option<&str> {
    let lines = text.lines().map(str::trim).filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| line.strip_prefix("default").filter(|rest| rest.starts_with([' ', '\t'])).map(str::trim)).next_back()
}

/// A pattern with `*` and `?`.
fn matches(pattern: &str, text: &str) -> bool {
    match (pattern.chars().next(), text.chars().next()) {
        (None, None) => true,
        (Some('*'), _) => {
            matches(&pattern[1..], text) || text.chars().next().is_some_and(|letter| matches(pattern, &text[letter.len_utf8()..]))
        }
        (Some(one), Some(other)) if one == other || one == '?' => matches(&pattern[one.len_utf8()..], &text[other.len_utf8()..]),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_the_documentation() {
        let both = ["slipway-a.efi".to_owned(), "slipway-b.efi".to_owned()];
        let conf = "timeout 0\ndefault slipway-a.efi\n";
        type Case<'a> = (&'a [String], Option<&'a str>, Option<&'a str>, &'a str, Option<(&'a str, Reason)>);
        let table: &[Case<'_>] = &[
            (&both, Some("slipway-b.efi"), Some("slipway-a.efi"), conf, Some(("slipway-b.efi", Reason::OneShot))),
            (&both, Some("gone.efi"), Some("slipway-b.efi"), conf, Some(("slipway-b.efi", Reason::Default))),
            (&both, None, Some("gone.efi"), conf, Some(("slipway-a.efi", Reason::Conf))),
            (&both, None, None, "default Slipway-B*", Some(("slipway-b.efi", Reason::Conf))),
            (&both, None, None, "default slipway-?.efi", Some(("slipway-a.efi", Reason::Conf))),
            (&both, None, None, "# default slipway-b.efi\ndefaulted x", Some(("slipway-a.efi", Reason::First))),
            (&both[..1], Some("slipway-b.efi"), None, "", Some(("slipway-a.efi", Reason::First))),
            (&[], Some("slipway-b.efi"), None, conf, None),
        ];
        for (entries, one_shot, default, conf, expected) in table {
            let choices = Choices { one_shot: one_shot.map(str::to_owned), default: default.map(str::to_owned) };
            assert_eq!(select(entries, &choices, conf), *expected, "{choices:?} {conf:?}");
        }
        let once = Choices { one_shot: Some("slipway-b.efi".into()), default: None };
        assert_eq!(select_next(&both, &once, conf), Some(("slipway-a.efi", Reason::Conf)));
    }
}
