//! From bytes to a plan, and from a plan to a host: what `plan` and `apply` have in common.

use crate::apply::install::UNIT_FOLDERS;
use crate::apply::root::Root;
use crate::check::{self, ImageUnits, Problem, Severity};
use crate::environment;
use crate::metadata::Metadata;
use crate::plan::effect::Origin;
use crate::plan::path::HostPath;
use crate::plan::{Facts, Plan, Script, Wanted, plan};

/// What a run begins with.
#[derive(Debug, Default)]
pub struct Input {
    /// Documents, weakest first, each with the name problems are reported under.
    pub documents: Vec<(String, Vec<u8>)>,
    /// What the platform says.
    pub metadata: Metadata,
    /// Network files the platform describes.
    pub network_files: Vec<(String, String)>,
}

/// A plan, or what keeps it from being made; and everything else that was noticed.
#[derive(Debug)]
pub struct Prepared {
    /// Nothing when the document has errors.
    pub plan: Option<Plan>,
    /// Errors and warnings, in the order of the text.
    pub problems: Vec<Problem>,
}

/// Checks the documents and makes the plan.
#[must_use]
pub fn prepare(input: &Input, units: Option<ImageUnits>, lenient: bool) -> Prepared {
    let options = check::Options { lenient, metadata: Some(input.metadata.clone()), units: units.clone().unwrap_or_default() };
    let sources: Vec<(&str, &[u8])> = input.documents.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())).collect();
    let mut checked = check::sources(&sources, &options);
    let Some(config) = &checked.config else { return Prepared { plan: None, problems: checked.problems } };
    let scripts = checked
        .scripts
        .iter()
        .map(|script| Script { bytes: script.value.clone().into_bytes(), origin: Origin::from(&script.place) })
        .collect();
    let wanted = Wanted { config, scripts, network_files: input.network_files.clone() };
    match plan(&wanted, &input.metadata, &Facts { units }) {
        Ok(plan) => Prepared { plan: Some(plan), problems: checked.problems },
        Err(mut problems) => {
            checked.problems.append(&mut problems);
            Prepared { plan: None, problems: checked.problems }
        }
    }
}

impl Prepared {
    /// Whether there are errors.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.problems.iter().any(|problem| problem.severity == Severity::Error)
    }
}

/// The units a root has; nothing when there is no systemd in it.
#[must_use]
pub fn units_of(root: &Root) -> Option<ImageUnits> {
    let folders = UNIT_FOLDERS.iter().filter_map(|folder| HostPath::new(folder).ok());
    let names: Vec<String> = folders.filter_map(|folder| root.list(&folder).ok()).flatten().collect();
    let is_image = names.iter().any(|name| name == "multi-user.target");
    is_image.then(|| ImageUnits::from_names(names))
}

/// Takes addresses the platform does not name from the root's `/etc/environment`, where the host's owner may have written them, as on
/// CoreOS. A file that cannot be read says nothing.
pub fn fill_addresses(metadata: &mut Metadata, root: &Root) {
    let text = HostPath::new("/etc/environment").ok().and_then(|path| root.read(&path).ok().flatten());
    if let Some(text) = text {
        metadata.fill_from(environment::addresses(&String::from_utf8_lossy(&text)));
    }
}

/// What one-time things are counted by: the platform's instance id, else the machine's own id.
#[must_use]
pub fn instance(metadata: &Metadata, root: &Root) -> String {
    let machine = || {
        let bytes = root.read(&HostPath::new("/etc/machine-id").ok()?).ok()??;
        Some(String::from_utf8_lossy(&bytes).trim().to_owned()).filter(|id| !id.is_empty())
    };
    metadata.instance_id.clone().or_else(machine).unwrap_or_else(|| "unknown".to_owned())
}
