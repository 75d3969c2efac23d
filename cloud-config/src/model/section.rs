//! One declaration per key: [`section!`] makes the struct, its parser, its JSON schema and its documentation of one list.

use std::collections::BTreeMap;

use super::reader::Reader;
use super::schema::{Definitions, Key, Shape};
use super::{Located, Place, Value};
use crate::yaml::{Entry, Kind, Node};

/// How a field of a section takes what was written for its key.
///
/// The shape is the Rust type: `Option<Located<T>>` may be missing, `Located<T>` may not, `Vec` is a list, `BTreeMap` a mapping
/// whose keys are the user's.
pub trait Field: Sized {
    /// What has been read so far.
    type Cell: Default;
    /// Whether the section means nothing without it.
    const REQUIRED: bool;

    /// Takes the value of an entry.
    fn read(cell: &mut Self::Cell, entry: &Entry, reader: &mut Reader<'_>);
    /// What the field holds; `None` if it is required and was not there, or was wrong.
    fn finish(cell: Self::Cell) -> Option<Self>;
    /// Takes over what a later document says.
    fn merge(&mut self, later: Self);
    /// Whether it is one value, a list or a mapping.
    fn shape() -> Shape;
    /// What the documentation says it takes.
    fn wanted() -> String;
    /// JSON schema of the field.
    fn schema(definitions: &mut Definitions) -> serde_json::Value;
    /// The keys below it, if it is a section.
    fn child_keys() -> Vec<Key>;
}

fn read_located<T: Value>(node: &Node, reader: &mut Reader<'_>) -> Option<Located<T>> {
    let value = T::read(node, reader)?;
    Some(Located::new(value, reader.place(&node.span)))
}

impl<T: Value> Field for Option<Located<T>> {
    type Cell = Self;
    const REQUIRED: bool = false;

    fn read(cell: &mut Self, entry: &Entry, reader: &mut Reader<'_>) {
        *cell = read_located(&entry.value, reader);
    }

    fn finish(cell: Self) -> Option<Self> {
        Some(cell)
    }

    fn merge(&mut self, later: Self) {
        match (self.as_mut(), later) {
            (_, None) => {}
            (Some(own), Some(later)) => {
                own.value.merge(later.value);
                own.place = later.place;
            }
            (None, later) => *self = later,
        }
    }

    fn shape() -> Shape {
        Shape::One
    }

    fn wanted() -> String {
        T::wanted()
    }

    fn schema(definitions: &mut Definitions) -> serde_json::Value {
        T::schema(definitions)
    }

    fn child_keys() -> Vec<Key> {
        T::child_keys()
    }
}

impl<T: Value> Field for Located<T> {
    type Cell = Option<Self>;
    const REQUIRED: bool = true;

    fn read(cell: &mut Option<Self>, entry: &Entry, reader: &mut Reader<'_>) {
        *cell = read_located(&entry.value, reader);
    }

    fn finish(cell: Option<Self>) -> Option<Self> {
        cell
    }

    fn merge(&mut self, later: Self) {
        self.value.merge(later.value);
        self.place = later.place;
    }

    fn shape() -> Shape {
        Shape::One
    }

    fn wanted() -> String {
        T::wanted()
    }

    fn schema(definitions: &mut Definitions) -> serde_json::Value {
        T::schema(definitions)
    }

    fn child_keys() -> Vec<Key> {
        T::child_keys()
    }
}

impl<T: Value> Field for Vec<Located<T>> {
    type Cell = List<T>;
    const REQUIRED: bool = false;

    fn read(cell: &mut List<T>, entry: &Entry, reader: &mut Reader<'_>) {
        let items: Vec<Located<T>> = match &entry.value.kind {
            Kind::Sequence(items) => items
                .iter()
                .filter_map(|item| {
                    if reader.is_absent(item) {
                        reader.empty_item(item);
                        return None;
                    }
                    read_located(item, reader)
                })
                .collect(),
            _ => match T::read_as_list(&entry.value, reader) {
                Some(values) => values.into_iter().map(|value| Located::new(value, reader.place(&entry.value.span))).collect(),
                None => {
                    reader.wrong_type(&entry.value, &Self::wanted());
                    return;
                }
            },
        };
        for item in items {
            if let Some(twice) = cell.add(item) {
                reader.duplicate_entry(&twice.name, &twice.second, &twice.first);
            }
        }
    }

    fn finish(cell: List<T>) -> Option<Self> {
        Some(cell.items)
    }

    fn merge(&mut self, later: Self) {
        let mut list = List::default();
        for item in std::mem::take(self).into_iter().chain(later) {
            list.add(item);
        }
        *self = list.items;
    }

    fn shape() -> Shape {
        Shape::List
    }

    fn wanted() -> String {
        format!("a list, each {}", T::wanted())
    }

    fn schema(definitions: &mut Definitions) -> serde_json::Value {
        T::list_schema(definitions)
    }

    fn child_keys() -> Vec<Key> {
        T::child_keys()
    }
}

/// A list in the making, which knows where the entries of each name are.
#[derive(Debug)]
pub struct List<T> {
    items: Vec<Located<T>>,
    index: BTreeMap<String, usize>,
}

impl<T> Default for List<T> {
    fn default() -> Self {
        Self { items: Vec::new(), index: BTreeMap::new() }
    }
}

/// An entry that is there twice.
struct Twice {
    name: String,
    first: Place,
    second: Place,
}

impl<T: Value> List<T> {
    /// Adds an entry; one of the same name is merged with the one that is there.
    fn add(&mut self, item: Located<T>) -> Option<Twice> {
        let Some(name) = item.identity() else {
            self.items.push(item);
            return None;
        };
        let Some(own) = self.index.get(&name).and_then(|at| self.items.get_mut(*at)) else {
            self.index.insert(name, self.items.len());
            self.items.push(item);
            return None;
        };
        let first = std::mem::replace(&mut own.place, item.place.clone());
        own.value.merge(item.value);
        Some(Twice { name, first, second: item.place })
    }
}

impl<T: Value> Field for BTreeMap<String, Located<T>> {
    type Cell = Self;
    const REQUIRED: bool = false;

    fn read(cell: &mut Self, entry: &Entry, reader: &mut Reader<'_>) {
        for child in reader.entries(&entry.value, &Self::wanted()).unwrap_or_default() {
            if reader.is_absent(&child.value) && !T::NULL_IS_A_VALUE {
                reader.empty_value(child);
            } else if let Some(value) = read_located(&child.value, reader) {
                cell.insert(child.key.text.clone(), value);
            }
        }
    }

    fn finish(cell: Self) -> Option<Self> {
        Some(cell)
    }

    fn merge(&mut self, later: Self) {
        for (key, value) in later {
            match self.get_mut(&key) {
                Some(own) => {
                    own.value.merge(value.value);
                    own.place = value.place;
                }
                None => {
                    self.insert(key, value);
                }
            }
        }
    }

    fn shape() -> Shape {
        Shape::Map
    }

    fn wanted() -> String {
        format!("a mapping from name to {}", T::wanted())
    }

    fn schema(definitions: &mut Definitions) -> serde_json::Value {
        serde_json::json!({ "type": ["object", "null"], "additionalProperties": T::schema(definitions) })
    }

    fn child_keys() -> Vec<Key> {
        T::child_keys()
    }
}

/// A short way to write a whole section, such as a plain name.
pub(super) trait Short: Sized {
    /// `None` if `node` is not written the short way; `Some(None)` if it is, and wrong.
    fn read_short(node: &Node, reader: &mut Reader<'_>) -> Option<Option<Self>>;
    /// JSON schema of the short way.
    fn short_schema() -> serde_json::Value;
}

/// Declares a section of the configuration.
///
/// Each field is the key of the same name, written with underscores or hyphens; its documentation is the user's
/// documentation; `| "alias"` is another name users know it by. What may follow the struct:
///
/// - `merged by FIELD;` entries of a list with the same name are one entry, merged key by key.
/// - `replaced by METHOD;` entries for which the method gives the same name take each other's place.
/// - `shorthand;` the type is [`Short`] as well.
/// - `ignored { "key": "why", }` keys that are understood and do nothing.
macro_rules! section {
    (@given) => {
        false
    };
    (@given $option:ident) => {
        true
    };
    (
        $(#[doc = $about:literal])+
        pub struct $name:ident {
            $( $(#[doc = $doc:literal])+ $field:ident : $type:ty $(| $alias:literal)*, )*
        }
        $(merged by $key:ident;)?
        $(replaced by $replaces:ident;)?
        $(shorthand $short:literal;)?
        $(ignored { $($ignored:literal : $why:literal,)* })?
    ) => {
        $(#[doc = $about])+
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub struct $name {
            $( $(#[doc = $doc])+ pub $field: $type, )*
        }

        impl $crate::model::Value for $name {
            const WANTED: &'static str = "a mapping";

            fn read(node: &$crate::yaml::Node, reader: &mut $crate::model::reader::Reader<'_>) -> Option<Self> {
                use $crate::model::section::Field;
                $(
                    let _ = $short;
                    if let Some(read) = <Self as $crate::model::section::Short>::read_short(node, reader) {
                        return read;
                    }
                )?
                $( let mut $field = <<$type as Field>::Cell as Default>::default(); )*
                let mut seen = $crate::model::reader::Seen::default();
                for entry in reader.entries(node, <Self as $crate::model::Value>::WANTED)? {
                    match reader.normalised(&entry.key.text).as_str() {
                        $( stringify!($field) $(| $alias)* => {
                            if seen.first(stringify!($field), entry, reader) {
                                <$type as Field>::read(&mut $field, entry, reader);
                            }
                        } )*
                        $( $( $ignored => reader.ignored_key(entry, $why), )* )?
                        _ => reader.unknown_key(entry, <Self as $crate::model::Value>::child_keys),
                    }
                }
                $(
                    if <$type as Field>::REQUIRED {
                        seen.require(stringify!($field), node, reader);
                    }
                )*
                Some(Self { $( $field: <$type as Field>::finish($field)?, )* })
            }

            $(
                fn identity(&self) -> Option<String> {
                    Some(AsRef::<str>::as_ref(&self.$key.value).to_owned())
                }
            )?
            $(
                fn identity(&self) -> Option<String> {
                    self.$replaces()
                }
            )?

            fn merge(&mut self, later: Self) {
                if section!(@given $($replaces)?) {
                    *self = later;
                } else {
                    $( $crate::model::section::Field::merge(&mut self.$field, later.$field); )*
                }
            }

            fn schema(definitions: &mut $crate::model::schema::Definitions) -> serde_json::Value {
                let long = definitions.section(stringify!($name), &<Self as $crate::model::Value>::child_keys());
                $(
                    let _ = $short;
                    let short = <Self as $crate::model::section::Short>::short_schema();
                    let long = serde_json::json!({ "anyOf": [short, long] });
                )?
                long
            }

            fn child_keys() -> Vec<$crate::model::schema::Key> {
                use $crate::model::schema::{Key, SchemaOf};
                use $crate::model::section::Field;
                vec![
                    $( Key {
                        name: stringify!($field),
                        aliases: &[$($alias),*],
                        about: concat!($($doc),+).trim().to_owned(),
                        wanted: <$type as Field>::wanted(),
                        required: <$type as Field>::REQUIRED,
                        note: None,
                        shape: <$type as Field>::shape(),
                        children: <$type as Field>::child_keys,
                        schema: SchemaOf::Made(<$type as Field>::schema),
                    }, )*
                    $( $( Key::ignored($ignored, $why), )* )?
                ]
            }

            $(
                fn wanted() -> String {
                    concat!("a mapping, or ", $short).to_owned()
                }
            )?
        }
    };
}
pub(super) use section;
