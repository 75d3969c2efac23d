//! Every rule a configuration is held to, by the name that problems are reported under.

/// How bad a problem is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The configuration is refused.
    Error,
    /// The configuration is applied, and most likely does not do what was meant.
    Warning,
}

/// Declares the rules: variant, id, severity, what the rule asks for.
macro_rules! rules {
    ($($rule:ident = $id:literal, $severity:ident, $about:literal;)+) => {
        /// A rule; problems name it, the documentation explains it.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Rule {
            $(#[doc = $about] $rule,)+
        }

        impl Rule {
            /// All of them, in the order of the documentation.
            pub const ALL: &[Self] = &[$(Self::$rule),+];

            /// The name in reports; it does not change once released.
            #[must_use]
            pub fn id(self) -> &'static str {
                match self { $(Self::$rule => $id),+ }
            }

            /// How bad it is to break the rule.
            #[must_use]
            pub fn severity(self) -> Severity {
                match self { $(Self::$rule => Severity::$severity),+ }
            }

            /// What the rule says, for the documentation.
            #[must_use]
            pub fn about(self) -> &'static str {
                match self { $(Self::$rule => $about),+ }
            }
        }
    };
}

rules! {
    // What the bytes are.
    UnknownFormat = "unknown-format", Error, "The first line says what a document is: `#cloud-config`, `#!` and an interpreter, or a MIME header.";
    Undecodable = "undecodable", Error, "Compressed, encoded and MIME parts can be unpacked, and texts are UTF-8.";
    TooLarge = "too-large", Error, "A document is at most 1 MiB, also after unpacking, and bounded in depth, nodes and aliases.";
    ForeignPart = "foreign-part", Warning, "A part that belongs to somebody else (Ignition, an unknown MIME type) is left alone.";
    // YAML.
    Syntax = "syntax", Error, "The text is YAML.";
    DuplicateKey = "duplicate-key", Error, "A mapping has each key once; `drop-ins` and `drop_ins` are the same key.";
    EmptyValue = "empty-value", Warning, "A key has a value; without one it counts as not written.";
    // Keys and types.
    UnknownKey = "unknown-key", Error, "Only documented keys are used; `--lenient` makes this a warning.";
    MissingKey = "missing-key", Error, "Keys without which an entry means nothing are there.";
    WrongType = "wrong-type", Error, "A value has the type its key asks for.";
    InvalidValue = "invalid-value", Error, "A value follows the grammar of its key.";
    InvalidName = "invalid-name", Error, "Names of units, drop-ins and network files are plain file names of the right kind.";
    InvalidPath = "invalid-path", Error, "Paths of files are absolute, without `..`, and outside the read-only parts of the image.";
    SudoRule = "sudo-rule", Error, "A rule for sudo has one of the forms described under `users[]`: a file that sudo cannot read switches sudo off for everybody.";
    UndecodableContent = "undecodable-content", Error, "The content of a file can be decoded with the encoding that is named.";
    ConflictingKeys = "conflicting-keys", Error, "Keys that exclude each other are not used together.";
    IgnoredKey = "ignored-key", Warning, "A key that is understood and does nothing here is left out.";
    DeprecatedKey = "deprecated-key", Warning, "Keys that newer ones have replaced are not used.";
    // Addresses.
    UnknownAddress = "unknown-address", Error, "Every `$private_ipv4`, `$public_ipv4`, `$private_ipv6` and `$public_ipv6` is known when it is used.";
    // Legal, and most likely not what was meant.
    Placeholder = "placeholder", Warning, "Texts that stand for something else, such as `<token>`, have been replaced.";
    UnitNotStarted = "unit-not-started", Warning, "A unit that is placed is also started or enabled, here or by another unit.";
    UnitWithoutInstall = "unit-without-install", Warning, "A unit that is enabled has an `[Install]` section.";
    UnknownUnit = "unknown-unit", Warning, "A unit that is started, enabled or given a drop-in exists, here or in the image.";
    FleetMissing = "fleet-missing", Warning, "`fleet.service` and its settings need a fleet layer, which the image does not have yet.";
    EtcdTranslated = "etcd-translated", Warning, "Keys of etcd 0.4 are written as those of today's etcd; until then they are translated.";
    EtcdIgnored = "etcd-ignored", Warning, "Keys that today's etcd does not know are left out.";
    PlainSecret = "plain-secret", Warning, "Passwords are given as hashes; other secrets are not in the document.";
    DuplicateEntry = "duplicate-entry", Warning, "A unit, file, user or group is described once in a document.";
    UserDataSize = "user-data-size", Warning, "A document fits into 16 KiB, which is all that several platforms store.";
    UnusualKey = "unusual-key", Warning, "An SSH key looks like one: a type, base64 data and perhaps a comment.";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_unique_and_readable() {
        let mut ids: Vec<_> = Rule::ALL.iter().map(|rule| rule.id()).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), Rule::ALL.len());
        for id in ids {
            assert!(id.chars().all(|c| c.is_ascii_lowercase() || c == '-'), "{id}");
        }
    }
}
