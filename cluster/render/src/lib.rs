//! Configuration files that follow keys of the cluster store, in the manner of confd.
//!
//! A file in `/etc/slipway/render.d` names a template, a place and keys. Whenever the keys change, the template is rendered, checked by a
//! command, put in its place whole, and whoever reads it is told. A file that fails its check is never installed; nothing is ever
//! half-written; what did not change is not touched.
//!
//! ```
//! use std::path::Path;
//! use render::{Resource, View, render};
//!
//! let text = "[template]\nsrc = \"a.j2\"\ndest = \"/etc/a\"\nkeys = [\"/app\"]\n";
//! let resource = Resource::parse(Path::new("/etc/slipway/render.d/a.toml"), text, |_| true).expect("it is right");
//! let entries = [("/app/name".to_owned(), "shop".to_owned())].into();
//! let rendered = render(Path::new("a.j2"), "hello {{ getv('/app/name') }}\n", View::new(&resource, &entries));
//! assert_eq!(rendered.as_deref(), Ok("hello shop\n"));
//! ```
//!
//! | module | holds |
//! | --- | --- |
//! | `resource` | `/etc/slipway/render.d/*.toml` |
//! | `view`, `template` | what a template sees, and its language |
//! | `install` | a file in its place, whole or not at all |
//! | `command` | checks and reloads |
//! | `pass` | one attempt to bring one file up to date |
//! | `follow` | when that is done |
//! | `difference` | what would change, for people |

mod command;
mod difference;
mod follow;
mod install;
mod pass;
mod resource;
mod template;
mod view;

pub use command::{CommandError, CommandLine, LIMIT};
pub use difference::difference;
pub use follow::{follow, prefixes, read};
pub use install::{Current, InstallError, Staged};
pub use pass::{Failure, Outcome, Target};
pub use resource::{Attributes, Resource, covers, read as resources};
pub use template::render;
pub use view::{View, ViewError};

/// Where the files are that say what to render.
pub const FOLDER: &str = "/etc/slipway/render.d";
/// Where reloads are noted that are still owed; gone with a reboot, as are the programs to be told.
pub const DEBTS: &str = "/run/cluster-render";
