use proptest::prelude::*;

use super::*;
use crate::event::{EventResult, EventType};
use crate::limits::{MAX_APPS, MAX_CAUSE_BYTES, MAX_EVENTS, MAX_VALUE_BYTES};
use crate::test_data::{bare_app, stock_check};

fn parse(text: &str) -> Result<Request, ParseError> {
    Request::parse(text.as_bytes())
}

fn one_app(text: &str) -> App {
    let mut request = parse(text).unwrap();
    assert_eq!(request.apps.len(), 1);
    request.apps.remove(0)
}

#[test]
fn a_stock_check_is_read_whole() {
    let request = parse(&stock_check(
        r#"        <event eventtype="3" eventresult="2" previousversion=""></event>
"#,
    ))
    .unwrap();
    let event = Event { previous_version: Some(String::new()), ..Event::new(EventType::UPDATE_COMPLETE, EventResult::SUCCESS_REBOOT) };
    assert!(!event.is_completed_update());
    let app = App {
        id: "{e96281a6-d1af-4bde-9a0a-97b76e56dc57}".into(),
        version: "3732.0.0".into(),
        track: "stable".into(),
        boot_id: "{5b5c9d5e-3f0a-4f0e-9a51-0f6d2c3b4a59}".into(),
        machine_id: "00112233445566778899aabbccddeeff".into(),
        machine_alias: "rack 4 & up".into(),
        oem: "qemu".into(),
        oem_version: String::new(),
        aleph_version: "3510.2.1".into(),
        board: "amd64-usr".into(),
        lang: "en-US".into(),
        hardware_class: String::new(),
        delta_okay: false,
        ping: true,
        update_check: Some(UpdateCheck::default()),
        events: vec![event],
    };
    let expected = Request {
        protocol: "3.0".into(),
        version: "update_engine-0.4.10".into(),
        updater_version: "update_engine-0.4.10".into(),
        install_source: "scheduler".into(),
        is_machine: true,
        os: Os { platform: "CoreOS".into(), version: "Chateau".into(), sp: "3732.0.0_x86_64".into(), arch: String::new() },
        apps: vec![app],
    };
    assert_eq!(request, expected);
    assert_eq!(parse(&request.to_xml()).unwrap(), request);
}

#[test]
fn the_event_of_a_stock_check_tells_what_happened() {
    let event = |xml: &str| one_app(&stock_check(xml)).events.remove(0);
    let first = event(r#"<event eventtype="3" eventresult="2" previousversion="0.0.0.0"></event>"#);
    assert_eq!((first.previous_version.as_deref(), first.is_completed_update()), (Some("0.0.0.0"), false));
    let updated = event(r#"<event eventtype="3" eventresult="2" previousversion="3510.2.1"></event>"#);
    assert!(updated.is_completed_update());
    let rolled_back = event(r#"<event eventtype="3" eventresult="0" errorcode="44"></event>"#);
    assert!(rolled_back.is_rollback());
    assert_eq!(rolled_back.previous_version, None);
    let failed = event(r#"<event eventtype="3" eventresult="0" errorcode="268437860"/>"#);
    assert_eq!((failed.error_code, failed.error()), (Some(268_437_860), Some(2404)));
    let dev_mode = event(r#"<event eventtype="3" eventresult="0" errorcode="-2147483639"/>"#);
    assert_eq!(dev_mode.error(), Some(9));
    let deferred = event(r#"<event eventtype="3" eventresult="9" errorcode="36"/>"#);
    assert_eq!((deferred.result, deferred.error()), (EventResult::DEFERRED, Some(36)));
    let held = event(r#"<event eventtype="800" eventresult="1"/>"#);
    assert_eq!(held.kind, EventType::INSTALLED_ON_HOLD);
}

#[test]
fn a_ping_alone_is_only_a_ping() {
    let app = one_app(&bare_app(r#"<ping active="1"></ping>"#));
    assert_eq!(app, App { id: "x".into(), ping: true, ..App::default() });
    assert!(one_app(&bare_app(r#"<ping a="-1" r="3"/>"#)).ping, "ChromeOS's form");
    assert!(!one_app(&bare_app(r#"<ping active="0"/>"#)).ping);
}

#[test]
fn an_event_alone_is_only_an_event() {
    let app = one_app(&bare_app(r#"<event eventtype="13" eventresult="1"></event>"#));
    assert_eq!((app.ping, app.update_check, app.events.len()), (false, None, 1));
    assert_eq!(app.events[0], Event::new(EventType::UPDATE_DOWNLOAD_STARTED, EventResult::SUCCESS));
}

#[test]
fn our_own_attributes_go_both_ways() {
    let event = Event {
        error_code: Some(44),
        cause: Some("etcd: \"not healthy\"\n<after 60 s>".into()),
        release: Some("1.2.3".into()),
        ..Event::new(EventType::UPDATE_COMPLETE, EventResult::ERROR)
    };
    let request = Request { apps: vec![App { id: "x".into(), events: vec![event], ..App::default() }], ..Request::default() };
    assert!(request.to_xml().contains(r#"nextversion="1.2.3" cause="etcd: &quot;not healthy&quot;&#10;&lt;after 60 s&gt;""#));
    assert_eq!(parse(&request.to_xml()).unwrap(), request);
    let os = Os { arch: "amd64".into(), ..Os::default() };
    let check = UpdateCheck { target_version_prefix: "1.".into() };
    let app = App { id: "x".into(), delta_okay: true, update_check: Some(check), ..App::default() };
    let request = Request { os, is_machine: false, apps: vec![app], ..Request::default() };
    assert_eq!(parse(&request.to_xml()).unwrap(), request);
}

#[test]
fn a_request_is_written_as_stock_clients_write_it() {
    let app =
        App { id: "{a}".into(), ping: true, update_check: Some(UpdateCheck::default()), events: vec![Event::default()], ..App::default() };
    let xml = Request { apps: vec![app], ..Request::default() }.to_xml();
    let expected = r#"<?xml version="1.0" encoding="UTF-8"?>
<request protocol="3.0" version="" updaterversion="" installsource="" ismachine="1"><os platform="" version="" sp=""/><app appid="{a}" version="" track="" bootid="" oem="" oemversion="" alephversion="" machineid="" machinealias="" lang="" board="" hardware_class="" delta_okay="false"><ping active="1"/><updatecheck/><event eventtype="0" eventresult="0"/></app></request>
"#;
    assert_eq!(xml, expected);
}

#[test]
fn what_is_unknown_is_passed_over() {
    let text = r#"<request protocol="3.1" requestid="{1}" sessionid="{2}" testsource="x" xmlns:g="urn:g"><hw sse="1"><deep><er/></deep></hw>
        <app appid="x" from_track="beta" cohort="1:2" g:x="1" fp="3"><data name="install">text</data><g:event/><event eventtype="3" eventresult="1" download_time_ms="3"/>
        <ping active="1"/><event eventtype="13" eventresult="1"/><updatecheck targetversionprefix="" updatedisabled="false"/><updatecheck targetversionprefix="second"/></app><os/><os platform="second"/></request>"#;
    let request = parse(text).unwrap();
    assert_eq!((request.os, request.apps[0].events.len()), (Os::default(), 2));
    assert_eq!(request.apps[0].update_check, Some(UpdateCheck::default()), "the first counts");
}

#[test]
fn the_number_of_applications_and_events_is_bounded() {
    let apps = |count: usize| parse(&format!(r#"<request protocol="3.0">{}</request>"#, r#"<app appid="x"/>"#.repeat(count)));
    assert_eq!(apps(MAX_APPS).unwrap().apps.len(), MAX_APPS);
    assert_eq!(apps(0).unwrap().apps.len(), 0);
    for count in [MAX_APPS + 1, 100] {
        assert_eq!(apps(count), Err(ParseError::Count { element: "app", limit: MAX_APPS }));
    }
    let events = |count: usize| parse(&bare_app(&r#"<event eventtype="3" eventresult="1"/>"#.repeat(count)));
    assert_eq!(events(MAX_EVENTS).unwrap().apps[0].events.len(), MAX_EVENTS);
    assert_eq!(events(MAX_EVENTS + 1), Err(ParseError::Count { element: "event", limit: MAX_EVENTS }));
}

#[test]
fn what_cannot_be_is_refused() {
    for (text, expected) in [
        (r#"<request><app appid="x"/></request>"#.to_owned(), "protocol `` is not 3.0"),
        (r#"<request protocol="2.0"/>"#.to_owned(), "protocol `2.0` is not 3.0"),
        (r#"<request protocol="30"/>"#.to_owned(), "protocol `30` is not 3.0"),
        (r#"<request protocol="3.0"><app/></request>"#.to_owned(), "<app> has no appid"),
        (r#"<response protocol="3.0"/>"#.to_owned(), "the document is a <response>, not a <request>"),
        (bare_app("<event/>"), "<event> has no eventtype"),
        (bare_app(r#"<event eventtype="3"/>"#), "<event> has no eventresult"),
        (bare_app(r#"<event eventtype="-3" eventresult="1"/>"#), "<event eventtype> is not a whole number that fits"),
        (bare_app(r#"<event eventtype="4294967296" eventresult="1"/>"#), "<event eventtype> is not a whole number that fits"),
        (bare_app(r#"<event eventtype="3" eventresult="one"/>"#), "<event eventresult> is not a whole number that fits"),
        (
            bare_app(r#"<event eventtype="3" eventresult="0" errorcode="99999999999999999999"/>"#),
            "<event errorcode> is not a whole number that fits",
        ),
        (bare_app(r#"<event eventtype="1<!-- -->3" eventresult="0"/>"#), "not well-formed"),
    ] {
        assert!(parse(&text).unwrap_err().to_string().contains(expected), "{text}");
    }
}

#[test]
fn a_long_cause_is_cut_between_characters() {
    let event = Event { cause: Some("ü".repeat(MAX_VALUE_BYTES)), ..Event::default() };
    let request = Request { apps: vec![App { id: "x".into(), events: vec![event], ..App::default() }], ..Request::default() };
    let cause = parse(&request.to_xml()).unwrap().apps.remove(0).events.remove(0).cause.unwrap();
    assert_eq!(cause, "ü".repeat(MAX_CAUSE_BYTES / 2));
    let sent = bare_app(&format!(r#"<event eventtype="3" eventresult="0" cause="{}"/>"#, "c".repeat(3000)));
    assert_eq!(parse(&sent).unwrap().apps[0].events[0].cause.as_deref(), Some(&*"c".repeat(MAX_CAUSE_BYTES)));
}

#[test]
fn braces_and_case_make_no_other_application() {
    assert!(same_app("{e96281a6-d1af-4bde-9a0a-97b76e56dc57}", "E96281A6-D1AF-4BDE-9A0A-97B76E56DC57"));
    assert!(same_app("{A}", "{a}"));
    for (one, other) in [("{a}", "b"), ("{a", "a"), ("a}", "a"), ("", "a"), ("{{a}}", "a")] {
        assert!(!same_app(one, other), "{one} {other}");
    }
}

/// Any text at all, with the troublesome characters often.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![any::<String>(), "[\\x00-\\x20&<>\"'\\]\\-;#x0-9\u{fffe}\u{ffff}\u{2028}]{0,40}", "[a-z0-9.{}-]{0,40}"]
}

/// What a reader gets of a text: other characters where XML has none.
fn as_read(text: &str) -> String {
    text.chars()
        .map(|character| {
            if matches!(character, '\0'..='\u{8}' | '\u{b}' | '\u{c}' | '\u{e}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}') {
                '\u{fffd}'
            } else {
                character
            }
        })
        .collect()
}

prop_compose! {
    fn an_event()(kind: u32, result: u32, error_code: Option<i64>, previous_version in prop::option::of(text()), cause in prop::option::of(text()), release in prop::option::of(text())) -> Event {
        Event { kind: EventType(kind), result: EventResult(result), error_code, previous_version, cause, release }
    }
}

prop_compose! {
    fn an_app()(texts in prop::array::uniform12(text()), delta_okay: bool, ping: bool, check in prop::option::of(text()), events in prop::collection::vec(an_event(), 0..4)) -> App {
        let [id, version, track, boot_id, machine_id, machine_alias, oem, oem_version, aleph_version, board, lang, hardware_class] = texts;
        let update_check = check.map(|target_version_prefix| UpdateCheck { target_version_prefix });
        App { id: format!("i{id}"), version, track, boot_id, machine_id, machine_alias, oem, oem_version, aleph_version, board, lang, hardware_class, delta_okay, ping, update_check, events }
    }
}

prop_compose! {
    pub(crate) fn a_request()(texts in prop::array::uniform7(text()), is_machine: bool, apps in prop::collection::vec(an_app(), 0..3)) -> Request {
        let [version, updater_version, install_source, platform, os_version, sp, arch] = texts;
        Request { protocol: "3.0".into(), version, updater_version, install_source, is_machine, os: Os { platform, version: os_version, sp, arch }, apps }
    }
}

/// The invariant of the fuzz target `omaha_request`: no panic, and whatever is accepted is the same after writing and reading it.
fn invariant(bytes: &[u8]) {
    if let Ok(request) = Request::parse(bytes) {
        let xml = request.to_xml();
        if xml.len() <= crate::MAX_BYTES {
            assert_eq!(Request::parse(xml.as_bytes()).as_ref(), Ok(&request), "{xml}");
        }
    }
}

proptest! {
    /// Whatever the texts are, the document is read as they were, but for characters XML cannot hold.
    #[test]
    fn every_request_comes_back(request in a_request()) {
        let xml = request.to_xml();
        prop_assume!(xml.len() <= crate::MAX_BYTES);
        let read = Request::parse(xml.as_bytes()).map_err(|error| TestCaseError::fail(format!("{error}: {xml}")))?;
        prop_assert_eq!(read.apps.len(), request.apps.len());
        prop_assert_eq!(&read.version, &as_read(&request.version));
        for (read, app) in read.apps.iter().zip(&request.apps) {
            prop_assert_eq!(&read.machine_alias, &as_read(&app.machine_alias));
            prop_assert_eq!(read.events.len(), app.events.len());
        }
        // What was read has nothing left to replace.
        prop_assert_eq!(Request::parse(read.to_xml().as_bytes()).unwrap(), read);
    }

    #[test]
    fn arbitrary_bytes_do_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
        invariant(&bytes);
    }

    #[test]
    fn arbitrary_markup_does_no_harm(text in "(<[a-z/?!]{1,3}|[ a-z]{1,5}=['\"]|>|/>|&[a-z#0-9]{1,4};|<app appid='x'>|</app>|<event |<!--|-->|'|\")*") {
        invariant(format!("<request protocol='3.0'>{text}").as_bytes());
        invariant(format!("<request protocol='3.0'>{text}</request>").as_bytes());
    }

    #[test]
    fn damaged_requests_do_no_harm(at: prop::sample::Index, new in prop::collection::vec(any::<u8>(), 0..4), cut: Option<prop::sample::Index>) {
        let mut bytes = stock_check(r#"<event eventtype="3" eventresult="2" previousversion="1" errorcode="7" cause="c"/>"#).into_bytes();
        let at = at.index(bytes.len());
        bytes.splice(at..(at + new.len()).min(bytes.len()), new);
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        invariant(&bytes);
    }
}
