//! Files the document writes, and those whose content it implies.

use super::builder::Builder;
use super::content::{Content, Sha256Sum};
use super::effect::{Action, Mode, Origin, Owner};
use crate::model::file::WriteFile;
use crate::model::{Config, Located, Rule};

pub(super) fn write_files(builder: &mut Builder<'_>, config: &Config) {
    let deferred = |file: &&Located<WriteFile>| file.defer.as_ref().is_some_and(|defer| defer.value);
    for file in config.write_files.iter().filter(|file| !deferred(file)).chain(config.write_files.iter().filter(deferred)) {
        write_file(builder, file);
    }
}

fn write_file(builder: &mut Builder<'_>, file: &Located<WriteFile>) {
    let Some(path) = builder.path(&file.path.place, file.path.as_str()) else { return };
    let bits = file.permissions.as_ref().map_or(crate::model::value::Mode::DEFAULT, |mode| mode.value).bits();
    let owner = match &file.owner {
        Some(owner) => Owner { user: owner.user.clone(), group: owner.group.clone() },
        None => Owner::root(),
    };
    let content = match (file.decoded(), &file.url) {
        (Ok(Some(bytes)), _) => Content::for_mode(bytes, bits),
        (Ok(None), Some(url)) => {
            let sha256 = file.sha256.as_ref().and_then(|sum| Sha256Sum::parse(&sum.to_string()));
            if sha256.is_none() && url.as_url().scheme() != "https" {
                builder.problem(Rule::InvalidValue, &url.place, "a file from `http` needs its `sha256`");
                return;
            }
            Content::Remote { url: url.to_string(), sha256 }
        }
        (Ok(None), None) => Content::for_mode(Vec::new(), bits),
        (Err(error), _) => {
            let place = file.content.as_ref().map_or(&file.place, |content| &content.place);
            builder.problem(Rule::InvalidValue, place, error.to_string());
            return;
        }
    };
    let mode = Mode(bits);
    let action = if file.appends() { Action::Append { path, mode, owner, content } } else { Action::File { path, mode, owner, content } };
    builder.every_boot(&file.path.place, action);
}

/// The addresses the platform told, where programs of CoreOS look for them; unless the document writes that file itself.
pub(super) fn environment(builder: &mut Builder<'_>, config: &Config) {
    const ENVIRONMENT: &str = "/etc/environment";
    let metadata = builder.metadata;
    let known = [
        ("COREOS_PRIVATE_IPV4", metadata.private_ipv4.map(|address| address.to_string())),
        ("COREOS_PRIVATE_IPV6", metadata.private_ipv6.map(|address| address.to_string())),
        ("COREOS_PUBLIC_IPV4", metadata.public_ipv4.map(|address| address.to_string())),
        ("COREOS_PUBLIC_IPV6", metadata.public_ipv6.map(|address| address.to_string())),
    ];
    let values: Vec<_> = known.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))).collect();
    let written = config.write_files.iter().any(|file| file.path.as_str() == ENVIRONMENT && !file.appends());
    let Ok(path) = super::path::HostPath::new(ENVIRONMENT) else { return };
    if !values.is_empty() && !written {
        builder.every_boot(Origin::metadata(), Action::Assignments { path, base: None, values });
    }
}
