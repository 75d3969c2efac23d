//! What a request asks for, in etcd's words.

use discovery::wire::{Fault, code};
use url::form_urlencoded;

use crate::policy::discovery::Wish;

/// What a request asks for. Words that change nothing here (`quorum`, `sorted`, `recursive`, ...) are passed over.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Params {
    /// Wait for an event instead of reading.
    pub wait: bool,
    /// The index of the first event that counts; without it, whatever comes next.
    pub from: Option<u64>,
    /// `prevExist`
    pub previous: Option<bool>,
    /// What to write.
    pub value: Option<String>,
}

impl Params {
    /// Reads a query, and a form where there is one.
    ///
    /// # Errors
    /// A value is not what it must be, or something is asked for that this server does not do.
    pub fn parse(query: Option<&str>, form: &[u8]) -> Result<Self, Fault> {
        let mut params = Self::default();
        let query = form_urlencoded::parse(query.unwrap_or_default().as_bytes());
        for (name, value) in query.chain(form_urlencoded::parse(form)) {
            match &*name {
                "wait" => params.wait = truth(&name, &value)?,
                // Nothing is written there where a number is missing.
                "waitIndex" if value.is_empty() => {}
                "waitIndex" => {
                    let index = value.parse().map_err(|_| Fault::new(code::INDEX, "invalid value for \"waitIndex\"", 0))?;
                    params.from = Some(index).filter(|index| *index > 0);
                }
                "prevExist" => params.previous = Some(truth(&name, &value)?),
                "value" => params.value = Some(value.into_owned()),
                "prevValue" | "prevIndex" | "ttl" | "refresh" if !value.is_empty() => return Err(unserved(&name)),
                "dir" if value == "true" => return Err(unserved(&name)),
                _ => {}
            }
        }
        Ok(params)
    }

    /// Whether an entry is to be made or changed. Nothing is ever overwritten by the way: saying nothing means making.
    #[must_use]
    pub fn wish(&self) -> Wish {
        if self.previous == Some(true) { Wish::Change } else { Wish::Make }
    }
}

fn truth(name: &str, value: &str) -> Result<bool, Fault> {
    match value {
        "true" | "1" => Ok(true),
        "false" | "0" | "" => Ok(false),
        _ => Err(Fault::new(code::FIELD, format!("invalid value for \"{name}\""), 0)),
    }
}

fn unserved(name: &str) -> Fault {
    Fault::new(code::FIELD, format!("{name} is not served here"), 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_etcd_sends_is_read() {
        for (query, form, wanted) in [
            ("quorum=false&recursive=false&sorted=false", "", Params::default()),
            ("recursive=true&wait=true&waitIndex=7", "", Params { wait: true, from: Some(7), ..Params::default() }),
            ("wait=true&waitIndex=0", "", Params { wait: true, ..Params::default() }),
            (
                "prevExist=false",
                "value=a%3Dhttp%3A%2F%2Fh%3A1",
                Params { previous: Some(false), value: Some("a=http://h:1".into()), ..Params::default() },
            ),
            ("prevExist=true&value=x&prevValue=&ttl=", "", Params { previous: Some(true), value: Some("x".into()), ..Params::default() }),
        ] {
            assert_eq!(Params::parse(Some(query), form.as_bytes()).as_ref(), Ok(&wanted), "{query}");
        }
    }

    #[test]
    fn what_makes_no_sense_or_is_not_served_is_refused() {
        for (query, wanted) in [
            ("wait=maybe", code::FIELD),
            ("waitIndex=x", code::INDEX),
            ("waitIndex=-1", code::INDEX),
            ("waitIndex=99999999999999999999", code::INDEX),
            ("prevExist=perhaps", code::FIELD),
            ("prevValue=x", code::FIELD),
            ("prevIndex=1", code::FIELD),
            ("ttl=10", code::FIELD),
            ("dir=true", code::FIELD),
        ] {
            assert_eq!(Params::parse(Some(query), b"").map_err(|fault| fault.error_code), Err(wanted), "{query}");
        }
    }

    #[test]
    fn nothing_is_overwritten_by_the_way() {
        for (query, wish) in [("", Wish::Make), ("prevExist=false", Wish::Make), ("prevExist=true", Wish::Change)] {
            assert_eq!(Params::parse(Some(query), b"").unwrap().wish(), wish, "{query}");
        }
    }
}
