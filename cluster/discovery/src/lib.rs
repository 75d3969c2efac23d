//! The protocol by which machines that know one address find each other: etcd's v2 discovery.
//!
//! An address such as `https://updates.example.com/discovery/TOKEN` stands for one cluster that is to come about. Machines write
//! their names and addresses there, each once, and wait until as many are there as the cluster has seats. The order in which they
//! came decides who has a seat. `update-server` speaks the other side.
//!
//! | module | holds |
//! | --- | --- |
//! | [`limits`] | how large, how long, how many |
//! | [`wire`] | answers, errors and their JSON |
//! | [`member`] | a machine as it is written at the address, and the secret with which it may write again |
//! | [`address`] | the address and its parts |
//! | [`roll`] | who is there, in order, and who has a seat |
//! | [`client`] | the side of a machine (feature `client`, on unless turned off) |
//!
//! ```
//! use discovery::{Member, Roll};
//!
//! let one = Member::parse("1f", "n1=http://10.0.0.1:2380")?;
//! let roll = Roll { size: 3, members: vec![one] };
//! assert_eq!(roll.to_string(), "1 of 3 machines are there");
//! # Ok::<(), discovery::member::Wrong>(())
//! ```

pub mod address;
#[cfg(feature = "client")]
pub mod client;
pub mod limits;
pub mod member;
pub mod roll;
pub mod wire;

pub use address::Address;
#[cfg(feature = "client")]
pub use client::{Client, Error, Options, Progress, Registered};
pub use member::{Member, Secret};
pub use roll::Roll;
