use proptest::prelude::*;

use super::*;
use crate::limits::{MAX_ACTIONS, MAX_APPS, MAX_EVENTS, MAX_PACKAGES, MAX_URLS};
use crate::test_data::{UPDATE, answer};

/// SHA-256 of nothing, in base64.
const EMPTY_BASE64: &str = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";

fn parse(text: &str) -> Result<Response, ParseError> {
    Response::parse(text.as_bytes())
}

fn check(content: &str) -> UpdateCheckResponse {
    parse(&answer(content)).unwrap().apps.remove(0).update_check.unwrap()
}

fn empty_digest() -> [u8; 32] {
    hex::decode("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855").unwrap().try_into().unwrap()
}

/// An update as our server offers it.
fn update() -> Response {
    let package = Package { name: "os.gz".into(), size: 5, sha1_base64: Some("x".into()), sha256: Some(empty_digest()), required: true };
    let action = Action { disable_payload_backoff: true, max_failure_count_per_url: Some(3), ..Action::postinstall(empty_digest()) };
    let check = UpdateCheckResponse {
        status: UpdateStatus::Ok,
        info: None,
        poll_interval_secs: Some(3600),
        urls: vec!["https://h/p".into()],
        manifest: Some(Manifest { version: "1.2.3".into(), packages: vec![package], actions: vec![action] }),
    };
    let app = AppResponse { id: "{x}".into(), status: AppStatus::Ok, ping: true, events: 2, update_check: Some(check) };
    Response { server: "slipway".into(), daystart_seconds: 86_399, apps: vec![app] }
}

#[test]
fn an_update_is_read_whole() {
    let response = parse(&answer(UPDATE)).unwrap();
    assert_eq!((&*response.server, response.daystart_seconds), ("test", 12));
    let app = &response.apps[0];
    assert_eq!((&*app.id, &app.status, app.ping, app.events), ("x", &AppStatus::Ok, true, 1));
    let check = app.update_check.as_ref().unwrap();
    assert_eq!((&check.status, check.poll_interval_secs, &check.info), (&UpdateStatus::Ok, Some(3600), &None));
    assert_eq!(check.urls, ["https://one.example/os", "https://two.example/os/"]);
    let manifest = check.manifest.as_ref().unwrap();
    assert_eq!((&*manifest.version, manifest.packages.len(), manifest.actions.len()), ("3760.1.0", 2, 2));
    assert_eq!(manifest.packages[0].size, 382_137_917);
    assert_eq!(manifest.packages.iter().map(|package| package.required).collect::<Vec<_>>(), [true, false]);
    assert!(manifest.packages.iter().all(|package| package.sha256 == Some(empty_digest())), "hex and base64");
    let action = &manifest.actions[1];
    assert_eq!((action.sha256(), action.max_failure_count_per_url, action.metadata_size), (Some(empty_digest()), Some(3), Some(190)));
    assert_eq!((action.disable_payload_backoff, action.is_delta_payload, action.needs_admin), (true, false, false));
    assert_eq!((action.display_version.as_deref(), action.deadline.as_deref()), (Some("3760.1.0"), Some("now")));
    assert_eq!(parse(&response.to_xml()).unwrap(), response);
}

#[test]
fn a_stock_client_takes_the_first_package_from_every_url() {
    let response = parse(&answer(UPDATE)).unwrap();
    let expected = StockAnswer::Update {
        version: "3760.1.0",
        urls: vec!["https://one.example/os/update.gz".into(), "https://two.example/os/update.gz".into()],
        size: 382_137_917,
        sha256_base64: EMPTY_BASE64,
        disable_payload_backoff: true,
        max_failure_count_per_url: 3,
    };
    assert_eq!(response.stock(), Ok(expected));
}

#[test]
fn what_we_write_serves_every_client() {
    let xml = update().to_xml();
    let expected = r#"<?xml version="1.0" encoding="UTF-8"?>
<response protocol="3.0" server="slipway"><daystart elapsed_seconds="86399"/><app appid="{x}" status="ok"><ping status="ok"/><event status="ok"/><event status="ok"/><updatecheck status="ok" PollInterval="3600"><urls><url codebase="https://h/p"/></urls><manifest version="1.2.3"><packages><package name="os.gz" size="5" hash="x" hash_sha256="e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" required="true"/></packages><actions><action event="postinstall" sha256="47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=" DisablePayloadBackoff="true" MaxFailureCountPerUrl="3"/></actions></manifest></updatecheck></app></response>
"#;
    assert_eq!(xml, expected);
    assert_eq!(parse(&xml).unwrap(), update());
    assert!(matches!(update().stock(), Ok(StockAnswer::Update { size: 5, .. })));
}

/// ue-rs wants urls and manifest in every update and sha256 on every action.
#[test]
fn every_update_and_action_has_what_ue_rs_insists_on() {
    let mut response = update();
    let check = response.apps[0].update_check.as_mut().unwrap();
    check.urls.clear();
    check.manifest.as_mut().unwrap().actions.push(Action { event: "install".into(), ..Action::default() });
    let xml = response.to_xml();
    assert!(xml.contains("<urls></urls><manifest "), "{xml}");
    assert_eq!(xml.matches("<action ").count(), xml.matches(" sha256=\"").count(), "{xml}");
    assert!(xml.contains(r#"<action event="install" sha256=""/>"#), "{xml}");
}

#[test]
fn no_update_is_one_small_element() {
    let check =
        UpdateCheckResponse { info: Some("not in this window".into()), poll_interval_secs: Some(2700), ..UpdateCheckResponse::default() };
    let app = AppResponse { id: "x".into(), update_check: Some(check), ..AppResponse::default() };
    let response = Response { apps: vec![app], ..Response::default() };
    let xml = response.to_xml();
    assert!(xml.contains(r#"<updatecheck status="noupdate" info="not in this window" PollInterval="2700"/>"#), "{xml}");
    assert_eq!(parse(&xml).unwrap(), response);
    assert_eq!(response.stock(), Ok(StockAnswer::NoUpdate));
}

#[test]
fn old_servers_acknowledge_nothing() {
    let response = parse(r#"<response protocol="3.0"><app appid="x"><updatecheck status="noupdate"/></app></response>"#).unwrap();
    let app = &response.apps[0];
    assert_eq!((app.ping, app.events, &app.status, response.daystart_seconds), (false, 0, &AppStatus::Ok, 0));
    assert_eq!(response.stock(), Ok(StockAnswer::NoUpdate));
    assert_eq!(parse(r#"<response><app><updatecheck status="noupdate"/></app></response>"#).unwrap().stock(), Ok(StockAnswer::NoUpdate));
}

#[test]
fn statuses_are_read_and_written() {
    for (text, status) in [
        ("ok", AppStatus::Ok),
        ("restricted", AppStatus::Restricted),
        ("error-unknownApplication", AppStatus::UnknownApplication),
        ("error-invalidAppId", AppStatus::InvalidAppId),
        ("error-maxUpdatesPerPeriodLimitReached", AppStatus::Other("error-maxUpdatesPerPeriodLimitReached".into())),
    ] {
        assert_eq!((AppStatus::from(text), status.as_str()), (status.clone(), text));
    }
    for (text, status) in
        [("ok", UpdateStatus::Ok), ("noupdate", UpdateStatus::NoUpdate), ("error-internal", UpdateStatus::Other("error-internal".into()))]
    {
        assert_eq!((UpdateStatus::from(text), status.as_str()), (status.clone(), text));
    }
    assert_eq!(check(r#"<updatecheck status="error-osnotsupported"/>"#).status, UpdateStatus::Other("error-osnotsupported".into()));
    assert_eq!(check("<updatecheck/>").status, UpdateStatus::Other(String::new()));
    assert_eq!(check(r#"<updatecheck status="OK"/>"#).status, UpdateStatus::Other("OK".into()));
}

#[test]
fn the_first_of_everything_counts() {
    let twice = answer(
        r#"<updatecheck status="ok"><urls><url codebase="http://1"/></urls><urls><url codebase="http://2"/></urls>
        <manifest version="1"><packages><package name="a" size="1"/></packages><packages><package name="b" size="2"/></packages>
        <actions><action event="postinstall" sha256="A"/><action event="postinstall" sha256="B"/></actions></manifest>
        <manifest version="2" is_floor="true" floor_reason="x"/></updatecheck><updatecheck status="noupdate"/>"#,
    );
    let response = parse(&twice).unwrap();
    let Ok(StockAnswer::Update { version, urls, size, sha256_base64, .. }) = response.stock() else { panic!("no update") };
    assert_eq!((version, &*urls[0], size, sha256_base64), ("1", "http://1/a", 1, "A"));
    let two_apps = twice.replace("</response>", r#"<app appid="y" status="ok"><updatecheck status="noupdate"/></app></response>"#);
    assert!(matches!(parse(&two_apps).unwrap().stock(), Ok(StockAnswer::Update { .. })));
    let first_without = twice.replacen("<app ", r#"<app appid="z" status="ok"/><app "#, 1);
    assert!(matches!(parse(&first_without).unwrap().stock(), Ok(StockAnswer::Update { .. })));
}

#[test]
fn floors_and_several_manifests_are_passed_over() {
    let check = check(
        r#"<updatecheck status="ok"><urls/><manifest version="1" is_floor="true" floor_reason="schema"><packages/><actions/></manifest>
        <manifest version="2" is_target="true"><packages><package name="x" size="nonsense"/></packages></manifest></updatecheck>"#,
    );
    assert_eq!(check.manifest.unwrap(), Manifest { version: "1".into(), ..Manifest::default() });
}

#[test]
fn what_a_stock_client_cannot_use_is_named() {
    let table = [
        ("", StockError::NoCheck),
        (r#"<updatecheck status="error-internal"/>"#, StockError::Status("error-internal".into())),
        (r#"<updatecheck/>"#, StockError::Status(String::new())),
        (r#"<updatecheck status="ok"/>"#, StockError::NoManifest),
        (r#"<updatecheck status="ok"><manifest><packages/></manifest></updatecheck>"#, StockError::NoManifest),
        (r#"<updatecheck status="ok"><urls><url codebase="u"/></urls><manifest version="1"/></updatecheck>"#, StockError::NoPackage),
        (
            r#"<updatecheck status="ok"><manifest version="1"><packages><package name="" size="1"/></packages></manifest></updatecheck>"#,
            StockError::NoPackage,
        ),
        (
            r#"<updatecheck status="ok"><manifest version="1"><packages><package name="a" size="0"/></packages></manifest></updatecheck>"#,
            StockError::NoPackage,
        ),
        (
            r#"<updatecheck status="ok"><urls><url codebase=""/></urls><manifest version="1"><packages><package name="a" size="1"/></packages></manifest></updatecheck>"#,
            StockError::NoUrl,
        ),
        (
            r#"<updatecheck status="ok"><urls><url codebase="u"/></urls><manifest version="1"><packages><package name="a" size="1"/></packages></manifest></updatecheck>"#,
            StockError::NoAction,
        ),
        (
            r#"<updatecheck status="ok"><urls><url codebase="u"/></urls><manifest version="1"><packages><package name="a" size="1"/></packages><actions><action event="install" sha256="x"/></actions></manifest></updatecheck>"#,
            StockError::NoAction,
        ),
        (
            r#"<updatecheck status="ok"><urls><url codebase="u"/></urls><manifest version="1"><packages><package name="a" size="1"/></packages><actions><action event="postinstall" sha256=""/></actions></manifest></updatecheck>"#,
            StockError::NoAction,
        ),
    ];
    for (content, expected) in table {
        assert_eq!(parse(&answer(content)).unwrap().stock(), Err(expected), "{content}");
    }
}

#[test]
fn flags_are_true_only_when_they_say_so() {
    let action = |attribute: &str| {
        let content = format!(
            r#"<updatecheck status="ok"><manifest version="1"><actions><action event="postinstall" {attribute}/></actions></manifest></updatecheck>"#
        );
        check(&content).manifest.unwrap().actions.remove(0)
    };
    assert!(action(r#"IsDeltaPayload="true""#).is_delta_payload);
    for wrong in ["True", "1", "yes", "", "false"] {
        assert!(!action(&format!(r#"IsDeltaPayload="{wrong}""#)).is_delta_payload, "{wrong}");
        assert!(!action(&format!(r#"DisablePayloadBackoff="{wrong}""#)).disable_payload_backoff, "{wrong}");
    }
    assert_eq!(action(r#"MaxFailureCountPerUrl="-1""#).max_failure_count_per_url, None);
    assert_eq!(action(r#"ChromeOSVersion="9""#).display_version.as_deref(), Some("9"));
    assert_eq!((action("").sha256_base64.as_deref(), action("").sha256()), (None, None));
    for wrong in ["", "AAAA", "not base64!", &EMPTY_BASE64[..40]] {
        assert_eq!(action(&format!(r#"sha256="{wrong}""#)).sha256(), None, "{wrong}");
    }
    assert_eq!(check(r#"<updatecheck status="noupdate" PollInterval="soon"/>"#).poll_interval_secs, None);
}

#[test]
fn packages_that_lie_about_themselves_are_refused() {
    let package = |attributes: &str| {
        parse(&answer(&format!(
            r#"<updatecheck status="ok"><manifest version="1"><packages><package name="a" {attributes}/></packages></manifest></updatecheck>"#
        )))
    };
    assert!(package(r#"size="1" hash_sha256="""#).is_ok());
    for wrong in [
        r#"size="-1""#,
        r#"size="1e9""#,
        r#"size="18446744073709551616""#,
        r#"size=" 1""#,
        r#"hash_sha256="00""#,
        r#"hash_sha256="zz""#,
        r#"hash_sha256="AAAA""#,
    ] {
        assert!(matches!(package(wrong), Err(ParseError::Value { element: "package", .. })), "{wrong}");
    }
    assert!(matches!(package(&format!(r#"hash_sha256="{}""#, "g".repeat(64))), Err(ParseError::Value { .. })));
}

#[test]
fn every_list_is_bounded() {
    let inside = |before: &str, one: &str, count: usize, after: &str| parse(&answer(&format!("{before}{}{after}", one.repeat(count))));
    let table = [
        ("<updatecheck><urls>", r#"<url codebase="u"/>"#, MAX_URLS, "</urls></updatecheck>", "url"),
        ("<updatecheck><manifest><packages>", r#"<package name="a"/>"#, MAX_PACKAGES, "</packages></manifest></updatecheck>", "package"),
        ("<updatecheck><manifest><actions>", "<action/>", MAX_ACTIONS, "</actions></manifest></updatecheck>", "action"),
        ("", "<event/>", MAX_EVENTS, "", "event"),
    ];
    for (before, one, limit, after, element) in table {
        assert!(inside(before, one, limit, after).is_ok(), "{element}");
        assert_eq!(inside(before, one, limit + 1, after), Err(ParseError::Count { element, limit }));
    }
    let apps = format!(r#"<response protocol="3.0">{}</response>"#, "<app/>".repeat(MAX_APPS + 1));
    assert_eq!(parse(&apps), Err(ParseError::Count { element: "app", limit: MAX_APPS }));
    for other in
        [r#"<response protocol="4.0"/>"#, r#"<response protocol=""/>"#, r#"<request protocol="3.0"/>"#, ")]}'\n{\"response\":{}}", ""]
    {
        assert!(parse(other).is_err(), "{other}");
    }
}

/// The invariant of the fuzz target `omaha_response`: no panic, and whatever is accepted is the same after writing and reading it.
fn invariant(bytes: &[u8]) {
    if let Ok(response) = Response::parse(bytes) {
        let _ = response.stock();
        let xml = response.to_xml();
        if xml.len() <= crate::MAX_BYTES {
            assert_eq!(Response::parse(xml.as_bytes()).as_ref(), Ok(&response), "{xml}");
        }
    }
}

proptest! {
    #[test]
    fn every_answer_is_well_formed(texts in prop::array::uniform8(any::<String>()), events in 0_usize..5, size: u64, digest: [u8; 32], interval: Option<u32>, flag: bool) {
        let mut response = update();
        let [server, id, status, info, url, version, name, event] = texts;
        response.server = server;
        let app = &mut response.apps[0];
        (app.id, app.events, app.status) = (id, events, AppStatus::Other(status.clone()));
        let check = app.update_check.as_mut().unwrap();
        (check.info, check.poll_interval_secs, check.urls) = (Some(info), interval, vec![url]);
        check.status = UpdateStatus::Other(status);
        let manifest = check.manifest.as_mut().unwrap();
        manifest.version = version;
        manifest.packages[0] = Package { name, size, sha1_base64: None, sha256: Some(digest), required: flag };
        manifest.actions[0] = Action { event, prompt: flag, ..Action::postinstall(digest) };
        let xml = response.to_xml();
        prop_assume!(xml.len() <= crate::MAX_BYTES);
        let read = Response::parse(xml.as_bytes()).map_err(|error| TestCaseError::fail(format!("{error}: {xml}")))?;
        let package = &read.apps[0].update_check.as_ref().unwrap().manifest.as_ref().unwrap().packages[0];
        prop_assert_eq!((package.size, package.sha256), (size, Some(digest)));
        invariant(xml.as_bytes());
    }

    #[test]
    fn arbitrary_bytes_do_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
        invariant(&bytes);
    }

    #[test]
    fn damaged_answers_do_no_harm(at: prop::sample::Index, new in prop::collection::vec(any::<u8>(), 0..4), cut: Option<prop::sample::Index>) {
        let mut bytes = answer(UPDATE).into_bytes();
        let at = at.index(bytes.len());
        bytes.splice(at..(at + new.len()).min(bytes.len()), new);
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        invariant(&bytes);
    }
}
