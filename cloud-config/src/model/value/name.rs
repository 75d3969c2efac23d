//! Names of units, drop-ins and network files: file names, never paths.

use std::fmt;

use crate::model::Rule;
use crate::model::text::{FromText, Refused, value_from_text};

/// Longest name, in bytes; systemd's limit for units, Linux's for files.
const MAX_NAME_BYTES: usize = 255;

const SYSTEM_SUFFIXES: [&str; 11] =
    ["service", "socket", "device", "mount", "automount", "swap", "target", "path", "timer", "slice", "scope"];
const NETWORK_SUFFIXES: [&str; 3] = ["network", "netdev", "link"];

fn file_name(text: &str, what: &str) -> Result<(), Refused> {
    let refused =
        |why: &str| Err(Refused::new(format!("`{}` is not the name of {what}: {why}", text.escape_debug())).under(Rule::InvalidName));
    if text.is_empty() {
        return refused("it is empty");
    }
    if text.contains('/') {
        return refused("it is a name, not a path").map_err(|refused| refused.with_hint("leave the folders out"));
    }
    if text.len() > MAX_NAME_BYTES {
        return refused("it is longer than 255 bytes");
    }
    if text.starts_with('.') || !text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b":-_.\\@".contains(&byte)) {
        return refused("only letters, digits and `:-_.\\@` are allowed, and no dot in front");
    }
    Ok(())
}

fn suffix(text: &str) -> &str {
    text.rsplit_once('.').map_or("", |(_, suffix)| suffix)
}

/// Declares a name type with its check.
macro_rules! name {
    ($(#[doc = $about:literal])+ $name:ident, $wanted:literal, $pattern:literal, $check:expr) => {
        $(#[doc = $about])+
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(String);

        impl $name {
            /// The name.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl FromText for $name {
            const WANTED: &'static str = $wanted;

            fn from_text(text: &str) -> Result<Self, Refused> {
                file_name(text, $wanted)?;
                let check: fn(&str) -> Result<(), Refused> = $check;
                check(text)?;
                Ok(Self(text.to_owned()))
            }

            fn schema() -> serde_json::Value {
                serde_json::json!({ "type": "string", "pattern": $pattern })
            }
        }

        value_from_text!($name);
    };
}

name!(
    /// Name of a systemd unit or of a file of systemd-networkd, with its suffix.
    UnitName, "a unit", r"^[^/.][^/]*$", |text| {
        let suffix = suffix(text);
        let stem = text.strip_suffix(suffix).unwrap_or_default();
        if stem.trim_end_matches('.').is_empty() || !SYSTEM_SUFFIXES.iter().chain(&NETWORK_SUFFIXES).any(|known| *known == suffix) {
            return Err(Refused::new(format!("`{text}` does not end like a unit")).under(Rule::InvalidName).with_hint("such as `.service`, `.timer`, `.network`"));
        }
        Ok(())
    }
);

name!(
    /// Name of a drop-in.
    DropInName, "a drop-in", r"^[^/.][^/]*\.conf$", |text| {
        if text.ends_with(".conf") {
            return Ok(());
        }
        let refused = Refused::new(format!("systemd only reads drop-ins that end in `.conf`, not `{text}`")).under(Rule::InvalidName);
        Err(refused.with_hint(format!("call it `{text}.conf`")))
    }
);

name!(
    /// Name of a file of systemd-networkd.
    NetworkName, "a network file", r"^[^/.][^/]*\.(network|netdev|link)$", |text| {
        if NETWORK_SUFFIXES.contains(&suffix(text)) {
            return Ok(());
        }
        Err(Refused::new(format!("`{text}` does not end in `.network`, `.netdev` or `.link`")).under(Rule::InvalidName))
    }
);

impl UnitName {
    /// Whether it is a file of systemd-networkd: placed elsewhere, and neither enabled nor started.
    #[must_use]
    pub fn is_network(&self) -> bool {
        NETWORK_SUFFIXES.contains(&suffix(&self.0))
    }

    /// The template it is an instance of: `getty@.service` for `getty@tty1.service`.
    #[must_use]
    pub fn template(&self) -> Option<String> {
        let (prefix, rest) = self.0.split_once('@')?;
        let (instance, suffix) = rest.rsplit_once('.')?;
        (!instance.is_empty()).then(|| format!("{prefix}@.{suffix}"))
    }

    /// Whether it is a template, which cannot be started.
    #[must_use]
    pub fn is_template(&self) -> bool {
        self.0.split_once('@').is_some_and(|(_, rest)| rest.starts_with('.'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unit_names_are_file_names_with_a_suffix() {
        for good in
            ["etcd.service", "getty@tty1.service", "getty@.service", "dev-sda1.swap", "a\\x2db.mount", "10-static.network", "x.timer"]
        {
            assert_eq!(UnitName::from_text(good).unwrap().as_str(), good);
        }
        for bad in [
            "",
            "etcd",
            "../etcd.service",
            "a/b.service",
            "/etcd.service",
            ".service",
            "..service",
            "x.conf",
            "a b.service",
            "a\n.service",
            "é.service",
        ] {
            assert_eq!(UnitName::from_text(bad).map_err(|refused| refused.rule), Err(Rule::InvalidName), "{bad:?}");
        }
        assert!(UnitName::from_text(&format!("{}.service", "a".repeat(250))).is_err());
    }

    #[test]
    fn drop_ins_end_in_conf() {
        assert!(DropInName::from_text("10-env.conf").is_ok());
        for bad in ["10-env", "../10.conf", "a/b.conf", ".conf", "", "x.conf.bak"] {
            assert!(DropInName::from_text(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn network_files_are_told_from_units() {
        assert!(UnitName::from_text("10-eth.network").unwrap().is_network());
        assert!(!UnitName::from_text("a.service").unwrap().is_network());
        assert!(NetworkName::from_text("10-eth.link").is_ok());
        assert!(NetworkName::from_text("a.service").is_err());
    }

    #[test]
    fn instances_know_their_template() {
        let template = |name| UnitName::from_text(name).unwrap().template();
        assert_eq!(template("getty@tty1.service").as_deref(), Some("getty@.service"));
        assert_eq!(template("getty@.service"), None);
        assert_eq!(template("etcd.service"), None);
        assert!(UnitName::from_text("getty@.service").unwrap().is_template());
        assert!(!UnitName::from_text("getty@tty1.service").unwrap().is_template());
    }
}
