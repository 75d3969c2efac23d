//! An error and its causes on one line.

use std::error::Error;

/// The text of `error` and of what caused it, separated by colons. A cause that the text before has named already is passed over: some
/// libraries repeat theirs.
#[must_use]
pub fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use std::fmt;

    use super::*;

    #[derive(Debug)]
    struct Layer(&'static str, Option<Box<Layer>>);

    impl fmt::Display for Layer {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0)
        }
    }

    impl Error for Layer {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            self.1.as_deref().map(|cause| cause as _)
        }
    }

    #[test]
    fn each_cause_is_told_once() {
        let of = |texts: &[&'static str]| texts.iter().rev().fold(None, |cause, text| Some(Box::new(Layer(text, cause)))).unwrap();
        for (texts, told) in [
            (&["no answer"][..], "no answer"),
            (&["no answer", "connecting", "refused"], "no answer: connecting: refused"),
            (&["no answer: refused", "refused", "code 111"], "no answer: refused: code 111"),
        ] {
            assert_eq!(with_causes(&of(texts)), told);
        }
    }
}
