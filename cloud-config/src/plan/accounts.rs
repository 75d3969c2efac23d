//! Groups, users and the keys they log in with.

use super::builder::Builder;
use super::content::Secret;
use super::effect::{Action, AuthorizedKey, Mode, NewUser, Origin, Owner};
use super::path::HostPath;
use crate::model::value::GithubUser;
use crate::model::{Config, Rule};

/// Set of keys that come from a document.
const DOCUMENT: &str = "cloud-config";
/// Set of keys that come from the platform.
const PLATFORM: &str = "metadata";
/// Set of keys that come from the address of `coreos_ssh_import_url`.
const IMPORTED: &str = "cloud-config-import";
/// Most addresses that keys are fetched from; together they have one budget of time.
const MAX_IMPORTS: usize = 32;
/// Whom top-level keys and the platform's keys belong to.
const OPERATOR: &str = "core";
/// What `useradd --no-user-group` puts people into.
const COMMON_GROUP: &str = "users";
/// Login shell, and that of services.
const SHELL: &str = "/bin/bash";
const NO_SHELL: &str = "/usr/sbin/nologin";
/// A file of sudo's; it refuses wider ones.
const SUDOERS: u32 = 0o440;

pub(super) fn groups(builder: &mut Builder<'_>, config: &Config) {
    for group in &config.groups {
        let action = Action::Group {
            name: group.name.as_str().to_owned(),
            gid: group.gid.as_ref().map(|gid| gid.value),
            system: group.system.as_ref().is_some_and(|system| system.value),
            members: group.members.iter().map(|member| member.as_str().to_owned()).collect(),
        };
        builder.every_boot(&group.place, action);
    }
}

pub(super) fn users(builder: &mut Builder<'_>, config: &Config) {
    for user in &config.users {
        let name = user.name.as_str().to_owned();
        let yes = |flag: &Option<crate::model::Located<bool>>| flag.as_ref().is_some_and(|flag| flag.value);
        let home = match &user.homedir {
            Some(home) => builder.path(&home.place, home.as_str()),
            None => builder.path(&user.place, &format!("/home/{name}")),
        };
        let Some(home) = home else { continue };
        let primary_group = match &user.primary_group {
            Some(group) => group.as_str().to_owned(),
            None if yes(&user.no_user_group) => COMMON_GROUP.to_owned(),
            None => name.clone(),
        };
        let system = yes(&user.system);
        let new = NewUser {
            name: name.clone(),
            uid: user.uid.as_ref().map(|uid| uid.value),
            gecos: user.gecos.as_ref().map(|gecos| gecos.value.clone()).unwrap_or_default(),
            home,
            create_home: !yes(&user.no_create_home) && !system,
            primary_group,
            groups: user.groups.iter().map(|group| group.as_str().to_owned()).collect(),
            system,
            shell: user.shell.as_ref().map_or(if system { NO_SHELL } else { SHELL }, |shell| shell.as_str()).to_owned(),
        };
        builder.once(&user.place, Action::User(new));
        if let Some(hash) = &user.passwd {
            builder.every_boot(&hash.place, Action::Password { user: name.clone(), hash: Secret::new(hash.reveal()) });
        }
        if let Some(first) = user.sudo.first() {
            let rules: String = user.sudo.iter().map(|rule| format!("{name} {}\n", rule.as_str())).collect();
            // sudo passes over names with a dot.
            builder.file(&first.place, &format!("/etc/sudoers.d/90-cloud-config-{}", name.replace('.', "_")), SUDOERS, rules);
        }
    }
}

pub(super) fn keys(builder: &mut Builder<'_>, config: &Config) {
    metadata_keys(builder);
    let mut sets: Vec<(String, Origin, Vec<AuthorizedKey>)> = Vec::new();
    let top = config.ssh_authorized_keys.iter().map(|key| (OPERATOR, key));
    let users = config.users.iter().flat_map(|user| user.ssh_authorized_keys.iter().map(|key| (user.name.as_str(), key)));
    for (user, key) in top.chain(users) {
        let line = AuthorizedKey(key.as_str().to_owned());
        match sets.iter_mut().find(|(name, ..)| name == user) {
            Some((.., keys)) if keys.contains(&line) => {}
            Some((.., keys)) => keys.push(line),
            None => sets.push((user.to_owned(), (&key.place).into(), vec![line])),
        }
    }
    for (user, origin, keys) in sets {
        builder.every_boot(origin, Action::SshKeys { user, set: DOCUMENT.to_owned(), keys });
    }
}

/// Keys from other sites. Last of all: nothing of the document waits for them, and by then the network is what the document says.
pub(super) fn imports(builder: &mut Builder<'_>, config: &Config) {
    let mut known: Vec<(&str, String)> = Vec::new();
    for user in &config.users {
        let ids = user.ssh_import_id.iter().map(|id| (&id.place, github_set(id.user()), id.user().keys_as_lines()));
        let github = user.coreos_ssh_import_github.iter().chain(&user.coreos_ssh_import_github_users);
        let github = github.map(|name| (&name.place, github_set(name), name.keys_as_json()));
        let url = user.coreos_ssh_import_url.iter().map(|url| (&url.place, IMPORTED.to_owned(), url.to_string()));
        for (place, set, url) in ids.chain(github).chain(url) {
            let key = (user.name.as_str(), set.clone());
            if known.contains(&key) {
                continue;
            }
            known.push(key);
            if known.len() > MAX_IMPORTS {
                builder.problem(Rule::TooLarge, place, format!("keys are fetched from at most {MAX_IMPORTS} addresses"));
                return;
            }
            builder.every_boot(place, Action::ImportKeys { user: user.name.as_str().to_owned(), set, url });
        }
    }
}

/// The set of keys of one user of GitHub, under the name CoreOS gave it; GitHub does not tell capitals from small letters.
fn github_set(user: &GithubUser) -> String {
    format!("github-{}", user.as_str().to_ascii_lowercase())
}

pub(super) fn metadata_keys(builder: &mut Builder<'_>) {
    let usable = |key: &&String| !key.trim().is_empty() && !key.trim().contains(['\n', '\r', '\0']);
    let keys: Vec<_> =
        builder.metadata.ssh_authorized_keys.values().filter(usable).map(|key| AuthorizedKey(key.trim().to_owned())).collect();
    if !keys.is_empty() {
        builder.every_boot(Origin::metadata(), Action::SshKeys { user: OPERATOR.to_owned(), set: PLATFORM.to_owned(), keys });
    }
}

/// Makes a folder that a file of root's needs, where nobody else should look into it.
pub(super) fn private_folder(builder: &mut Builder<'_>, origin: Origin, path: &HostPath) {
    builder.every_boot(origin, Action::Directory { path: path.clone(), mode: Mode(0o700), owner: Owner::root() });
}
