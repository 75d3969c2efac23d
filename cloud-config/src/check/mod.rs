//! Finds everything that is wrong with a configuration, before a machine boots with it.
//!
//! Reading types finds what breaks a rule of a single value; [`lint`] looks at the merged whole for what is legal and still wrong.
//! All problems are found at once, with their places in the text as a person wrote it.

mod lint;
mod show;
mod units;

#[cfg(test)]
mod tests;

use crate::document::{self, Kind, Part, ReadError};
use crate::metadata::Metadata;
use crate::model::reader::Reader;
use crate::model::value::MASK;
use crate::model::{Config, Located, Problems, Value};
use crate::yaml::{self, YamlProblem};

pub use crate::model::{Place, Problem, Rule, Severity};
pub use show::{Entries, show};
pub use units::ImageUnits;

/// What the smallest platforms store as user-data, in bytes.
pub const SMALL_USER_DATA_BYTES: usize = 16 * 1024;

/// How strict to be, and what is known about the machine.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Unknown keys are warnings.
    pub lenient: bool,
    /// Addresses to fill in before reading; without it the text is checked as it is written.
    pub metadata: Option<Metadata>,
    /// Units of the image.
    pub units: ImageUnits,
}

/// What checking gave.
#[derive(Debug, Clone, Default)]
pub struct Checked {
    /// The merged configuration; `None` if there are errors.
    pub config: Option<Config>,
    /// Scripts in order, with addresses filled in; none if there are errors.
    pub scripts: Vec<Located<String>>,
    /// Everything that is wrong, in the order of the text.
    pub problems: Vec<Problem>,
}

impl Checked {
    /// How many errors and warnings there are.
    #[must_use]
    pub fn count(&self, severity: Severity) -> usize {
        self.problems.iter().filter(|problem| problem.severity == severity).count()
    }
}

/// Checks parts together; where they say different things about one, the later wins.
#[must_use]
pub fn check(parts: &[Part], options: &Options) -> Checked {
    let mut checked = Checked::default();
    let mut problems = Problems::default();
    let mut merged = Config::default();
    for part in parts {
        let part = match &options.metadata {
            None => part.clone(),
            Some(metadata) => match part.substituted(metadata) {
                Ok(part) => part,
                Err(missing) => {
                    problems.extend(missing.iter().map(|missing| {
                        let place = part.place_of_bytes(missing.bytes.clone());
                        let message = format!("`${}` is not known on this machine", missing.name);
                        Problem::new(Rule::UnknownAddress, place, message).with_hint(missing.hint())
                    }));
                    part.clone()
                }
            },
        };
        match &part.kind {
            Kind::CloudConfig => {
                let (config, found) = read_part(&part, options.lenient);
                problems.extend(found.into_list());
                if let Some(config) = config {
                    merged.merge(config);
                }
            }
            Kind::Script => {
                let place = Place { file: part.file().into(), ..part.place_of_bytes(0..0) };
                checked.scripts.push(Located::new(part.text().to_owned(), place));
            }
            Kind::Foreign(whose) => {
                let message = format!("this part belongs to {whose} and is left alone");
                problems.add(Problem::new(Rule::ForeignPart, part.place_of_bytes(0..0), message));
            }
        }
    }
    lint::lint(&merged, &options.units, &mut problems);
    checked.problems = problems.into_list();
    finish(&mut checked, parts, merged);
    checked
}

/// Puts problems in order, gives them their lines, and withholds a configuration that is wrong.
fn finish(checked: &mut Checked, parts: &[Part], merged: Config) {
    let order = |problem: &Problem| parts.iter().position(|part| part.file() == &*problem.place.file).unwrap_or(usize::MAX);
    checked.problems.sort_by_cached_key(|problem| (order(problem), problem.place.clone(), problem.severity, problem.rule));
    for problem in &mut checked.problems {
        let mut same_file = parts.iter().filter(|part| part.file() == &*problem.place.file);
        if let Some(line) = same_file.find_map(|part| part.line(problem.place.line)) {
            problem.line_text = if problem.rule == Rule::PlainSecret { masked(line, &mut problem.place) } else { line.to_owned() };
        }
    }
    if checked.count(Severity::Error) == 0 {
        checked.config = Some(merged);
    } else {
        checked.scripts.clear();
    }
}

/// A line up to the secret in it: problems are shown in places where secrets have no business, such as the journal.
fn masked(line: &str, place: &mut Place) -> String {
    place.width = MASK.chars().count();
    line.chars().take(place.column - 1).chain(MASK.chars()).collect()
}

/// Reads one configuration; what it gives beside problems is only good for finding more of them.
fn read_part(part: &Part, lenient: bool) -> (Option<Config>, Problems) {
    let parsed = yaml::parse(part.text());
    let mut reader = Reader::new(part, lenient);
    reader.problems.extend(parsed.problems.iter().map(|problem| of_yaml(part, problem)));
    let config = parsed.root.filter(|root| !root.is_null()).and_then(|root| Config::read(&root, &mut reader));
    (config, reader.problems)
}

fn of_yaml(part: &Part, problem: &YamlProblem) -> Problem {
    let (rule, hint) = match problem {
        YamlProblem::Syntax { message, .. } if message.contains("tab") => (Rule::Syntax, "indent with blanks, not with tabs"),
        YamlProblem::Syntax { .. } => {
            (Rule::Syntax, "often the mistake is a missing blank after a colon, a wrong indentation, or a missing quote on a line above")
        }
        YamlProblem::DuplicateKey { .. } => (Rule::DuplicateKey, "keep one of the two, or put both lists under one key"),
        YamlProblem::TooLarge { .. } => (Rule::TooLarge, "a configuration is small; fetch large things with `url` in `write_files`"),
    };
    Problem::new(rule, part.place(problem.span()), problem.to_string()).with_hint(hint)
}

/// User-data that cannot even be taken apart, as a problem.
impl From<&ReadError> for Problem {
    fn from(error: &ReadError) -> Self {
        let rule = match error {
            ReadError::UnknownFormat { .. } => Rule::UnknownFormat,
            ReadError::Undecodable { .. } => Rule::Undecodable,
            ReadError::TooLarge { .. } => Rule::TooLarge,
        };
        let place = Place { line: error.line(), ..Place::start_of(error.file()) };
        let mut problem = Self::new(rule, place, error.to_string()).with_hint(error.hint());
        if let ReadError::UnknownFormat { first, .. } = error {
            first.clone_into(&mut problem.line_text);
        }
        problem
    }
}

/// Reads and checks user-data in one go; whatever the bytes are, the answer is a value.
#[must_use]
pub fn any(bytes: &[u8]) -> Checked {
    sources(&[("user-data", bytes)], &Options::default())
}

/// Reads and checks several sources, each a name and its bytes; later ones win.
#[must_use]
pub fn sources(sources: &[(&str, &[u8])], options: &Options) -> Checked {
    let (mut parts, mut unreadable) = (Vec::new(), Vec::new());
    for (name, bytes) in sources {
        if bytes.len() > SMALL_USER_DATA_BYTES {
            let message = format!("this is {} bytes; several platforms store {SMALL_USER_DATA_BYTES}", bytes.len());
            let problem = Problem::new(Rule::UserDataSize, Place::start_of(name), message);
            unreadable.push(problem.with_hint("compress it with gzip, or fetch files with `url` in `write_files`"));
        }
        match document::read(name, bytes) {
            Ok(read) => parts.extend(read),
            Err(error) => unreadable.push(Problem::from(&error)),
        }
    }
    let mut checked = check(&parts, options);
    if unreadable.iter().any(|problem| problem.severity == Severity::Error) {
        checked.config = None;
        checked.scripts.clear();
    }
    checked.problems.splice(0..0, unreadable);
    checked
}
