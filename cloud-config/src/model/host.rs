//! Small sections about the whole host.

use super::Located;
use super::section::section;
use super::value::{Certificate, DropInName, NetworkName};

section! {
    /// Time servers for systemd-timesyncd.
    pub struct Ntp {
        /// Whether the clock is kept right; yes if missing.
        enabled: Option<Located<bool>>,
        /// Names or addresses of single servers.
        servers: Vec<Located<String>>,
        /// Names that stand for many servers; asked when no server is given or answers.
        pools: Vec<Located<String>>,
    }
}

section! {
    /// Certificate authorities.
    pub struct CaCerts {
        /// Certificates to trust, each as one PEM text.
        trusted: Vec<Located<Certificate>>,
        /// Trusts only these, none of those in the image.
        remove_defaults: Option<Located<bool>>,
    }
}

section! {
    /// One file of systemd-networkd.
    pub struct NetworkFile {
        /// File name, ending in `.network`, `.netdev` or `.link`; files apply in the order of their names.
        name: Located<NetworkName>,
        /// Text of the file.
        content: Option<Located<String>>,
        /// Drop-ins that change parts of a file.
        drop_ins: Vec<Located<NetworkDropIn>>,
        /// Places it under `/run`, until the next boot, instead of under `/etc`.
        runtime: Option<Located<bool>>,
    }
    merged by name;
}

section! {
    /// A file that changes parts of a network file.
    pub struct NetworkDropIn {
        /// File name, ending in `.conf`.
        name: Located<DropInName>,
        /// Text of the file.
        content: Option<Located<String>>,
    }
    merged by name;
}

section! {
    /// One kernel module. A plain name says the same in short.
    pub struct KernelModule {
        /// Name of the module, such as `br_netfilter`.
        name: Located<String>,
        /// Its parameters, such as `hashsize=262144`.
        options: Option<Located<String>>,
        /// Keeps the module from being loaded instead.
        blacklist: Option<Located<bool>>,
    }
    merged by name;
    shorthand "a name";
}
