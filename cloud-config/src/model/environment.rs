//! Sections whose keys become environment variables of a service: etcd, fleet, flannel, locksmith.

mod etcd;
mod fleet;

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use super::reader::Reader;
use super::schema::{Definitions, Key, SchemaOf, Shape};
use super::value::Secret;
use super::{Located, Rule, Value};
use crate::yaml::{Node, scalar};

pub use etcd::{Etcd2Keys, EtcdKeys};
pub use fleet::{FlannelKeys, FleetKeys, LocksmithKeys};

/// Settings of etcd, with the keys of version 0.4.
pub type Etcd = Environment<EtcdKeys>;
/// Settings of etcd, with the keys of version 2.
pub type Etcd2 = Environment<Etcd2Keys>;
/// Settings of fleet.
pub type Fleet = Environment<FleetKeys>;
/// Settings of flannel.
pub type Flannel = Environment<FlannelKeys>;
/// Settings of locksmith.
pub type Locksmith = Environment<LocksmithKeys>;

/// The keys of one section; also its name in documentation and schema.
pub trait Table: fmt::Debug + Clone + PartialEq + Eq + 'static {
    /// Name of the section.
    const NAME: &'static str;
    /// Its keys, in the order in which variables are written.
    const KEYS: &'static [Variable];
}

/// One key of such a section.
#[derive(Debug, PartialEq, Eq)]
pub struct Variable {
    /// The key, with underscores.
    pub key: &'static str,
    /// The variable it becomes.
    pub name: &'static str,
    /// What it takes.
    pub kind: Kind,
    /// What it is for.
    pub about: &'static str,
    /// What today's etcd does with it; always [`Fate::Kept`] outside the etcd sections.
    pub fate: Fate,
}

/// What the value of a key may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Any text.
    Text,
    /// A whole number.
    Int,
    /// A number.
    Float,
    /// Yes or no.
    Bool,
    /// Text that is never shown.
    Secret,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// A time of the week, such as `Thu 04:00`.
    WindowStart,
    /// A duration, such as `1h30m`.
    WindowLength,
}

/// What becomes of a key, since etcd is newer than the dialect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It still means the same.
    Kept,
    /// It is written in the way the program understands now; the text says how.
    Translated(&'static str),
    /// Nothing understands it any more; the text says why.
    Ignored(&'static str),
}

/// One setting, in the text form that goes into the variable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Setting {
    /// May be shown.
    Plain(String),
    /// Must not be shown.
    Secret(Secret),
}

impl Setting {
    /// The text that goes into the variable, secret or not.
    #[must_use]
    pub fn reveal(&self) -> &str {
        match self {
            Self::Plain(text) => text,
            Self::Secret(secret) => secret.reveal(),
        }
    }
}

/// The settings of one section that were written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Environment<T: Table> {
    /// By position in [`Table::KEYS`].
    values: BTreeMap<usize, Located<Setting>>,
    table: PhantomData<T>,
}

impl<T: Table> Default for Environment<T> {
    fn default() -> Self {
        Self { values: BTreeMap::new(), table: PhantomData }
    }
}

impl<T: Table> Environment<T> {
    /// What was written for `key` (with underscores).
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Located<Setting>> {
        let index = T::KEYS.iter().position(|variable| variable.key == key)?;
        self.values.get(&index)
    }

    /// Everything that was written, in the order of the table.
    pub fn variables(&self) -> impl Iterator<Item = (&'static Variable, &Located<Setting>)> {
        self.values.iter().map(|(index, setting)| (&T::KEYS[*index], setting))
    }

    /// Whether nothing was written.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }
}

impl<T: Table> Value for Environment<T> {
    const WANTED: &'static str = "a mapping";

    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let mut section = Self::default();
        for entry in reader.entries(node, Self::WANTED)? {
            let name = reader.normalised(&entry.key.text);
            let Some(index) = T::KEYS.iter().position(|variable| variable.key == name) else {
                reader.unknown_key(entry, Self::child_keys);
                continue;
            };
            if reader.is_absent(&entry.value) {
                reader.empty_value(entry);
            } else if let Some(setting) = read_setting(&T::KEYS[index], &entry.value, reader) {
                section.values.insert(index, Located::new(setting, reader.place(&entry.value.span)));
            }
        }
        Some(section)
    }

    fn merge(&mut self, later: Self) {
        self.values.extend(later.values);
    }

    fn schema(definitions: &mut Definitions) -> serde_json::Value {
        definitions.section(T::NAME, &Self::child_keys())
    }

    fn child_keys() -> Vec<Key> {
        T::KEYS.iter().map(key_of).collect()
    }
}

fn key_of(variable: &'static Variable) -> Key {
    let note = match variable.fate {
        Fate::Kept => None,
        Fate::Translated(how) | Fate::Ignored(how) => Some(how),
    };
    Key {
        name: variable.key,
        aliases: &[],
        about: variable.about.to_owned(),
        wanted: variable.kind.wanted(),
        required: false,
        note,
        shape: Shape::One,
        children: Vec::new,
        schema: SchemaOf::Ready(variable.kind.schema()),
    }
}

impl Kind {
    fn wanted(self) -> String {
        match self {
            Self::Text => String::WANTED.to_owned(),
            Self::Secret => Secret::WANTED.to_owned(),
            Self::Int => i64::WANTED.to_owned(),
            Self::Float => "a number".to_owned(),
            Self::Bool => bool::WANTED.to_owned(),
            Self::Choice(words) => format!("one of {}", words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")),
            Self::WindowStart => "a time of the week such as `Thu 04:00`".to_owned(),
            Self::WindowLength => "a duration such as `1h30m`".to_owned(),
        }
    }

    fn schema(self) -> serde_json::Value {
        match self {
            Self::Bool => super::schema::boolean(),
            Self::Int => super::schema::integer(),
            Self::Float => serde_json::json!({ "type": "number" }),
            Self::Choice(words) => super::schema::words(words),
            Self::Text | Self::Secret | Self::WindowStart | Self::WindowLength => super::schema::text(),
        }
    }
}

fn read_setting(variable: &Variable, node: &Node, reader: &mut Reader<'_>) -> Option<Setting> {
    let wanted = variable.kind.wanted();
    let text = match variable.kind {
        Kind::Bool => bool::read(node, reader)?.to_string(),
        Kind::Int => i64::read(node, reader)?.to_string(),
        Kind::Secret => return Secret::read(node, reader).map(Setting::Secret),
        Kind::Float => {
            let text = reader.plain_text(node, &wanted)?;
            let Some(number) = scalar::float(&text) else {
                reader.wrong_type(node, &wanted);
                return None;
            };
            scalar::go_float(number)
        }
        Kind::Text => reader.text(node, &wanted)?,
        Kind::Choice(words) => {
            let text = reader.text(node, &wanted)?;
            if !words.contains(&text.as_str()) {
                reader.invalid(node, Rule::InvalidValue, format!("`{}` takes {wanted}", variable.key), super::choices(&text, words));
                return None;
            }
            text
        }
        Kind::WindowStart | Kind::WindowLength => {
            let text = reader.text(node, &wanted)?;
            let good = if variable.kind == Kind::WindowStart { fleet::is_window_start(&text) } else { fleet::is_window_length(&text) };
            if !good {
                reader.invalid(node, Rule::InvalidValue, format!("`{}` takes {wanted}", variable.key), None);
                return None;
            }
            text
        }
    };
    Some(Setting::Plain(text))
}
