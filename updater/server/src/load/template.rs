//! The requests: real Omaha documents with room for the machine's id.

use omaha::{App, Event, EventResult, EventType, Os, Request, UpdateCheck};

use super::args::Args;
use crate::simulate::write_machine_id;

/// Where the machine's id goes: no other text of a request looks like this.
const ID: &str = "ffffffffffffffffffffffffffffffff";

/// What all machines send.
#[derive(Debug, Clone)]
pub(super) struct Template {
    check: Vec<String>,
    event: Vec<String>,
}

impl Template {
    pub(super) fn new(host: &str, path: &str, args: &Args) -> Self {
        let app = |check, events| App {
            id: args.app_id.clone(),
            version: args.version.clone(),
            track: args.group.clone(),
            boot_id: "{b0071d00-0000-4000-8000-000000000000}".to_owned(),
            machine_id: ID.to_owned(),
            oem: "qemu".to_owned(),
            aleph_version: args.version.clone(),
            lang: "en-US".to_owned(),
            board: args.board.clone(),
            ping: check,
            update_check: check.then(UpdateCheck::default),
            events,
            ..App::default()
        };
        // What stock clients send after every check.
        let finished = Event { previous_version: Some(String::new()), ..Event::new(EventType(3), EventResult(2)) };
        let parts = |app| split(host, path, &document(app));
        Self { check: parts(app(true, Vec::new())), event: parts(app(false, vec![finished])) }
    }

    /// Writes the request of machine `index` into `buffer`, replacing what was there.
    pub(super) fn write(&self, event: bool, seed: u64, index: u32, id: &mut String, buffer: &mut Vec<u8>) {
        write_machine_id(seed, index, id);
        buffer.clear();
        for (place, part) in if event { &self.event } else { &self.check }.iter().enumerate() {
            if place > 0 {
                buffer.extend_from_slice(id.as_bytes());
            }
            buffer.extend_from_slice(part.as_bytes());
        }
    }
}

fn document(app: App) -> String {
    let os =
        Os { platform: "CoreOS".to_owned(), version: "Chateau".to_owned(), sp: format!("{}_x86_64", app.version), arch: String::new() };
    let version = "update-server-load".to_owned();
    Request { updater_version: version.clone(), version, install_source: "scheduler".to_owned(), os, apps: vec![app], ..Request::default() }
        .to_xml()
}

/// Head and document, cut where the id goes. Ids are as long as what they replace, so the length holds for all of them.
fn split(host: &str, path: &str, document: &str) -> Vec<String> {
    let head = format!("POST {path} HTTP/1.1\r\nhost: {host}\r\ncontent-type: text/xml\r\ncontent-length: {}\r\n\r\n", document.len());
    format!("{head}{document}").split(ID).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::args::tests::args;

    fn request(event: bool, index: u32) -> (String, Request) {
        let plan = args(&["--url", "http://localhost:8080/v1/update", "--group", "beta", "--running", "1.2.3"]).plan().unwrap();
        let (mut id, mut buffer) = (String::new(), vec![1, 2, 3]);
        plan.template.write(event, 1, index, &mut id, &mut buffer);
        let text = String::from_utf8(buffer).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("POST /v1/update HTTP/1.1\r\nhost: localhost:8080\r\n"), "{head}");
        assert!(head.ends_with(&format!("content-length: {}", body.len())), "{head}");
        (id, Request::parse(body.as_bytes()).unwrap())
    }

    #[test]
    fn a_check_in_is_what_a_machine_would_send() {
        let (id, request) = request(false, 7);
        let [app] = request.apps.as_slice() else { panic!("{request:?}") };
        assert_eq!((app.machine_id.as_str(), app.track.as_str(), app.version.as_str()), (id.as_str(), "beta", "1.2.3"));
        assert!(app.ping && app.update_check.is_some() && app.events.is_empty());
        // What fills a database for measurements knows the machine by the same words, or each check-in would change something.
        let known = crate::cli::fill::machine(7, &app.id, "beta", "1.2.3");
        assert_eq!(crate::checkin::CheckIn::of(&request), [crate::checkin::CheckIn { asks: true, ..known }]);
    }

    #[test]
    fn an_event_is_no_check_in() {
        let (_, request) = request(true, 7);
        let [app] = request.apps.as_slice() else { panic!("{request:?}") };
        assert_eq!((app.events.len(), app.update_check.is_some()), (1, false));
    }

    #[test]
    fn machines_keep_their_ids() {
        assert_eq!(request(false, 7).0, request(true, 7).0);
        assert_ne!(request(false, 7).0, request(false, 8).0);
    }
}
