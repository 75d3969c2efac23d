//! Text that is never shown.

use std::fmt;

use crate::model::text::{FromText, Refused, value_from_text};

/// Text that neither logs nor plans may show; only [`Secret::reveal`] gives it out.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

/// What is shown instead.
pub const MASK: &str = "(secret)";

impl Secret {
    /// The text, for the place it is meant for.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}

impl FromText for Secret {
    const WANTED: &'static str = "text (secret)";

    fn from_text(text: &str) -> Result<Self, Refused> {
        Ok(Self(text.to_owned()))
    }
}

value_from_text!(Secret);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_output_does_not_show_it() {
        let secret = Secret::from_text("hunter2").unwrap();
        assert_eq!(format!("{secret:?}"), MASK);
        assert_eq!(secret.reveal(), "hunter2");
    }
}
