//! Secrets that everybody can read who can read user-data, which on many platforms is every process.

use super::Lints;
use crate::check::Rule;
use crate::model::environment::{Environment, Setting, Table};
use crate::model::{Config, Place};

const HINT: &str = "user-data is readable for every process on many platforms; prefer a token that can be taken back";

pub(super) fn lint(config: &Config, lints: &mut Lints<'_>) {
    for user in &config.users {
        if let Some(passwd) = &user.passwd
            && !is_hash(passwd.reveal())
        {
            let message =
                format!("the password of `{}` is not a hash: nobody can log in with it, and everybody can read it", user.name.value);
            lints.add(Rule::PlainSecret, &passwd.place, message, "make a hash with `mkpasswd --method=yescrypt`");
        }
    }
    for file in &config.write_files {
        let private = file.decoded().ok().flatten().is_some_and(|bytes| contains(&bytes, b"PRIVATE KEY-----"));
        if let Some(content) = file.content.as_ref().filter(|_| private) {
            plain("a private key", &content.place, lints);
        }
    }
    for registry in config.docker.iter().flat_map(|docker| docker.registries.values()) {
        for secret in registry.password.iter().chain(&registry.auth) {
            plain("a password", &secret.place, lints);
        }
    }
    for address in config.proxy.iter().flat_map(|proxy| proxy.http.iter().chain(&proxy.https)) {
        if url::Url::parse(address).is_ok_and(|url| url.password().is_some()) {
            plain("a password", &address.place, lints);
        }
    }
    if let Some(coreos) = &config.coreos {
        coreos.fleet.iter().for_each(|section| settings(section, lints));
        coreos.flannel.iter().for_each(|section| settings(section, lints));
        coreos.locksmith.iter().for_each(|section| settings(section, lints));
    }
}

fn settings<T: Table>(section: &Environment<T>, lints: &mut Lints<'_>) {
    for (_, setting) in section.variables().filter(|(_, setting)| matches!(setting.value, Setting::Secret(_))) {
        plain("a password", &setting.place, lints);
    }
}

fn plain(what: &str, place: &Place, lints: &mut Lints<'_>) {
    lints.add(Rule::PlainSecret, place, format!("{what} stands here in plain text"), HINT);
}

/// Whether the text is what crypt makes, or one of the marks for "no password".
fn is_hash(text: &str) -> bool {
    let text = text.strip_prefix('!').unwrap_or(text);
    matches!(text, "" | "*" | "!" | "x") || (text.starts_with('$') && text.matches('$').count() >= 3 && !text.contains([':', '\n']))
}

fn contains(bytes: &[u8], needle: &[u8]) -> bool {
    bytes.windows(needle.len()).any(|window| window == needle)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_told_from_passwords() {
        for hash in ["$6$salt$abc", "$y$j9T$salt$hash", "!", "*", "!$6$salt$abc"] {
            assert!(is_hash(hash), "{hash}");
        }
        for plain in ["hunter2", "$money", "$6$x", "$6$salt$a:b"] {
            assert!(!is_hash(plain), "{plain}");
        }
    }
}
