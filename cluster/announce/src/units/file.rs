//! `/etc/slipway/announce.d/*.toml`: units of systemd that are services of the cluster.
//!
//! ```toml
//! service = "web"
//! unit = "web.service"
//! port = 8080
//! protocol = "tcp"          # tcp unless said
//! tags = ["blue"]
//! check = "http:/health"    # or "tcp"; without one, an active unit is enough
//! address = "10.0.0.9"      # the machine's own unless said
//! ```

use std::net::IpAddr;
use std::path::Path;

use diagnostics::Diagnostic;
use diagnostics::toml::{Reader, get};

use crate::{Check, Host, Key, Protocol};

/// Files in a folder that are looked at; more than this is a mistake.
const MOST: usize = 256;
/// Largest file, in bytes.
const LARGEST: u64 = 64 * 1024;
const KEYS: [&str; 7] = ["service", "unit", "port", "protocol", "tags", "check", "address"];

/// A unit that is a service of the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnitService {
    /// The service.
    pub service: String,
    /// The unit, with its suffix.
    pub unit: String,
    /// Where it listens.
    pub port: u16,
    /// What it speaks.
    pub protocol: Protocol,
    /// Tags.
    pub tags: Vec<String>,
    /// How to find out whether it works.
    pub check: Option<Check>,
    /// Where it is reached, when that is not the machine's address.
    pub address: Option<IpAddr>,
}

impl UnitService {
    /// Reads one file.
    ///
    /// # Errors
    /// Everything that is wrong with it, each with its line.
    pub fn parse(name: &str, text: &str) -> Result<Self, Vec<Diagnostic>> {
        let mut reader = Reader::new(name, text);
        let table = reader.parse();
        if !reader.diagnostics.is_empty() {
            return Err(reader.diagnostics);
        }
        reader.check_keys(&table, "at the top", &KEYS);
        // Whether a name is fit is known by the key that it becomes a part of.
        let part = |service: &str, id: &str| Key::new(service, "n", id).map_err(|error| error.to_string());
        let service = reader.string(&table, "service", |text| part(text, "x").map(|_| text.to_owned()));
        let unit = reader.string(&table, "unit", |text| match text.rsplit_once('.') {
            Some((stem, _)) if !stem.is_empty() => part("x", text).map(|_| text.to_owned()),
            _ => Err(format!("a unit has a suffix, such as `{text}.service`")),
        });
        let port = reader.number(&table, "port", 1..=u64::from(u16::MAX));
        let protocol = reader.string(&table, "protocol", |text| Protocol::named(text).ok_or_else(|| "one of tcp, udp, sctp".to_owned()));
        let tags = reader.strings(&table, "tags", |text| Ok(text.to_owned()));
        let check = reader.string(&table, "check", str::parse::<Check>);
        let address =
            reader.string(&table, "address", |text| text.parse::<IpAddr>().map_err(|_| "an address, such as 10.0.0.5".to_owned()));
        for key in ["service", "unit", "port"] {
            if get(&table, key).is_none() {
                let label = format!("add `{key} = …`");
                reader.diagnostics.push(Diagnostic { message: format!("`{key}` is missing"), file: name.to_owned(), mark: None, label });
            }
        }
        match (service, unit, port.map(|found| u16::try_from(found.value))) {
            (Some(service), Some(unit), Some(Ok(port))) if reader.diagnostics.is_empty() => Ok(Self {
                service: service.value,
                unit: unit.value,
                port,
                protocol: protocol.map(|found| found.value).unwrap_or_default(),
                tags: tags.map(|found| found.value.into_iter().map(|tag| tag.value).collect()).unwrap_or_default(),
                check: check.map(|found| found.value),
                address: address.map(|found| found.value),
            }),
            _ => Err(reader.diagnostics),
        }
    }

    /// What could be announced while the unit is active.
    #[must_use]
    pub fn candidate(&self, host: &Host) -> Option<crate::Candidate> {
        let suffix = if self.protocol == Protocol::Tcp { String::new() } else { format!(":{:?}", self.protocol).to_lowercase() };
        let key = Key::new(&self.service, &host.name, &format!("{}:{}{suffix}", self.unit, self.port)).ok()?;
        let announcement = crate::Announcement {
            address: self.address.unwrap_or(host.address),
            port: self.port,
            protocol: self.protocol,
            tags: self.tags.clone(),
            by: format!("unit {}", self.unit),
        };
        Some(crate::Candidate { key, announcement, check: self.check.clone() })
    }
}

/// Reads all files of a folder, by name. A folder that is not there has none; a file that is wrong does not keep the others from counting.
#[must_use]
pub fn read(folder: &Path) -> (Vec<UnitService>, Vec<String>) {
    let mut found = Vec::new();
    let mut problems = Vec::new();
    let mut paths = Vec::new();
    match std::fs::read_dir(folder) {
        Ok(entries) => paths.extend(entries.filter_map(Result::ok).map(|entry| entry.path())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => problems.push(format!("reading {}: {error}", folder.display())),
    }
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
    paths.sort();
    if paths.len() > MOST {
        problems.push(format!("{}: {} files; only the first {MOST} count", folder.display(), paths.len()));
    }
    for path in paths.iter().take(MOST) {
        let name = path.display().to_string();
        let text = match std::fs::metadata(path) {
            Ok(metadata) if metadata.len() > LARGEST => Err(format!("{name}: more than {LARGEST} bytes")),
            _ => std::fs::read_to_string(path).map_err(|error| format!("reading {name}: {error}")),
        };
        match text.and_then(|text| UnitService::parse(&name, &text).map_err(|wrong| diagnostics::join(&wrong))) {
            Ok(service) => found.push(service),
            Err(problem) => problems.push(problem),
        }
    }
    (found, problems)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_says_which_unit_is_which_service() {
        let text = "service = \"web\"\nunit = \"web@1.service\"\nport = 8080\ntags = [\"a\"]\ncheck = \"http:/health\"\n";
        let service = UnitService::parse("web.toml", text).unwrap();
        let host = Host { name: "n1".to_owned(), address: [10, 0, 0, 5].into() };
        let candidate = service.candidate(&host).unwrap();
        assert_eq!(candidate.key.to_string(), "slipway/services/web/n1:web@1.service:8080");
        assert_eq!(candidate.address().to_string(), "10.0.0.5:8080");
        assert_eq!(candidate.check, Some(Check::Http("/health".to_owned())));
    }

    fn wrong(text: &str) -> String {
        diagnostics::join(&UnitService::parse("web.toml", text).unwrap_err())
    }

    #[test]
    fn what_is_wrong_has_its_line_and_the_right_word() {
        let told = wrong("servce = \"web\"\nunit = \"web\"\nport = 0\ncheck = \"ping\"\nprotocol = \"http\"\naddress = \"web\"\n");
        for part in [
            "1  | servce = \"web\"\n   | ^^^^^^ did you mean `service`?",
            "such as `web.service`",
            "`port` is out of range",
            "write `tcp`, or `http:/path`",
            "one of tcp, udp, sctp",
            "an address, such as 10.0.0.5",
            "`service` is missing",
        ] {
            assert!(told.contains(part), "{part:?} is not in:\n{told}");
        }
        let told = wrong("service = \"web\n");
        assert!(told.contains("this is not TOML") && told.contains("web.toml:1:"), "{told}");
    }

    #[test]
    fn one_wrong_file_does_not_keep_the_others_from_counting() {
        let folder = tempfile::tempdir().unwrap();
        let good = "service = \"web\"\nunit = \"web.service\"\nport = 80\n";
        for (name, text) in [("a.toml", "?"), ("b.toml", good), ("c.txt", good), ("d.toml", &good.repeat(2000))] {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        let (found, problems) = read(folder.path());
        assert_eq!((found.len(), problems.len()), (1, 2), "{problems:?}");
        assert_eq!(read(&folder.path().join("absent")), (Vec::new(), Vec::new()));
    }
}
