//! What a container says about itself: labels of Slipway, and the words of registrator in labels and the environment.
//!
//! | Slipway's labels | registrator's words | meaning |
//! | --- | --- | --- |
//! | `slipway.service`, `slipway.service.80` | `SERVICE_NAME`, `SERVICE_80_NAME` | the service |
//! | `slipway.port` | | which port of the container it is, where there are several |
//! | `slipway.tags`, `slipway.tags.80` | `SERVICE_TAGS`, `SERVICE_80_TAGS` | tags, separated by commas |
//! | `slipway.check`, `slipway.check.80` | `SERVICE_80_CHECK_HTTP`, `SERVICE_80_CHECK_TCP` | how to find out whether it works |
//! | `slipway.ignore`, `slipway.ignore.80` | `SERVICE_IGNORE`, `SERVICE_80_IGNORE` | do not announce |
//!
//! A word for one port counts more than one for all, a label of Slipway more than a word of registrator, a label more than the
//! environment. Other variables are not taken along: what begins with `SERVICE_` may be a password.

use std::collections::BTreeMap;

use crate::Check;

/// What a container says about itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    /// For every port that has no word of its own.
    pub all: Words,
    /// For single ports.
    pub ports: BTreeMap<u16, Words>,
    /// Which port `slipway.service` is about.
    pub port: Option<u16>,
    /// What could not be understood.
    pub problems: Vec<String>,
}

/// What is said about one port, or all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Words {
    /// The service.
    pub service: Option<String>,
    /// Tags.
    pub tags: Option<Vec<String>>,
    /// How to find out whether it works.
    pub check: Option<Check>,
    /// Not to be announced.
    pub ignore: bool,
}

impl Settings {
    /// Reads labels and environment.
    #[must_use]
    pub fn read(labels: &BTreeMap<String, String>, environment: &BTreeMap<String, String>) -> Self {
        let mut settings = Self::default();
        // What comes later counts more.
        for (name, value) in environment.iter().chain(labels) {
            if let Some(rest) = name.strip_prefix("SERVICE_") {
                settings.registrator(rest, value, name);
            }
        }
        for (name, value) in labels {
            if let Some(rest) = name.strip_prefix("slipway.") {
                settings.slipway(rest, value, name);
            }
        }
        settings
    }

    fn slipway(&mut self, rest: &str, value: &str, name: &str) {
        if rest == "port" {
            match value.parse() {
                Ok(port) if port > 0 => self.port = Some(port),
                _ => self.problems.push(format!("{name}={value}: a port is a number from 1 to 65535")),
            }
            return;
        }
        let (word, port) = match rest.split_once('.') {
            Some((word, port)) => match port.parse::<u16>() {
                Ok(port) if port > 0 => (word, Some(port)),
                _ => return self.problems.push(format!("{name}: behind the last point belongs a port of the container")),
            },
            None => (rest, None),
        };
        let checked = value.parse::<Check>();
        let words = self.words(port);
        match (word, checked) {
            ("service", _) => words.service = Some(value.to_owned()),
            ("tags", _) => words.tags = Some(tags(value)),
            ("ignore", _) => words.ignore = !matches!(value, "" | "false" | "0" | "no"),
            ("check", Ok(check)) => words.check = Some(check),
            ("check", Err(why)) => self.problems.push(format!("{name}={value}: {why}")),
            _ => self
                .problems
                .push(format!("{name} is none of slipway.service, slipway.port, slipway.tags, slipway.check and slipway.ignore")),
        }
    }

    fn registrator(&mut self, rest: &str, value: &str, name: &str) {
        let (port, word) = match rest.split_once('_') {
            Some((port, word)) if port.parse::<u16>().is_ok() => (port.parse().ok(), word),
            _ => (None, rest),
        };
        let words = self.words(port);
        match word {
            "NAME" if !value.is_empty() => words.service = Some(value.to_owned()),
            "TAGS" => words.tags = Some(tags(value)),
            // As there: any value at all.
            "IGNORE" => words.ignore = !value.is_empty(),
            "CHECK_TCP" => words.check = Some(Check::Tcp),
            "CHECK_HTTP" => match format!("http:{value}").parse() {
                Ok(check) => words.check = Some(check),
                Err(_) => self.problems.push(format!("{name}={value}: a path begins with `/`")),
            },
            _ => {}
        }
    }

    fn words(&mut self, port: Option<u16>) -> &mut Words {
        match port {
            Some(port) => self.ports.entry(port).or_default(),
            None => &mut self.all,
        }
    }

    /// Tags and check of one port; whether to ignore it.
    #[must_use]
    pub fn of_port(&self, port: u16) -> Words {
        let own = self.ports.get(&port).cloned().unwrap_or_default();
        Words {
            service: own.service,
            tags: own.tags.or_else(|| self.all.tags.clone()),
            check: own.check.or_else(|| self.all.check.clone()),
            ignore: own.ignore || self.all.ignore,
        }
    }
}

fn tags(text: &str) -> Vec<String> {
    text.split(',').map(str::trim).filter(|tag| !tag.is_empty()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(labels: &[(&str, &str)], environment: &[(&str, &str)]) -> Settings {
        let map = |pairs: &[(&str, &str)]| pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Settings::read(&map(labels), &map(environment))
    }

    #[test]
    fn labels_and_registrators_words_mean_the_same() {
        let ours = read(
            &[("slipway.service", "web"), ("slipway.tags", "a, b,"), ("slipway.service.81", "admin"), ("slipway.check.81", "tcp")],
            &[],
        );
        let theirs =
            read(&[], &[("SERVICE_NAME", "web"), ("SERVICE_TAGS", "a,b"), ("SERVICE_81_NAME", "admin"), ("SERVICE_81_CHECK_TCP", "true")]);
        assert_eq!(ours, theirs);
        assert_eq!(ours.all.tags, Some(vec!["a".to_owned(), "b".to_owned()]));
    }

    #[test]
    fn labels_count_more_than_the_environment_and_ours_most() {
        let settings = read(&[("SERVICE_NAME", "label")], &[("SERVICE_NAME", "environment")]);
        assert_eq!(settings.all.service.as_deref(), Some("label"));
        let settings = read(&[("SERVICE_NAME", "label"), ("slipway.service", "ours")], &[]);
        assert_eq!(settings.all.service.as_deref(), Some("ours"));
    }

    #[test]
    fn other_variables_stay_where_they_are() {
        let settings = read(&[("com.example", "x")], &[("SERVICE_PASSWORD", "x"), ("SERVICE_80_SECRET", "x"), ("PATH", "/")]);
        assert_eq!((settings.all, settings.problems), (Words::default(), Vec::new()));
        assert_eq!(settings.ports.into_values().collect::<Vec<_>>(), [Words::default()]);
    }

    #[test]
    fn what_cannot_be_understood_is_told_and_the_rest_counts() {
        let wrong = [
            ("slipway.port", "http"),
            ("slipway.port", "0"),
            ("slipway.tags.x", "a"),
            ("slipway.servce", "web"),
            ("slipway.check", "ping"),
        ];
        for wrong in wrong {
            let settings = read(&[wrong, ("slipway.service", "web")], &[]);
            assert_eq!(settings.problems.len(), 1, "{wrong:?}");
            assert!(settings.problems[0].contains(wrong.0), "{wrong:?}");
            assert_eq!(settings.all.service.as_deref(), Some("web"));
        }
    }

    #[test]
    fn ignoring_takes_a_word() {
        for (value, ignored) in [("true", true), ("1", true), ("false", false), ("", false)] {
            assert_eq!(read(&[("slipway.ignore", value)], &[]).of_port(80).ignore, ignored, "{value}");
        }
        assert!(read(&[], &[("SERVICE_IGNORE", "false")]).of_port(80).ignore);
        let one = read(&[("slipway.ignore.81", "true")], &[]);
        assert!(one.of_port(81).ignore && !one.of_port(80).ignore);
    }
}
