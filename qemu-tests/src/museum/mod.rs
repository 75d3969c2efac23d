//! The bug museum: defects that are planted one after another, each of which the test suite must notice.
//!
//! An [`Exhibit`] is a patch on the source with a story, the promise it breaks, and the tests that are expected to fail. Nothing of it is in the
//! programs: [`struct@Copy`] takes the source to a folder of its own, one defect is written into it, [`Cargo`] runs the tests, [`judge`](mod@judge)
//! says what that means, [`run`](run()) goes through the museum and [`Report`] tells.
//!
//! ```no_run
//! use camino::Utf8Path;
//! use qemu_tests::museum::{Plan, gallery, run};
//!
//! let repository = Utf8Path::new(".");
//! let report = run(&Plan::new(repository), gallery(repository)?, |line| eprintln!("{line}"))?;
//! assert!(report.escaped().next().is_none(), "a defect that no test notices");
//! # anyhow::Ok(())
//! ```

mod cargo;
mod change;
pub mod cli;
mod copy;
mod exhibit;
mod gallery;
pub mod judge;
mod observe;
mod page;
mod report;
mod run;

pub use cargo::Cargo;
pub use change::{Change, Misfit};
pub use copy::{Copy, Planted};
pub use exhibit::{Exhibit, ExhibitError, Killer, Kind};
pub use gallery::{FOLDER, gallery};
pub use observe::{Observed, Tests};
pub use report::{Report, Row};
pub use run::{Plan, run};
