//! Rules for sudo, in the few forms that are sure to be read as they were meant.
//!
//! sudo reads all its files as one. A line that it cannot read costs, depending on its version, this line or all of them, on a host
//! where nobody else may become root. So a rule is not looked at for mistakes; it has to be one of the forms below (`sudoers(5)`):
//!
//! ```text
//! rule     host = entry {, entry}
//! host     ALL, or a name in small letters
//! entry    [(users [: groups])] {TAG:} [!] command
//! users    name {, name}; each ALL, a user, or %group
//! groups   name {, name}; each ALL or a group
//! command  ALL, or an absolute path with arguments
//! ```

use crate::model::reader::Reader;
use crate::model::schema::{self, Definitions};
use crate::model::{Rule, Value};
use crate::yaml::{Node, scalar};

/// Longest rule, in bytes; sudo takes longer ones, people do not read them.
const MAX_RULE_BYTES: usize = 1024;
/// The tags that every sudo knows.
const TAGS: [&str; 6] = ["NOPASSWD", "PASSWD", "NOEXEC", "EXEC", "NOSETENV", "SETENV"];
/// Users that sudo would take for words of its own.
const SUDO_WORDS: [&str; 2] = ["sudoedit", "list"];
/// What may stand in commands besides letters and digits. `*` and `?` are wildcards; everything else means itself.
const PLAIN: &[u8] = b"/._-+@%~*?";
/// What may stand in commands behind a backslash, and means itself then.
const ESCAPED: &[u8] = b",:=";

/// One rule for sudo, without the name it is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SudoRule(String);

impl SudoRule {
    /// The rule.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The rule, if it has one of the known forms.
    ///
    /// # Errors
    /// With what sets it apart from them.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.len() > MAX_RULE_BYTES {
            return Err(format!("it has {} bytes, and {MAX_RULE_BYTES} are the most", text.len()));
        }
        if let Some(odd) = text.chars().find(|c| !matches!(c, ' '..='~')) {
            return Err(format!("`{}` is neither a space nor a printable ASCII character", odd.escape_debug()));
        }
        let mut rest = Rest(text.trim());
        rest.rule()?;
        Ok(Self(text.trim().to_owned()))
    }
}

/// Whether sudo takes `name` for a user at the beginning of a line. `ALL` would be everybody, `Defaults` a setting, other words in
/// capitals lists of users.
#[must_use]
pub fn is_sudo_user(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_') && !SUDO_WORDS.contains(&name)
}

fn is_in_small_letters(word: &str, begins: impl Fn(char) -> bool) -> bool {
    word.starts_with(begins) && !word.bytes().any(|byte| byte.is_ascii_uppercase())
}

/// What is left of a rule.
struct Rest<'a>(&'a str);

impl<'a> Rest<'a> {
    fn rule(&mut self) -> Result<(), String> {
        let host = self.word(|byte| byte.is_ascii_alphanumeric() || b".-".contains(&byte));
        if host != "ALL" && !is_in_small_letters(host, |c| c.is_ascii_lowercase()) {
            return Err("it does not begin with `ALL` or a host name in small letters".to_owned());
        }
        self.need('=', "behind the host")?;
        loop {
            self.entry()?;
            if self.0.is_empty() {
                return Ok(());
            }
            self.need(',', "between two commands")?;
        }
    }

    fn entry(&mut self) -> Result<(), String> {
        if self.take('(') {
            self.names(true)?;
            if self.take(':') {
                self.names(false)?;
            }
            self.need(')', "behind the users in parentheses")?;
        }
        while let Some(tag) = TAGS.into_iter().find(|tag| self.0.strip_prefix(tag).is_some_and(|rest| rest.trim_start().starts_with(':'))) {
            self.skip(tag.len());
            self.need(':', "behind a tag")?;
        }
        let _ = self.take('!');
        self.command()
    }

    /// Users, among whom `%` marks the members of a group; or groups, without it.
    fn names(&mut self, users: bool) -> Result<(), String> {
        loop {
            let group = users && self.0.starts_with('%');
            if group {
                self.0 = &self.0[1..];
            }
            let name = self.word(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte));
            let everybody = name == "ALL" && !group;
            let known = is_in_small_letters(name, |c| c.is_ascii_lowercase() || c == '_');
            if !everybody && !known {
                return Err(format!(
                    "`{name}` in parentheses, before `{}`, is not `ALL`, a user, `%` and a group, or behind the colon a group; in small letters",
                    self.0
                ));
            }
            if !self.take(',') {
                return Ok(());
            }
        }
    }

    /// `ALL` alone, or an absolute path and its arguments, which reach up to the next comma.
    fn command(&mut self) -> Result<(), String> {
        if self.0.starts_with("ALL") {
            self.skip("ALL".len());
            return if self.0.is_empty() || self.0.starts_with(',') { Ok(()) } else { Err(self.unexpected("behind `ALL`")) };
        }
        let path = self.argument();
        if !path.starts_with('/') {
            return Err(format!("`{path}{}` is not `ALL` or a command with an absolute path", self.0));
        }
        let has_arguments = !self.0.is_empty() && !self.0.starts_with(',');
        if path.ends_with('/') && has_arguments {
            return Err(format!("`{path}` is a folder, which takes no arguments"));
        }
        // No arguments at all, as sudoers(5) writes it.
        if self.0.starts_with("\"\"") {
            self.skip(2);
            return Ok(());
        }
        while !self.0.is_empty() && !self.0.starts_with(',') {
            if self.argument().is_empty() {
                return Err(self.unexpected("in a command"));
            }
        }
        Ok(())
    }

    fn argument(&mut self) -> &'a str {
        let bytes = self.0.as_bytes();
        let mut end = 0;
        while let Some(byte) = bytes.get(end) {
            let escaped = *byte == b'\\' && bytes.get(end + 1).is_some_and(|next| ESCAPED.contains(next));
            match escaped {
                true => end += 2,
                false if byte.is_ascii_alphanumeric() || PLAIN.contains(byte) => end += 1,
                false => break,
            }
        }
        self.split(end)
    }

    fn word(&mut self, fits: impl Fn(u8) -> bool) -> &'a str {
        let end = self.0.bytes().position(|byte| !fits(byte)).unwrap_or(self.0.len());
        self.split(end)
    }

    /// Takes the first `end` bytes and the spaces behind them; all bytes are ASCII.
    fn split(&mut self, end: usize) -> &'a str {
        let (word, rest) = self.0.split_at(end);
        self.0 = rest.trim_start();
        word
    }

    fn skip(&mut self, bytes: usize) {
        let _ = self.split(bytes);
    }

    fn take(&mut self, sign: char) -> bool {
        let found = self.0.starts_with(sign);
        if found {
            self.skip(sign.len_utf8());
        }
        found
    }

    fn need(&mut self, sign: char, place: &str) -> Result<(), String> {
        if self.take(sign) { Ok(()) } else { Err(format!("`{sign}` is missing {place}, before `{}`", self.0)) }
    }

    fn unexpected(&self, place: &str) -> String {
        format!("`{}` {place} is not understood", self.0)
    }
}

impl Value for SudoRule {
    const WANTED: &'static str = "a rule such as `ALL=(ALL) NOPASSWD:ALL`";

    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let text = reader.text(node, Self::WANTED)?;
        match Self::parse(&text) {
            Ok(rule) => Some(rule),
            Err(why) => {
                let hint = "write `ALL=(ALL) NOPASSWD:ALL`, `ALL=(ALL:ALL) ALL` or `ALL=(root) /usr/bin/a, /usr/bin/b`; one rule per entry";
                let message = format!("this is not a rule for sudo that is known to be safe: {why}");
                reader.invalid(node, Rule::SudoRule, message, Some(hint.to_owned()));
                None
            }
        }
    }

    /// One rule, or `false` for none, as cloud-init has it.
    fn read_as_list(node: &Node, reader: &mut Reader<'_>) -> Option<Vec<Self>> {
        let scalar = node.as_scalar()?;
        if scalar::boolean(scalar) == Some(false) {
            return Some(Vec::new());
        }
        Some(Self::read(node, reader).into_iter().collect())
    }

    fn schema(_: &mut Definitions) -> serde_json::Value {
        schema::text()
    }

    fn list_schema(definitions: &mut Definitions) -> serde_json::Value {
        serde_json::json!({ "anyOf": [schema::list(Self::schema(definitions)), { "type": ["string", "boolean"] }] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_that_people_write_are_known() {
        for good in [
            "ALL=(ALL) NOPASSWD:ALL",
            "ALL=(ALL:ALL) ALL",
            "ALL=ALL",
            " ALL = (root, %www-data : ops) NOPASSWD : SETENV: /usr/bin/a , PASSWD:/usr/bin/b ",
            "ALL=(root) /usr/bin/systemctl restart web-*.service, !/usr/bin/systemctl stop",
            "web1.internal=/usr/bin/docker",
            "ALL=/opt/tools/",
            r#"ALL=/usr/bin/id """#,
            r"ALL=/usr/bin/mount -o ro\,noexec\=1 /dev/vdb /mnt",
            "ALL=(_apt) !ALL",
        ] {
            assert_eq!(SudoRule::parse(good).map(|rule| rule.0), Ok(good.trim().to_owned()));
        }
    }

    #[test]
    fn everything_else_is_refused() {
        for bad in [
            "",
            "ALL",
            "ALL=",
            "=ALL",
            "ALL=(ALL NOPASSWD:ALL",
            "ALL=ALL) NOPASSWD:ALL",
            "ALL=((ALL)) ALL",
            "ALL=() ALL",
            "ALL=(ALL:) ALL",
            "ALL=(ALL,) ALL",
            "ALL=(ALL) NOPASWD:ALL",
            "ALL=(ALL) nopasswd:ALL",
            "ALL=(ALL) NOPASSWD ALL",
            "ALL=(ALL) NOPASSWD:",
            "ALL=(ALL) NOPASSWD:ALL,",
            "ALL=(ALL) ALL ALL",
            "ALL=(ALL) ALLOW",
            "ALL=(ALL) systemctl",
            "ALL=(ALL) ../bin/sh",
            "ALL=(ALL) /usr/bin/a : web=/usr/bin/b",
            "ALL=(ALL) /usr/bin/a # comment",
            "ALL=(ALL) /usr/bin/a \\",
            "ALL=(ALL) /usr/bin/mount -o x=y",
            "ALL=(ALL) /usr/bin/a \"b",
            "ALL=(ALL) /usr/bin/a \"\" b",
            "ALL=(ALL) /usr/bin/ a",
            "ALL=(ALL) !!/usr/bin/a",
            "ALL=(ALL) SHUTDOWN",
            "ALL=(OPS) ALL",
            "ALL=(%ALL) ALL",
            "ALL=(root:%ops) ALL",
            r"ALL=(ALL) /usr/bin/a\\b",
            "ALL=(#0) ALL",
            "ALL=(ALL) sudoedit /etc/a",
            "ALL=(ALL) CWD=/tmp ALL",
            "ALL=(ALL) sha256:00 /usr/bin/a",
            "ALL=(ALL) ^/usr/bin/.*$",
            "SERVERS=ALL",
            "web,db=ALL",
            "#include /etc/x",
            "@include /etc/x",
            "Defaults !authenticate",
            "ALL=ALL\nALL ALL=ALL",
            "ALL=ALL\r",
            "ALL=ALL\0",
            "ALL=\tALL",
            "ALL=(ädä) ALL",
            &format!("ALL=/{}", "a".repeat(MAX_RULE_BYTES)),
        ] {
            assert!(SudoRule::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn names_that_mean_something_to_sudo_are_no_users() {
        assert!(is_sudo_user("ada") && is_sudo_user("_apt") && is_sudo_user("a.b"));
        for name in ["ALL", "Defaults", "User_Alias", "Ada", "sudoedit", "list", "", "%a", "#0"] {
            assert!(!is_sudo_user(name), "{name}");
        }
    }

    proptest::proptest! {
        #[test]
        fn whatever_is_taken_is_one_printable_line(text in r"(ALL|=|\(|\)|:|,| |/a|NOPASSWD|!|\\|#|\n|%|x)*") {
            if let Ok(rule) = SudoRule::parse(&text) {
                let rule = rule.as_str();
                proptest::prop_assert!(!rule.contains('\n') && !rule.contains('#'));
                proptest::prop_assert_eq!(rule.matches('(').count(), rule.matches(')').count());
                proptest::prop_assert_eq!(SudoRule::parse(rule).map(|again| again.0), Ok(rule.to_owned()));
            }
        }
    }
}
