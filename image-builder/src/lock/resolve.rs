//! From a recipe to a lock. The decision is the host's apt's; this asks it the right question and explains its answer.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::apt::{Apt, AptError, System};
use super::archives::{ArchiveOptions, Archives, ArchivesError};
use super::format::{ArchiveLabel, FORMAT, Lock, LockedPackage};
use super::index::{Index, Stanza};
use super::reasons::reasons;
use super::refusal::{Refusal, refusal};
use crate::cmd::{CmdError, Transcript};
use crate::manifest::Reason;
use crate::progress::Progress;
use crate::recipe::diagnostic::{self, Diagnostic, Mark, nearest};
use crate::recipe::{Located, Recipe};
use crate::store::Store;
use crate::tools;

/// What stands for the recipe in the reasons of the tools: no recipe asks for them.
pub const TOOLS_ASKED_BY: &str = "image-builder";

/// With this apt begins its explanation why packages do not go together.
const CONFLICTS: &str = "The following packages have unmet dependencies:";

/// How many providers of a virtual package an error lists.
const SHOWN_PROVIDERS: usize = 5;

/// Why a recipe could not be resolved. Nothing has been written then.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ResolveError {
    /// The private apt could not be prepared or run.
    #[error(transparent)]
    Apt(#[from] AptError),
    /// An archive has no such suite.
    #[error("the archive {address} has no suite `{suite}`\n{excerpt}")]
    NoSuite {
        /// The archive.
        address: String,
        /// The suite.
        suite: String,
        /// The line of the recipe.
        excerpt: String,
    },
    /// A suite has no such component.
    #[error("the suites of the recipe have no component `{component}`\n{excerpt}")]
    NoComponent {
        /// The component.
        component: String,
        /// The line of the recipe.
        excerpt: String,
    },
    /// The signature of a suite does not verify.
    #[error(
        "the signature of suite `{suite}` of {address} does not verify with the keyring {keyring}: {detail}; nothing was changed",
        keyring = .keyring.display()
    )]
    Signature {
        /// The archive.
        address: String,
        /// The suite.
        suite: String,
        /// The keys it was checked with.
        keyring: PathBuf,
        /// What the check says.
        detail: String,
    },
    /// A suite is older than it says it may be, or from the future.
    #[error("an archive is out of date: {detail}; check the clock of this machine or take another mirror; nothing was changed")]
    Expired {
        /// What apt says.
        detail: String,
    },
    /// A list is not the one that was signed.
    #[error("an archive is damaged or in the middle of an update: {detail}; try again later or take another mirror; nothing was changed")]
    Damaged {
        /// What apt says.
        detail: String,
    },
    /// An archive does not answer.
    #[error("an archive cannot be reached: {detail}; check the network and the proxy, or name another one with --mirror")]
    Unreachable {
        /// What apt says.
        detail: String,
    },
    /// The lists could not be updated for another reason.
    #[error("apt could not update the package lists: {detail}")]
    Update {
        /// What apt says.
        detail: String,
    },
    /// Packages of the recipe do not exist.
    #[error("{}", diagnostic::join(.diagnostics))]
    NoPackage {
        /// One for each.
        diagnostics: Vec<Diagnostic>,
    },
    /// The packages exist but cannot be installed together.
    #[error("the packages cannot be installed together:\n{explanation}")]
    Unsatisfiable {
        /// What apt says, and which exclusions of the recipe it mentions.
        explanation: String,
    },
    /// apt would download something that no list names.
    #[error("apt names a package that is in no list: {address}")]
    Unknown {
        /// The address.
        address: String,
    },
    /// A package would be installed that nothing depends on.
    #[error("apt would install {package}, but nothing in the recipe leads to it")]
    Unexplained {
        /// Its name.
        package: String,
    },
}

impl From<CmdError> for ResolveError {
    fn from(error: CmdError) -> Self {
        Self::Apt(AptError::Cmd(error))
    }
}

impl From<ArchivesError> for ResolveError {
    fn from(error: ArchivesError) -> Self {
        Self::Apt(AptError::Archives(error))
    }
}

/// Resolves `recipe` against the archives as they are now.
pub fn resolve(recipe: &Recipe, store: &Store, options: &ArchiveOptions, progress: &Progress) -> Result<Lock, ResolveError> {
    resolve_with_tools(recipe, store, options, progress, tools::PACKAGES)
}

/// The same with another list of tools, for tests whose archive does not have the real ones.
pub(super) fn resolve_with_tools(
    recipe: &Recipe,
    store: &Store,
    options: &ArchiveOptions,
    progress: &Progress,
    tools: &[&str],
) -> Result<Lock, ResolveError> {
    let archives = Archives::find(options)?;
    let suites = values(&recipe.archive.suites);
    let apt = Apt::for_suites(store, &archives, &suites, &values(&recipe.archive.components), &values(&recipe.packages.exclude))?;
    {
        let _phase = progress.phase("Updating the package lists", 0);
        updated(recipe, &archives, &apt.update()?)?;
    }
    let _phase = progress.phase("Resolving packages", 0);
    let resolution = Resolution { recipe, apt: &apt, index: apt.index()?, bases: bases(&archives) };
    resolution.check_names()?;
    let essential = resolution.index.essential().filter(|name| !recipe.packages.exclude.iter().any(|item| item.value == *name));
    let mut names: Vec<&str> = recipe.asked().map(|item| item.value.as_str()).chain(essential).collect();
    names.sort_unstable();
    names.dedup();
    let asked = recipe.asked().map(|item| (item.value.as_str(), asked_at(&item.at.recipe, item.at.line))).collect();
    let packages = resolution.plan(System::Image, &names, &asked)?;
    let asked = tools.iter().map(|name| (*name, asked_at(TOOLS_ASKED_BY, 0))).collect();
    let tools = resolution.plan(System::Tools, tools, &asked)?;
    let suites = suites.into_iter().map(str::to_owned).collect();
    Ok(Lock { format: FORMAT, packages_digest: recipe.packages_digest(), epoch: apt.newest_signature()?, suites, packages, tools })
}

fn asked_at(recipe: &str, line: usize) -> Reason {
    Reason::Asked { recipe: recipe.to_owned(), line }
}

fn values(list: &[Located<String>]) -> Vec<&str> {
    list.iter().map(|item| item.value.as_str()).collect()
}

fn bases(archives: &Archives) -> Vec<(ArchiveLabel, String)> {
    let base = |label| Some((label, archives.base(label).ok()?.to_owned()));
    ArchiveLabel::ALL.into_iter().filter_map(base).collect()
}

/// Turns what `apt-get update` said into an error that names the line of the recipe.
fn updated(recipe: &Recipe, archives: &Archives, said: &Transcript) -> Result<(), ResolveError> {
    let line_of = |list: &[Located<String>], value: &str| {
        let item = list.iter().find(|item| item.value == value);
        item.map_or_else(String::new, |item| recipe.excerpt(&item.at, value, "asked for here"))
    };
    match refusal(&[said.stdout.as_str(), &said.stderr].join("\n")) {
        None if said.success => Ok(()),
        None => Err(ResolveError::Update { detail: said.stderr.trim().to_owned() }),
        Some(Refusal::NoSuite { address, suite }) => {
            let excerpt = line_of(&recipe.archive.suites, &suite);
            Err(ResolveError::NoSuite { address, suite, excerpt })
        }
        Some(Refusal::NoComponent { component }) => {
            let excerpt = line_of(&recipe.archive.components, &component);
            Err(ResolveError::NoComponent { component, excerpt })
        }
        Some(Refusal::Signature { address, suite, detail }) => {
            Err(ResolveError::Signature { address, suite, keyring: archives.keyring().to_owned(), detail })
        }
        Some(Refusal::Expired { detail }) => Err(ResolveError::Expired { detail }),
        Some(Refusal::Damaged { detail }) => Err(ResolveError::Damaged { detail }),
        Some(Refusal::Unreachable { detail }) => Err(ResolveError::Unreachable { detail }),
    }
}

struct Resolution<'a> {
    recipe: &'a Recipe,
    apt: &'a Apt,
    index: Index,
    bases: Vec<(ArchiveLabel, String)>,
}

impl Resolution<'_> {
    /// Every package that the recipe asks for must exist under that very name.
    fn check_names(&self) -> Result<(), ResolveError> {
        let absent = self.recipe.asked().filter(|item| !self.index.contains(&item.value));
        let diagnostics: Vec<Diagnostic> = absent.map(|item| self.no_package(item)).collect();
        if diagnostics.is_empty() { Ok(()) } else { Err(ResolveError::NoPackage { diagnostics }) }
    }

    fn no_package(&self, item: &Located<String>) -> Diagnostic {
        let mut providers = self.index.providers(&item.value);
        providers.truncate(SHOWN_PROVIDERS);
        let (message, label) = if providers.is_empty() {
            let label = nearest(&item.value, self.index.names()).map_or_else(String::new, |name| format!("did you mean `{name}`?"));
            let suites = values(&self.recipe.archive.suites).join(", ");
            (format!("there is no package `{}` in {suites}", item.value), label)
        } else {
            (format!("`{}` is a virtual package", item.value), format!("name one that provides it: {}", providers.join(", ")))
        };
        let text = self.recipe.files.iter().find(|file| file.name == item.at.recipe).map_or("", |file| file.text.as_str());
        Diagnostic { message, file: item.at.recipe.clone(), mark: Some(Mark::of_line(text, item.at.line, &item.value)), label }
    }

    /// The packages that apt picks for `names`, each with its reason.
    fn plan(&self, system: System, names: &[&str], asked: &BTreeMap<&str, Reason>) -> Result<Vec<LockedPackage>, ResolveError> {
        let said = self.apt.plan(system, names)?;
        if !said.success {
            return Err(ResolveError::Unsatisfiable { explanation: self.explain(&said) });
        }
        let mut picked: Vec<(ArchiveLabel, &Stanza)> = Vec::new();
        for address in said.stdout.lines().filter_map(|line| Some(line.strip_prefix('\'')?.split_once('\'')?.0)) {
            let unknown = || ResolveError::Unknown { address: address.to_owned() };
            picked.push(self.index.at_address(address, &self.bases).ok_or_else(unknown)?);
        }
        picked.sort_by(|a, b| a.1.name.cmp(&b.1.name));
        let stanzas: Vec<&Stanza> = picked.iter().map(|(_, stanza)| *stanza).collect();
        let mut reasons = reasons(&stanzas, asked);
        let locked = |(label, stanza): &(ArchiveLabel, &Stanza)| {
            let reason = reasons.remove(&stanza.name).ok_or_else(|| ResolveError::Unexplained { package: stanza.name.clone() })?;
            Ok(stanza.locked(*label, reason))
        };
        picked.iter().map(locked).collect()
    }

    /// apt's own explanation, and the lines of the recipe that exclude what it misses.
    fn explain(&self, said: &Transcript) -> String {
        // What comes before is only about reading lists.
        let conflicts = said.stdout.find(CONFLICTS).map_or("", |at| &said.stdout[at..]);
        let mut text = [conflicts.trim_end(), said.stderr.trim_end()].join("\n").trim_start_matches('\n').to_owned();
        for item in &self.recipe.packages.exclude {
            if text.split(|c: char| !(c.is_ascii_alphanumeric() || "+-.".contains(c))).any(|word| word == item.value) {
                text.push('\n');
                text.push_str(&self.recipe.excerpt(&item.at, &item.value, "the recipe excludes it here"));
            }
        }
        text
    }
}

#[cfg(test)]
#[path = "resolve_tests.rs"]
mod tests;
