//! A request from a document.

use super::{App, Os, Request, UpdateCheck, write::cut};
use crate::ParseError;
use crate::event::{Event, EventResult, EventType};
use crate::limits::{MAX_APPS, MAX_EVENTS};
use crate::xml::{Element, flag, number, some_of};

pub(super) fn request(root: &Element) -> Result<Request, ParseError> {
    let protocol = root.text("protocol");
    if protocol != "3.0" && !protocol.starts_with("3.") {
        return Err(ParseError::Protocol(crate::xml::excerpt(&protocol)));
    }
    let os = root.first("os").map(os).unwrap_or_default();
    Ok(Request {
        protocol,
        version: root.text("version"),
        updater_version: root.text("updaterversion"),
        install_source: root.text("installsource"),
        is_machine: flag(root.get("ismachine")),
        os,
        apps: some_of(root, "app", MAX_APPS, app)?,
    })
}

fn os(os: &Element) -> Os {
    Os { platform: os.text("platform"), version: os.text("version"), sp: os.text("sp"), arch: os.text("arch") }
}

fn app(app: &Element) -> Result<App, ParseError> {
    let id = app.text("appid");
    if id.is_empty() {
        return Err(ParseError::Missing { element: "app", attribute: "appid" });
    }
    Ok(App {
        id,
        version: app.text("version"),
        track: app.text("track"),
        boot_id: app.text("bootid"),
        machine_id: app.text("machineid"),
        machine_alias: app.text("machinealias"),
        oem: app.text("oem"),
        oem_version: app.text("oemversion"),
        aleph_version: app.text("alephversion"),
        board: app.text("board"),
        lang: app.text("lang"),
        hardware_class: app.text("hardware_class"),
        delta_okay: flag(app.get("delta_okay")),
        // ChromeOS sends day counters instead of `active`.
        ping: app.first("ping").is_some_and(|ping| ping.get("active") != Some("0")),
        update_check: app.first("updatecheck").map(|check| UpdateCheck { target_version_prefix: check.text("targetversionprefix") }),
        events: some_of(app, "event", MAX_EVENTS, event)?,
    })
}

fn event(event: &Element) -> Result<Event, ParseError> {
    let missing = |attribute| ParseError::Missing { element: "event", attribute };
    let optional = |name| event.get(name).map(str::to_owned);
    Ok(Event {
        kind: EventType(number(event, "event", "eventtype")?.ok_or(missing("eventtype"))?),
        result: EventResult(number(event, "event", "eventresult")?.ok_or(missing("eventresult"))?),
        error_code: number(event, "event", "errorcode")?,
        previous_version: optional("previousversion"),
        cause: event.get("cause").map(|cause| cut(cause).to_owned()),
        release: optional("nextversion"),
    })
}
