//! A recorded machine: one text file per story, in sections.
//!
//! ```text
//! Who this is about, up to the first section.
//!
//! == from ec2                                   a person asks for this source
//! == file /proc/cmdline                         a file of the machine
//! == device /dev/sr0 iso9660 config-2           a disk with file system and label; `partition=NAME`, `disk=NODE`; a partition named `broken` cannot be mounted
//! == on /dev/sr0 openstack/latest/user_data     a file on that disk
//! == guestinfo guestinfo.userdata               what VMware's host says
//! == GET http://169.254.169.254/latest          a request, with the headers it must have
//! == answer 200                                 what comes back; `Header: value` may follow on the line
//! ```
//!
//! Contents end at the next section, without their last line break. In place of a content, ` fill=N` at the end of a section's
//! line stands for N bytes, ` hex` for hexadecimal, and ` error=...` (`timeout`, `network`, `escapes`, `denied`, `redirect`) for a failure.

use std::collections::BTreeMap;

use cloud_config::source::http::Method;
use cloud_config::source::probe::Filesystem;
use cloud_config::source::{Device, From};

/// What something is, or how it fails.
pub(crate) type Content = Result<Vec<u8>, String>;

/// A recorded machine.
#[derive(Debug, Default)]
pub(crate) struct Case {
    pub(crate) from: From,
    pub(crate) files: BTreeMap<String, Content>,
    pub(crate) devices: Vec<Device>,
    pub(crate) media: BTreeMap<(String, String), Content>,
    pub(crate) guestinfo: BTreeMap<String, Content>,
    pub(crate) exchanges: Vec<Exchange>,
}

/// A request and what comes back. Of several with one URL each is used once, in their order, and the last one for ever.
#[derive(Debug)]
pub(crate) struct Exchange {
    pub(crate) method: Method,
    pub(crate) url: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) status: u16,
    pub(crate) answer_headers: Vec<(String, String)>,
    pub(crate) body: Content,
}

impl Case {
    pub(crate) fn parse(text: &str) -> Self {
        let mut case = Self::default();
        let mut sections = text.split("\n== ");
        let story = sections.next().unwrap();
        assert!(!story.trim().is_empty() && !story.starts_with("== "), "a case begins with its story");
        for section in sections {
            let (line, content) = section.split_once('\n').unwrap_or((section, ""));
            let content = content.strip_suffix('\n').unwrap_or(content);
            case.section(line.trim(), content);
        }
        case
    }

    fn section(&mut self, line: &str, content: &str) {
        let (line, bytes) = bytes(line, content);
        let words: Vec<&str> = line.split(' ').collect();
        match words.as_slice() {
            ["from", source] => self.from = From::Only(source.parse().unwrap()),
            ["file", path] => drop(self.files.insert((*path).to_owned(), bytes)),
            ["device", node, rest @ ..] => self.devices.push(device(node, rest)),
            ["on", node, path] => drop(self.media.insert(((*node).to_owned(), (*path).to_owned()), bytes)),
            ["guestinfo", key] => drop(self.guestinfo.insert((*key).to_owned(), bytes)),
            ["GET" | "PUT", url] => self.exchanges.push(Exchange {
                method: if words[0] == "GET" { Method::Get } else { Method::Put },
                url: (*url).to_owned(),
                headers: content.lines().map(header).collect(),
                status: 0,
                answer_headers: Vec::new(),
                body: Err("no answer in the case".to_owned()),
            }),
            ["answer", status, rest @ ..] => {
                let exchange = self.exchanges.last_mut().expect("an answer follows a request");
                exchange.status = status.parse().unwrap();
                exchange.answer_headers = if rest.is_empty() { Vec::new() } else { vec![header(&rest.join(" "))] };
                exchange.body = bytes;
            }
            _ => panic!("a section that nobody knows: {line}"),
        }
    }
}

fn header(line: &str) -> (String, String) {
    let (name, value) = line.split_once(": ").unwrap_or_else(|| panic!("no header: {line}"));
    (name.to_lowercase(), value.to_owned())
}

/// The section's line without what it says about its content, and the content.
fn bytes<'a>(line: &'a str, content: &str) -> (&'a str, Content) {
    let Some((rest, last)) = line.rsplit_once(' ') else { return (line, Ok(content.into())) };
    if let Some(count) = last.strip_prefix("fill=") {
        (rest, Ok(vec![b'x'; count.parse().unwrap()]))
    } else if let Some(error) = last.strip_prefix("error=") {
        (rest, Err(error.to_owned()))
    } else if last == "hex" {
        (rest, Ok(hex::decode(content.split_whitespace().collect::<String>()).unwrap()))
    } else {
        (line, Ok(content.into()))
    }
}

fn device(node: &str, words: &[&str]) -> Device {
    let named = |key: &str| words.iter().find_map(|word| word.strip_prefix(key)).map(str::to_owned);
    let mut plain = words.iter().filter(|word| !word.contains('='));
    let filesystem = match plain.next() {
        None => None,
        Some(&"iso9660") => Some(Filesystem::Iso9660),
        Some(&"udf") => Some(Filesystem::Udf),
        Some(&"vfat") => Some(Filesystem::Vfat),
        Some(&"ext4") => Some(Filesystem::Ext4),
        Some(other) => panic!("no file system: {other}"),
    };
    let label = plain.next().copied().unwrap_or_default().to_owned();
    Device { node: node.to_owned(), disk: named("disk="), partition_name: named("partition="), filesystem, label }
}
