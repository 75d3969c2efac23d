//! A request as a document, in the shape of stock clients.

use super::{App, Request};
use crate::event::Event;
use crate::limits::MAX_CAUSE_BYTES;
use crate::xml::Writer;

pub(super) fn request(request: &Request) -> String {
    let mut xml = Writer::new();
    let attributes = [
        ("protocol", &*request.protocol),
        ("version", &request.version),
        ("updaterversion", &request.updater_version),
        ("installsource", &request.install_source),
        ("ismachine", if request.is_machine { "1" } else { "0" }),
    ];
    xml.element("request", &attributes, |xml| {
        let os = &request.os;
        let mut attributes = vec![("platform", &*os.platform), ("version", &os.version), ("sp", &os.sp)];
        if !os.arch.is_empty() {
            attributes.push(("arch", &os.arch));
        }
        xml.empty("os", &attributes);
        request.apps.iter().for_each(|one| app(xml, one));
    });
    xml.finish()
}

fn app(xml: &mut Writer, app: &App) {
    let attributes = [
        ("appid", &*app.id),
        ("version", &app.version),
        ("track", &app.track),
        ("bootid", &app.boot_id),
        ("oem", &app.oem),
        ("oemversion", &app.oem_version),
        ("alephversion", &app.aleph_version),
        ("machineid", &app.machine_id),
        ("machinealias", &app.machine_alias),
        ("lang", &app.lang),
        ("board", &app.board),
        ("hardware_class", &app.hardware_class),
        ("delta_okay", if app.delta_okay { "true" } else { "false" }),
    ];
    xml.element("app", &attributes, |xml| {
        if app.ping {
            xml.empty("ping", &[("active", "1")]);
        }
        if let Some(check) = &app.update_check {
            let prefix = [("targetversionprefix", &*check.target_version_prefix)];
            xml.empty("updatecheck", if check.target_version_prefix.is_empty() { &[] } else { &prefix });
        }
        app.events.iter().for_each(|one| event(xml, one));
    });
}

fn event(xml: &mut Writer, event: &Event) {
    let (kind, result) = (event.kind.to_string(), event.result.to_string());
    let code = event.error_code.map(|code| code.to_string());
    let mut attributes = vec![("eventtype", &*kind), ("eventresult", &result)];
    let optional = [
        ("errorcode", code.as_deref()),
        ("previousversion", event.previous_version.as_deref()),
        ("nextversion", event.release.as_deref()),
        ("cause", event.cause.as_deref().map(cut)),
    ];
    attributes.extend(optional.into_iter().filter_map(|(name, value)| Some((name, value?))));
    xml.empty("event", &attributes);
}

/// The beginning of `cause` that is not too long.
pub(super) fn cut(cause: &str) -> &str {
    &cause[..cause.floor_char_boundary(MAX_CAUSE_BYTES)]
}
