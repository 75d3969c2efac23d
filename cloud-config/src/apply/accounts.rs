//! Users and groups as the four tables of `passwd(5)` and its siblings, edited as text.
//!
//! Pure: nothing here reads or writes a file, so the same code serves an empty root and a running host. Lines that cannot be read
//! stay as they are.

use std::ops::RangeInclusive;

use crate::plan::effect::NewUser;

/// Ids for people, as `login.defs` of the base system has them.
const PEOPLE: RangeInclusive<u32> = 1000..=59_999;
/// Ids for services; given out from the top, away from those the image pins at the bottom.
const SERVICES: RangeInclusive<u32> = 100..=999;
/// Longest name; what `utmp(5)` can hold.
const NAME_LIMIT: usize = 32;
/// No password will ever match, but keys work: `!` would make sshd call the account locked.
const NO_PASSWORD: &str = "*";

/// What cannot be done to the tables.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AccountError {
    /// A name that would break the tables, or surprise other programs.
    #[error("{0:?} is no name for an account: use up to {NAME_LIMIT} of a-z, 0-9, `_`, `-`, `.`, not starting with a digit, `-` or `.`")]
    Name(String),
    /// A field with a separator in it.
    #[error("{field} of {name} contains `:` or a line break")]
    Field {
        /// Which field.
        field: &'static str,
        /// Of which account.
        name: String,
    },
    /// The id has another owner.
    #[error("the id {id} wanted for {name} belongs to {owner} already")]
    IdTaken {
        /// The id.
        id: u32,
        /// Who wants it.
        name: String,
        /// Who has it.
        owner: String,
    },
    /// There is one of that name with another id.
    #[error("the group {name} exists with the id {found}, not {wanted}")]
    OtherId {
        /// The group.
        name: String,
        /// Its id.
        found: u32,
        /// The id asked for.
        wanted: u32,
    },
    /// A group that nobody made.
    #[error("there is no group {0}; add it under `groups`")]
    NoGroup(String),
    /// A user that nobody made.
    #[error("there is no user {0}; add it under `users`")]
    NoUser(String),
    /// All ids are in use.
    #[error("no id is left for {0}")]
    Full(String),
}

/// The tables.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Accounts {
    /// `/etc/passwd`.
    pub passwd: String,
    /// `/etc/shadow`.
    pub shadow: String,
    /// `/etc/group`.
    pub group: String,
    /// `/etc/gshadow`.
    pub gshadow: String,
    /// The id of a user that is being made and is in no table yet.
    pub reserved: Option<u32>,
}

/// What others need to know of a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// User id.
    pub uid: u32,
    /// Id of the primary group.
    pub gid: u32,
    /// Home directory.
    pub home: String,
}

impl Accounts {
    /// Looks a user up.
    #[must_use]
    pub fn user(&self, name: &str) -> Option<User> {
        let line = find(&self.passwd, name)?;
        let fields: Vec<&str> = line.split(':').collect();
        Some(User { uid: fields.get(2)?.parse().ok()?, gid: fields.get(3)?.parse().ok()?, home: (*fields.get(5)?).to_owned() })
    }

    /// The id of a group.
    #[must_use]
    pub fn group_id(&self, name: &str) -> Option<u32> {
        find(&self.group, name)?.split(':').nth(2)?.parse().ok()
    }

    /// The primary group of whoever has this user id.
    #[must_use]
    pub fn group_of_uid(&self, uid: u32) -> Option<u32> {
        rows(&self.passwd).find(|row| row.get(2) == Some(&uid.to_string().as_str()))?.get(3)?.parse().ok()
    }

    /// Sees that a group exists and has these members besides those it has.
    pub fn ensure_group(&mut self, name: &str, gid: Option<u32>, system: bool, members: &[String]) -> Result<(), AccountError> {
        check_name(name)?;
        match (self.group_id(name), gid) {
            (Some(found), Some(wanted)) if found != wanted => {
                return Err(AccountError::OtherId { name: name.to_owned(), found, wanted });
            }
            (Some(_), _) => {}
            (None, wanted) => {
                let gid = self.free_gid(name, wanted, system)?;
                append(&mut self.group, &format!("{name}:x:{gid}:"));
                append(&mut self.gshadow, &format!("{name}:!::"));
            }
        }
        for member in members {
            self.join(name, member)?;
        }
        Ok(())
    }

    /// Makes an account; there must be none of that name.
    pub fn add_user(&mut self, new: &NewUser) -> Result<User, AccountError> {
        check_name(&new.name)?;
        for (field, text) in [("gecos", new.gecos.as_str()), ("shell", &new.shell), ("homedir", new.home.as_str())] {
            if text.contains([':', '\n', '\r', '\0']) {
                return Err(AccountError::Field { field, name: new.name.clone() });
            }
        }
        let uid = self.free_uid(new)?;
        self.reserved = Some(uid);
        let gid = match self.group_id(&new.primary_group) {
            Some(gid) => gid,
            None if new.primary_group == new.name => {
                let same = rows(&self.group).all(|row| row.get(2) != Some(&uid.to_string().as_str()));
                self.ensure_group(&new.name, same.then_some(uid), new.system, &[])?;
                self.group_id(&new.name).ok_or_else(|| AccountError::NoGroup(new.name.clone()))?
            }
            None => {
                self.ensure_group(&new.primary_group, None, new.system, &[])?;
                self.group_id(&new.primary_group).ok_or_else(|| AccountError::NoGroup(new.primary_group.clone()))?
            }
        };
        // Groups that nobody described are made as well: a user of a group that is missing is not what was asked for.
        for group in &new.groups {
            self.ensure_group(group, None, new.system, std::slice::from_ref(&new.name))?;
        }
        append(&mut self.passwd, &format!("{}:x:{uid}:{gid}:{}:{}:{}", new.name, new.gecos, new.home, new.shell));
        self.reserved = None;
        // Without a date of the last change no ageing applies, and the tables do not depend on the day they were made.
        append(&mut self.shadow, &format!("{}:{NO_PASSWORD}::0:99999:7:::", new.name));
        Ok(User { uid, gid, home: new.home.to_string() })
    }

    /// Sets a password hash.
    pub fn set_password(&mut self, user: &str, hash: &str) -> Result<(), AccountError> {
        if self.user(user).is_none() {
            return Err(AccountError::NoUser(user.to_owned()));
        }
        if hash.contains([':', '\n', '\r', '\0']) {
            return Err(AccountError::Field { field: "passwd", name: user.to_owned() });
        }
        if find(&self.shadow, user).is_none() {
            append(&mut self.shadow, &format!("{user}:{NO_PASSWORD}::0:99999:7:::"));
        }
        edit(&mut self.shadow, user, |fields| {
            if let Some(field) = fields.get_mut(1) {
                hash.clone_into(field);
            }
        });
        Ok(())
    }

    fn join(&mut self, group: &str, member: &str) -> Result<(), AccountError> {
        check_name(member)?;
        for table in [&mut self.group, &mut self.gshadow] {
            edit(table, group, |fields| {
                if let Some(members) = fields.get_mut(3)
                    && !members.split(',').any(|known| known == member)
                {
                    let comma = if members.is_empty() { "" } else { "," };
                    members.push_str(&format!("{comma}{member}"));
                }
            });
        }
        Ok(())
    }

    fn free_uid(&self, new: &NewUser) -> Result<u32, AccountError> {
        let owner = |id: u32| rows(&self.passwd).find(|row| row.get(2) == Some(&id.to_string().as_str())).map(|row| row[0].to_owned());
        if let Some(wanted) = new.uid {
            return match owner(wanted) {
                Some(owner) => Err(AccountError::IdTaken { id: wanted, name: new.name.clone(), owner }),
                None => Ok(wanted),
            };
        }
        let taken = self.taken();
        free(new.system, |id| !taken.contains(&id)).ok_or_else(|| AccountError::Full(new.name.clone()))
    }

    fn free_gid(&self, name: &str, wanted: Option<u32>, system: bool) -> Result<u32, AccountError> {
        if let Some(wanted) = wanted {
            let owner = rows(&self.group).find(|row| row.get(2) == Some(&wanted.to_string().as_str())).map(|row| row[0].to_owned());
            return match owner {
                Some(owner) => Err(AccountError::IdTaken { id: wanted, name: name.to_owned(), owner }),
                None => Ok(wanted),
            };
        }
        let mut taken = self.taken();
        taken.extend(self.reserved);
        free(system, |id| !taken.contains(&id)).ok_or_else(|| AccountError::Full(name.to_owned()))
    }

    /// Ids in use by users or groups: one number means one owner, on both sides.
    fn taken(&self) -> std::collections::BTreeSet<u32> {
        rows(&self.passwd).chain(rows(&self.group)).filter_map(|row| row.get(2)?.parse().ok()).collect()
    }
}

fn free(system: bool, is_free: impl Fn(u32) -> bool) -> Option<u32> {
    if system { SERVICES.rev().find(|id| is_free(*id)) } else { PEOPLE.into_iter().find(|id| is_free(*id)) }
}

/// Checks a name for a user or a group.
pub fn check_name(name: &str) -> Result<(), AccountError> {
    let first = name.chars().next().is_some_and(|c| c.is_ascii_lowercase() || c == '_');
    let rest = name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "_-.".contains(c));
    if first && rest && name.len() <= NAME_LIMIT { Ok(()) } else { Err(AccountError::Name(name.to_owned())) }
}

fn rows(table: &str) -> impl Iterator<Item = Vec<&str>> {
    table.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).map(|line| line.split(':').collect())
}

fn find<'a>(table: &'a str, name: &str) -> Option<&'a str> {
    table.lines().find(|line| line.split_once(':').is_some_and(|(first, _)| first == name))
}

fn append(table: &mut String, line: &str) {
    if !table.is_empty() && !table.ends_with('\n') {
        table.push('\n');
    }
    table.push_str(line);
    table.push('\n');
}

fn edit(table: &mut String, name: &str, change: impl FnOnce(&mut Vec<String>)) {
    let Some(line) = find(table, name) else { return };
    let mut fields: Vec<String> = line.split(':').map(str::to_owned).collect();
    change(&mut fields);
    let new = fields.join(":");
    let at = line.as_ptr() as usize - table.as_ptr() as usize;
    let end = at + line.len();
    table.replace_range(at..end, &new);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::path::HostPath;

    fn image() -> Accounts {
        Accounts {
            passwd: "root:x:0:0:root:/root:/bin/bash\n# local\ncore:x:1000:1000::/home/core:/bin/bash\n".to_owned(),
            shadow: "root:*:1::::::\ncore:*:1::::::\n".to_owned(),
            group: "root:x:0:\nsudo:x:27:core\ndocker:x:233:\ncore:x:1000:\n".to_owned(),
            gshadow: "root:*::\nsudo:*::core\ndocker:!::\ncore:!::\n".to_owned(),
            reserved: None,
        }
    }

    fn user(name: &str) -> NewUser {
        NewUser {
            name: name.to_owned(),
            uid: None,
            gecos: String::new(),
            home: HostPath::new(&format!("/home/{name}")).unwrap_or_else(|_| HostPath::new("/home/x").unwrap()),
            create_home: true,
            primary_group: name.to_owned(),
            groups: Vec::new(),
            system: false,
            shell: "/bin/bash".to_owned(),
        }
    }

    #[test]
    fn a_user_gets_the_next_free_id_and_a_group_of_the_same_number() {
        let mut accounts = image();
        let made = accounts.add_user(&NewUser { groups: vec!["sudo".to_owned(), "docker".to_owned()], ..user("ada") }).unwrap();
        assert_eq!((made.uid, made.gid), (1001, 1001));
        assert!(accounts.passwd.ends_with("ada:x:1001:1001::/home/ada:/bin/bash\n"));
        assert!(accounts.shadow.ends_with("ada:*::0:99999:7:::\n"), "no password until one is set");
        assert_eq!(accounts.group, "root:x:0:\nsudo:x:27:core,ada\ndocker:x:233:ada\ncore:x:1000:\nada:x:1001:\n");
        assert_eq!(accounts.gshadow, "root:*::\nsudo:*::core,ada\ndocker:!::ada\ncore:!::\nada:!::\n");
        assert!(accounts.passwd.contains("# local\n"), "what is not ours stays");
    }

    #[test]
    fn services_count_down_from_the_top() {
        let mut accounts = image();
        let new = NewUser { system: true, ..user("metrics") };
        assert_eq!(accounts.add_user(&new).unwrap().uid, 999);
    }

    #[test]
    fn groups_are_made_once_and_gain_members_once() {
        let mut accounts = image();
        accounts.ensure_group("ops", Some(4000), false, &["core".to_owned()]).unwrap();
        let once = accounts.clone();
        accounts.ensure_group("ops", Some(4000), false, &["core".to_owned()]).unwrap();
        assert_eq!(accounts, once);
        assert!(once.group.ends_with("ops:x:4000:core\n"));
        assert!(matches!(accounts.ensure_group("ops", Some(5), false, &[]), Err(AccountError::OtherId { found: 4000, .. })));
        assert!(matches!(accounts.ensure_group("dev", Some(27), false, &[]), Err(AccountError::IdTaken { .. })));
    }

    #[test]
    fn a_password_replaces_the_old_one_and_nothing_else() {
        let mut accounts = image();
        accounts.set_password("core", "$6$a$b").unwrap();
        assert_eq!(accounts.shadow, "root:*:1::::::\ncore:$6$a$b:1::::::\n");
        assert_eq!(accounts.set_password("ada", "$6$a$b"), Err(AccountError::NoUser("ada".to_owned())));
        for hash in ["a:b", "a\nroot::0:0"] {
            assert!(matches!(accounts.set_password("core", hash), Err(AccountError::Field { .. })), "{hash:?}");
        }
    }

    #[test]
    fn refuses_what_would_break_the_tables() {
        for name in ["", "0day", "-x", "a:b", "a b", "Ada", "a\nb", ".x", &"x".repeat(33)] {
            assert!(image().add_user(&user(name)).is_err(), "{name:?}");
            assert!(image().ensure_group(name, None, false, &[]).is_err(), "{name:?}");
            assert!(image().ensure_group("sudo", None, false, &[name.to_owned()]).is_err(), "{name:?}");
        }
        for gecos in ["a:b", "a\nroot2::0:0::/:/bin/sh"] {
            assert!(matches!(image().add_user(&NewUser { gecos: gecos.to_owned(), ..user("ada") }), Err(AccountError::Field { .. })));
        }
        assert!(matches!(image().add_user(&NewUser { uid: Some(0), ..user("ada") }), Err(AccountError::IdTaken { .. })));
    }

    #[test]
    fn groups_that_are_missing_are_made() {
        let mut accounts = image();
        let new = NewUser { groups: vec!["ops".to_owned()], primary_group: "users".to_owned(), ..user("ada") };
        accounts.add_user(&new).unwrap();
        assert!(accounts.group.ends_with("users:x:1002:\nops:x:1003:ada\n"), "{}", accounts.group);
        assert!(accounts.passwd.ends_with("ada:x:1001:1002::/home/ada:/bin/bash\n"), "{}", accounts.passwd);
    }

    #[test]
    fn works_on_nothing_at_all() {
        let mut accounts = Accounts::default();
        assert_eq!(accounts.add_user(&user("ada")).unwrap().uid, 1000);
        assert_eq!(accounts.passwd, "ada:x:1000:1000::/home/ada:/bin/bash\n");
    }
}
