//! Values that are text with a grammar.

use super::Rule;

/// Why a text is not the value that was wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The rule it breaks.
    pub rule: Rule,
    /// What is wrong, in lower case.
    pub message: String,
    /// What to write instead.
    pub hint: Option<String>,
}

impl Refused {
    /// A value that does not follow its grammar.
    pub fn new(message: impl Into<String>) -> Self {
        Self { rule: Rule::InvalidValue, message: message.into(), hint: None }
    }

    /// The same as a breach of another rule.
    #[must_use]
    pub fn under(mut self, rule: Rule) -> Self {
        self.rule = rule;
        self
    }

    /// The same with advice.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// A value that is made from text.
pub trait FromText: Sized {
    /// What is wanted, for messages and documentation.
    const WANTED: &'static str;

    /// The value, if `text` follows its grammar.
    ///
    /// # Errors
    /// With what is wrong.
    fn from_text(text: &str) -> Result<Self, Refused>;

    /// JSON schema; any text unless a type says more.
    fn schema() -> serde_json::Value {
        super::schema::text()
    }

    /// Several values in one text, where a list was wanted.
    fn list_from_text(_text: &str) -> Option<Vec<&str>> {
        None
    }
}

/// Makes a [`FromText`] type a value of the configuration.
macro_rules! value_from_text {
    ($type:ty) => {
        impl $crate::model::Value for $type {
            const WANTED: &'static str = <$type as $crate::model::text::FromText>::WANTED;

            fn read(node: &$crate::yaml::Node, reader: &mut $crate::model::reader::Reader<'_>) -> Option<Self> {
                reader.parse(node)
            }

            fn read_as_list(node: &$crate::yaml::Node, reader: &mut $crate::model::reader::Reader<'_>) -> Option<Vec<Self>> {
                reader.parse_list(node)
            }

            fn schema(_: &mut $crate::model::schema::Definitions) -> serde_json::Value {
                <$type as $crate::model::text::FromText>::schema()
            }

            fn list_schema(definitions: &mut $crate::model::schema::Definitions) -> serde_json::Value {
                let list = $crate::model::schema::list(<Self as $crate::model::Value>::schema(definitions));
                if <$type as $crate::model::text::FromText>::list_from_text("").is_some() {
                    return serde_json::json!({ "anyOf": [list, { "type": "string" }] });
                }
                list
            }
        }
    };
}
pub(super) use value_from_text;
