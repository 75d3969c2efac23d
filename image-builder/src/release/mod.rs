//! From a build to a signed release: a folder of plain files that any web server, bucket or USB stick can carry.
//!
//! | module | content |
//! | --- | --- |
//! | [`pack`] | the files of a release, packed from the output folder of a build |
//! | [`repository`] | all releases and the metadata that vouches for them, on disk |
//! | [`root`] | which keys may sign what: the first root, and its rotations |
//! | [`signers`] | who signs: keys in files, and keys that another process holds |
//! | [`publish`] | sending a repository to a server |

pub mod pack;
pub mod publish;
pub mod repository;
pub mod root;
pub mod signers;
