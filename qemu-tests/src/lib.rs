//! Boots the images that were built, in QEMU, and proves the promises on them.
//!
//! [`scenario`] runs promises with their proofs, [`vm`] is one machine, [`guest`] runs commands in it over a channel that
//! needs nothing in the image ([`agent`]). [`template`] forks machines that have booted, [`identity`] tells them apart,
//! [`card`] plugs network cards into them, and [`switch`] joins them; [`budget`] decides how many run at a time.
//! [`pace`] knows how long things may take here, [`console`] reads serial logs,
//! [`media`] makes disks with a configuration and [`file_server`] serves one,
//! [`disk`] and [`pe`] do wilful damage, [`nbd`] serves disks that record, delay, refuse and lose power, [`power_cut`] explores
//! what a cut can leave, [`images`] finds what was built, [`report`] writes the result for CI.
//! [`museum`] needs no machine: it plants defects into the source and sees that a test notices each of them.
//!
//! ```no_run
//! use camino::Utf8Path;
//! use qemu_tests::vm::{Host, Spec, Vm};
//!
//! let host = Host::probe()?;
//! let vm = Vm::start("first", &Spec::new("out/slipway-vm-1.0.0.raw"), &host, Utf8Path::new("logs"))?;
//! vm.wait_for_boot()?;
//! assert_eq!(vm.guest().check("id -un")?.text(), "root");
//! vm.power_off()?;
//! # anyhow::Ok(())
//! ```

/// The examples of the guide, which are tested as part of this library's documentation.
#[cfg(doctest)]
#[doc = include_str!("../../docs/testing.md")]
struct Guide;

pub mod agent;
pub mod budget;
pub mod card;
pub mod cli;
pub mod console;
pub(crate) mod diary;
pub mod disk;
pub mod file_server;
pub mod guest;
pub mod identity;
pub mod images;
pub mod media;
pub mod museum;
pub mod nbd;
pub mod pace;
pub mod pe;
pub mod plan;
pub mod power_cut;
pub mod preserved;
pub mod process;
pub mod qmp;
pub mod report;
pub mod scenario;
pub mod scratch;
pub mod shell;
pub mod snooze;
pub mod switch;
pub mod template;
pub mod tpm;
pub mod update_server;
pub mod vm;
