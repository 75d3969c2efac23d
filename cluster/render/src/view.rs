//! The keys of etcd as a template sees them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use announce::{Entries, Service};

use crate::resource::{Resource, covers};

/// The keys of etcd as a template sees them: without the prefix, and with one slash in front.
#[derive(Debug)]
pub struct View {
    file: PathBuf,
    keys: BTreeMap<String, String>,
    /// What is followed, in the template's names.
    followed: Vec<String>,
    /// What is followed, in etcd's names.
    followed_in_etcd: Vec<String>,
    services: Vec<Service>,
}

/// A template asks for something that is not there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ViewError {
    /// Nobody follows it, so it would never change.
    #[error("{0:?} is not followed; add it to `keys` in {1}")]
    NotFollowed(String, PathBuf),
    /// There is no such key now.
    #[error("there is no key {0:?}; where that is fine, say what else: getv({0:?}, \"…\")")]
    Missing(String),
    /// Nobody follows the service.
    #[error("{0:?} is not followed; add it to `services` in {1}")]
    ServiceNotFollowed(String, PathBuf),
    /// The pattern makes no sense.
    #[error("{0}")]
    Pattern(globset::Error),
}

impl View {
    /// What the template of `resource` sees of `entries`.
    #[must_use]
    pub fn new(resource: &Resource, entries: &Entries) -> Self {
        let seen = |key: &str| name(key.strip_prefix(resource.prefix.as_str()).unwrap_or(key));
        let followed = entries.iter().filter(|(key, _)| resource.follows(key));
        let keys = followed.clone().map(|(key, value)| (seen(key), value.clone())).collect();
        let announced = followed.filter(|(key, _)| key.starts_with(announce::PREFIX));
        let (services, strange) = announce::services(announced);
        for key in strange {
            tracing::warn!("{key} is no announcement, or not one that can be read");
        }
        Self {
            file: resource.file.clone(),
            keys,
            followed: resource.keys.iter().map(|key| seen(key)).collect(),
            followed_in_etcd: resource.keys.clone(),
            services,
        }
    }

    /// The value of a key, if there is one.
    ///
    /// # Errors
    /// It is not followed.
    pub fn find(&self, key: &str) -> Result<Option<&str>, ViewError> {
        let key = self.followed(key)?;
        Ok(self.keys.get(&key).map(String::as_str))
    }

    /// The value of a key.
    ///
    /// # Errors
    /// It is not followed, or not there.
    pub fn get(&self, key: &str) -> Result<&str, ViewError> {
        self.find(key)?.ok_or_else(|| ViewError::Missing(name(key)))
    }

    /// The keys that match a pattern, in which `*` and `?` stop at a slash, with their values.
    ///
    /// # Errors
    /// The pattern makes no sense, or what it is about is not followed.
    pub fn matching(&self, pattern: &str) -> Result<Vec<(&str, &str)>, ViewError> {
        let pattern = name(pattern);
        let fixed = pattern.split(['*', '?', '[', '{', '\\']).next().unwrap_or_default();
        if fixed != "/" {
            // The part before the first wildcard, up to a slash, must be followed, or be above something that is.
            let stem = fixed.rsplit_once('/').map_or("", |(stem, _)| stem);
            if !self.followed.iter().any(|followed| covers(stem, followed)) {
                self.followed(if fixed == pattern { &pattern } else { stem })?;
            }
        }
        let glob = globset::GlobBuilder::new(&pattern).literal_separator(true).build().map_err(ViewError::Pattern)?.compile_matcher();
        Ok(self.keys.iter().filter(|(key, _)| glob.is_match(key)).map(|(key, value)| (key.as_str(), value.as_str())).collect())
    }

    /// The names directly below a key, sorted; of folders only, or of keys too.
    #[must_use]
    pub fn below(&self, key: &str, folders_only: bool) -> Vec<&str> {
        let mut stem = name(key);
        if !stem.ends_with('/') {
            stem.push('/');
        }
        let rests = self.keys.keys().filter_map(|key| key.strip_prefix(stem.as_str())).filter(|rest| !rest.is_empty());
        let names: BTreeSet<&str> = rests
            .filter_map(|rest| match rest.split_once('/') {
                Some((first, _)) => Some(first),
                None => (!folders_only).then_some(rest),
            })
            .collect();
        names.into_iter().collect()
    }

    /// The announcements of a service; of all that are followed without a name.
    ///
    /// # Errors
    /// The service is not followed.
    pub fn services(&self, service: Option<&str>) -> Result<Vec<&Service>, ViewError> {
        let Some(service) = service else { return Ok(self.services.iter().collect()) };
        let key = format!("{}{service}", announce::PREFIX);
        if !self.followed_in_etcd.iter().any(|followed| covers(followed, &key)) {
            return Err(ViewError::ServiceNotFollowed(service.to_owned(), self.file.clone()));
        }
        Ok(self.services.iter().filter(|had| had.service == service).collect())
    }

    fn followed(&self, key: &str) -> Result<String, ViewError> {
        let key = name(key);
        let followed = self.followed.iter().any(|followed| covers(followed, &key));
        if followed { Ok(key) } else { Err(ViewError::NotFollowed(key, self.file.clone())) }
    }
}

/// A key as templates call it: one slash in front, none at the end.
fn name(key: &str) -> String {
    format!("/{}", key.trim_matches('/'))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn view(prefix: &str, keys: &str, entries: &[(&str, &str)]) -> View {
        let text = format!("[template]\nsrc = \"a\"\ndest = \"/b\"\nprefix = \"{prefix}\"\nkeys = {keys}\n");
        let resource = Resource::parse(Path::new("/x/a.toml"), &text, |_| true).unwrap();
        View::new(&resource, &entries.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect())
    }

    const TREE: [(&str, &str); 6] =
        [("/p/web/a/ip", "1"), ("/p/web/a/port", "2"), ("/p/web/b", "3"), ("/p/website", "4"), ("/other", "5"), ("/p/web/a/x/y", "6")];

    #[test]
    fn the_prefix_is_left_out_and_slashes_do_not_matter() {
        let view = view("/p", "[\"/web\"]", &TREE);
        for key in ["/web/b", "web/b", "/web/b/"] {
            assert_eq!(view.get(key), Ok("3"), "{key}");
        }
        assert_eq!(view.below("/web", false), ["a", "b"]);
        assert_eq!(view.below("web/", true), ["a"]);
        assert_eq!(view.below("/web/a", true), ["x"]);
        assert_eq!(view.below("/absent", false), Vec::<&str>::new());
        assert_eq!(view.below("/", false), ["web"]);
    }

    #[test]
    fn a_star_stops_at_a_slash() {
        let view = view("/p", "[\"/web\"]", &TREE);
        let keys = |pattern: &str| view.matching(pattern).map(|found| found.into_iter().map(|(key, _)| key.to_owned()).collect::<Vec<_>>());
        assert_eq!(keys("/web/*").unwrap(), ["/web/b"]);
        assert_eq!(keys("/web/*/ip").unwrap(), ["/web/a/ip"]);
        assert_eq!(keys("/web/a/[a-i]*").unwrap(), ["/web/a/ip"]);
        assert_eq!(keys("/*/b").unwrap(), ["/web/b"]);
        assert!(matches!(keys("/web/["), Err(ViewError::Pattern(_))));
        assert!(matches!(keys("/website/*"), Err(ViewError::NotFollowed(..))));
    }

    #[test]
    fn what_is_not_followed_is_an_error_and_not_just_absent() {
        let view = view("/p", "[\"/web\"]", &TREE);
        assert!(matches!(view.get("/website"), Err(ViewError::NotFollowed(..))));
        assert!(matches!(view.get("/web/absent"), Err(ViewError::Missing(_))));
        assert_eq!(view.find("/web/absent"), Ok(None));
        assert!(matches!(view.services(Some("web")), Err(ViewError::ServiceNotFollowed(..))));
    }
}
