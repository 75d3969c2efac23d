//! One YAML makes a host what it should be.
//!
//! The pipeline, each step a module that can be used alone:
//!
//! ```text
//! source/  ->  document/  ->  substitute  ->  yaml/ model/ check/  ->  plan/  ->  apply/  ->  report
//! find         gzip, MIME,    $private_ipv4   spans, types, rules      effects    undo       what happened
//! ```

pub mod apply;
pub mod check;
pub mod cli;
pub mod document;
pub mod environment;
pub mod metadata;
pub mod model;
pub mod plan;
pub mod report;
pub mod run;
pub mod source;
pub mod substitute;
pub mod yaml;
