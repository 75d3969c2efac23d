//! Values that are one of a few words.

use crate::model::reader::Reader;
use crate::model::schema::{self, Definitions};
use crate::model::{Rule, Value, choices};
use crate::yaml::Node;

/// Declares an enum of words.
macro_rules! choice {
    ($(#[doc = $about:literal])+ pub enum $name:ident { $( $(#[doc = $doc:literal])+ $variant:ident = $word:literal $(| $alias:literal)*, )+ }) => {
        $(#[doc = $about])+
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $name { $( $(#[doc = $doc])+ $variant, )+ }

        impl $name {
            /// The words, without other spellings.
            pub const WORDS: &'static [&'static str] = &[$($word),+];

            /// The word for it.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
        }

        impl Value for $name {
            const WANTED: &'static str = "one of a few words";

            fn wanted() -> String {
                let words: Vec<_> = Self::WORDS.iter().map(|word| format!("`{word}`")).collect();
                format!("one of {}", words.join(", "))
            }

            fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
                let text = reader.text(node, &Self::wanted())?;
                match text.as_str() {
                    $( $word $(| $alias)* => Some(Self::$variant), )+
                    other => {
                        reader.invalid(node, Rule::InvalidValue, format!("`{other}` is not {}", Self::wanted()), choices(other, Self::WORDS));
                        None
                    }
                }
            }

            fn schema(_: &mut Definitions) -> serde_json::Value {
                schema::words(&[$($word, $($alias,)*)+])
            }
        }
    };
}

choice! {
    /// What to do with a unit.
    pub enum UnitCommand {
        /// Starts it.
        Start = "start",
        /// Stops it.
        Stop = "stop",
        /// Starts it anew.
        Restart = "restart",
        /// Makes it read its configuration.
        Reload = "reload",
        /// Starts it anew if it runs.
        TryRestart = "try-restart",
        /// Makes it read its configuration, by a restart if it has no other way.
        ReloadOrRestart = "reload-or-restart",
        /// The same, if it runs.
        ReloadOrTryRestart = "reload-or-try-restart",
    }
}

choice! {
    /// What happens when an update wants to boot.
    pub enum RebootStrategy {
        /// Boots when it holds the lock in etcd.
        EtcdLock = "etcd-lock",
        /// Boots when a FleetLock server lets it.
        FleetLock = "fleet-lock",
        /// Boots at once.
        Reboot = "reboot",
        /// Waits for a person.
        Off = "off",
        /// With the lock if there is etcd, at once otherwise; what CoreOS did before 2018.
        BestEffort = "best-effort",
    }
}

choice! {
    /// How the content of a file is written down.
    pub enum Encoding {
        /// As it is.
        Plain = "text/plain" | "plain" | "text" | "",
        /// Base64.
        Base64 = "base64" | "b64",
        /// Gzip, of a `!!binary` value.
        Gzip = "gzip" | "gz",
        /// Gzip, then base64.
        GzipBase64 = "gzip+base64" | "gz+base64" | "gzip+b64" | "gz+b64",
    }
}

choice! {
    /// What `/etc/hosts` says.
    pub enum EtcHosts {
        /// The host's own name is the host itself.
        Localhost = "localhost",
    }
}

choice! {
    /// Kind of partition table.
    pub enum PartitionTable {
        /// GPT.
        Gpt = "gpt",
        /// The table of the PC BIOS.
        Mbr = "mbr",
    }
}
