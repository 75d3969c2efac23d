//! One account: who may become root, and whose keys are fetched.

use super::Lints;
use crate::check::Rule;
use crate::model::user::User;
use crate::model::value::is_sudo_user;

pub(super) fn lint(user: &User, lints: &mut Lints<'_>) {
    if let Some(rule) = user.sudo.first().filter(|_| !is_sudo_user(user.name.as_str())) {
        let message = format!("sudo would not take `{}` for a user", user.name.as_str());
        lints.add(Rule::SudoRule, &rule.place, message, "choose a name that begins with a small letter");
    }
    let old = user.coreos_ssh_import_github.iter().chain(&user.coreos_ssh_import_github_users);
    for github in old {
        let message = "keys of users of GitHub have a newer key";
        let hint = format!("write `ssh_import_id: [gh:{}]`", github.as_str());
        lints.add(Rule::DeprecatedKey, &github.place, message, &hint);
    }
}
