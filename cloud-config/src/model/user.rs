//! Accounts and groups.

use super::Located;
use super::section::section;
use super::value::{AbsolutePath, AccountName, GithubUser, ImportId, ImportUrl, Secret, SshKey, SudoRule};

section! {
    /// One account.
    pub struct User {
        /// Login name.
        name: Located<AccountName>,
        /// Password hash as `mkpasswd` prints it; without one the account has no password.
        passwd: Option<Located<Secret>> | "hashed_passwd" | "password_hash",
        /// SSH keys that may log in.
        ssh_authorized_keys: Vec<Located<SshKey>>,
        /// Whose public keys are fetched at each boot and may log in as well: `gh:USER` is a user of GitHub.
        ssh_import_id: Vec<Located<ImportId>>,
        /// A user of GitHub whose public keys may log in; older than `ssh_import_id`.
        coreos_ssh_import_github: Option<Located<GithubUser>>,
        /// Several users of GitHub; older than `ssh_import_id`.
        coreos_ssh_import_github_users: Vec<Located<GithubUser>>,
        /// An https address with public keys: a JSON array of objects with `key`, or lines as in `authorized_keys`.
        coreos_ssh_import_url: Option<Located<ImportUrl>>,
        /// Full name or purpose.
        gecos: Option<Located<String>>,
        /// User id; chosen by the system if missing.
        uid: Option<Located<u32>>,
        /// Home directory; `/home/NAME` if missing.
        homedir: Option<Located<AbsolutePath>> | "home_dir",
        /// Makes no home directory.
        no_create_home: Option<Located<bool>>,
        /// Main group; one of the user's own name if missing.
        primary_group: Option<Located<AccountName>>,
        /// Further groups.
        groups: Vec<Located<AccountName>>,
        /// Makes no group of the user's own name.
        no_user_group: Option<Located<bool>>,
        /// Makes a system account: low user id, no expiry.
        system: Option<Located<bool>>,
        /// Adds no entry to the login logs.
        no_log_init: Option<Located<bool>>,
        /// Login shell.
        shell: Option<Located<AbsolutePath>>,
        /// Rules for sudo, such as `ALL=(ALL) NOPASSWD:ALL`.
        sudo: Vec<Located<SudoRule>>,
    }
    merged by name;
    shorthand "`default`, which does nothing";
    ignored {
        "inactive": "the date after which a password expires is not set",
        "lock_passwd": "accounts have no password unless `passwd` gives a hash",
        "selinux_user": "the image has no SELinux",
    }
}

section! {
    /// One group. A plain name, or `NAME: [member, ...]`, says the same in short.
    pub struct Group {
        /// Name of the group.
        name: Located<AccountName>,
        /// Group id; chosen by the system if missing.
        gid: Option<Located<u32>>,
        /// Makes a system group: low group id.
        system: Option<Located<bool>>,
        /// Accounts that belong to it.
        members: Vec<Located<AccountName>>,
    }
    merged by name;
    shorthand "a name, or `NAME: [member, ...]`";
}
