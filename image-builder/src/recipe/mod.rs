//! The recipe: what goes into an image, as TOML with an inheritance chain.
//!
//! [`load()`] reads a recipe and everything it extends, checks all of it and reports every problem with file, line,
//! column and a caret. Each value remembers its [`Place`], so that `explain` can name the line that asked for it.
//!
//! | module | holds |
//! | --- | --- |
//! | [`model`] | the types of a loaded recipe |
//! | [`rules`] | ordered globs, last match wins |
//! | [`diagnostic`] | the text of a problem, pure |
//! | `table`, `value`, `layer` | one file: typed access to TOML, syntax of single values, the keys there are |
//! | `load` | the chain: extends, merging, checks across files |

pub use diagnostics as diagnostic;
mod layer;
mod load;
pub mod model;
pub mod rules;
mod table;
mod value;

pub use diagnostic::Diagnostic;
pub use load::load;
pub use model::{Archive, Group, Image, Initrd, Kernel, Located, Packages, Place, Recipe, RecipeFile, Root, Tree, TreeDir, Units, User};
pub use rules::{Rule, Rules};

use std::path::PathBuf;

/// What is wrong with a recipe.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecipeError {
    /// A file of the chain cannot be read.
    #[error("reading the recipe {path}: {source}", path = .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The operating system's reason.
        source: std::io::Error,
    },
    /// The path has no file name, so nothing could be called after it.
    #[error("{path} does not name a recipe file; pass a file such as recipes/vm.toml", path = .path.display())]
    NotAFile {
        /// What was passed.
        path: PathBuf,
    },
    /// The content is wrong; every problem found is listed.
    #[error("{}", diagnostic::join(.diagnostics))]
    Invalid {
        /// The problems, in the order of the files and lines.
        diagnostics: Vec<Diagnostic>,
    },
}
