//! A machine in a folder, with a server on loopback.

use super::{Layout, SystemHost};
use crate::boot::{EfiVariables, Loader};
use crate::daemon::host::{Access, CheckAnswer, CheckReport, Event, FailureKind, Host, Identity, Offer, Report, Slot, Wanted};
use crate::sandbox::testing::{QUICK, Repository, Server, ok, reply};
use crate::sandbox::{Sources, Workers};
use crate::slot::Facts;
use crate::stage::testing::{TestRelease, holds, machine};
use payload::Version;

fn host(dir: &tempfile::TempDir) -> SystemHost {
    let root = dir.path().join("root");
    for (path, text) in [
        ("proc/cmdline", "slot=a"),
        ("proc/sys/kernel/random/boot_id", "0a0a0a0a-1111-2222-3333-444444444444\n"),
        ("etc/machine-id", "00112233445566778899aabbccddeeff\n"),
        ("usr/lib/os-release", "IMAGE_ID=slipway\nIMAGE_VERSION=1.0.0\nVARIANT_ID=vm\n"),
    ] {
        std::fs::create_dir_all(root.join(path).parent().unwrap()).unwrap();
        std::fs::write(root.join(path), text).unwrap();
    }
    let places = machine(dir.path());
    std::fs::create_dir_all(places.esp.join("loader")).unwrap();
    std::fs::write(places.esp.join("loader/loader.conf"), "timeout 0\ndefault slipway-a.efi\n").unwrap();
    let disk = crate::disk::linux;
    let loader = Loader {
        disk: disk(),
        conf: places.esp.join("loader/loader.conf"),
        variables: EfiVariables::at(disk(), &dir.path().join("efivars")),
    };
    std::fs::create_dir_all(dir.path().join("state")).unwrap();
    SystemHost::open(Layout {
        workers: Workers::InProcess(QUICK),
        sources: Sources { kept: dir.path().join("state/tuf"), initial_root: dir.path().join("root.json") },
        disk: disk(),
        places,
        loader,
        facts: Facts { root },
        health: dir.path().join("health.json"),
        state: dir.path().join("state"),
        dev: dir.path().to_owned(),
        turns: dir.path().join("turns.sock"),
    })
    .unwrap()
}

fn identity(host: &SystemHost) -> Identity {
    let booted = host.booted();
    let (app_id, machine_id, boot_id) = (booted.app_id, booted.machine_id, booted.boot_id);
    Identity { app_id, machine_id, boot_id, version: booted.version, arch: booted.arch, group: "stable".to_owned() }
}

fn question(host: &SystemHost) -> CheckReport {
    CheckReport { identity: identity(host), first: true, on_demand: true, pin: None }
}

/// An Omaha answer for the application of these tests.
fn answer(inner: &str) -> Vec<u8> {
    let app = payload::app_id("slipway", "vm");
    format!("<response protocol=\"3.0\" server=\"x\"><daystart elapsed_seconds=\"0\"/><app appid=\"{app}\" status=\"ok\">{inner}</app></response>").into_bytes()
}

const UPDATE: &str = "<updatecheck status=\"ok\" PollInterval=\"3600\"><urls><url codebase=\"https://cdn.example.org/targets/x\"/><url codebase=\"file:///x\"/></urls>\
    <manifest version=\"1.2.3\"><packages><package name=\"a\" size=\"1\" required=\"true\"/></packages><actions/></manifest></updatecheck>";

#[tokio::test]
async fn a_check_asks_as_this_machine_and_takes_only_web_addresses() {
    let dir = tempfile::tempdir().unwrap();
    let host = host(&dir);
    let server = Server::start(|_| ok(&answer(UPDATE))).await;
    let CheckAnswer::Update(offer) = host.check(&server.access(), question(&host)).await.unwrap() else { panic!("no update") };
    assert_eq!((offer.version, offer.bases), (Version::new(1, 2, 3), vec!["https://cdn.example.org/targets/x/".to_owned()]));
    assert_eq!(offer.poll_interval.map(|interval| interval.as_secs()), Some(3600));
    let sent = omaha::Request::parse(server.requests.lock().unwrap()[0].body.as_bytes()).unwrap();
    assert_eq!((sent.install_source.as_str(), sent.apps.len()), ("ondemandupdate", 1));
    let app = &sent.apps[0];
    assert_eq!((app.version.as_str(), app.track.as_str(), app.update_check.is_some()), ("1.0.0", "stable", true));
    assert_eq!(app.boot_id, "{0a0a0a0a-1111-2222-3333-444444444444}");
    assert_eq!(server.paths(), ["/v1/update/"]);
}

#[tokio::test]
async fn no_update_is_no_failure_and_an_event_is_delivered() {
    let dir = tempfile::tempdir().unwrap();
    let host = host(&dir);
    let server = Server::start(|_| ok(&answer("<event status=\"ok\"/><updatecheck status=\"noupdate\"/>"))).await;
    assert!(matches!(host.check(&server.access(), question(&host)).await, Ok(CheckAnswer::NoUpdate { .. })));
    let event = Event {
        number: 1,
        kind: 3,
        result: 0,
        error_code: Some(44),
        previous_version: None,
        release: Some(Version::new(1, 2, 3)),
        cause: Some("docker: no answer".to_owned()),
        repeated: false,
    };
    host.report(&server.access(), Report { identity: identity(&host), event }).await.unwrap();
    let sent = omaha::Request::parse(server.requests.lock().unwrap()[1].body.as_bytes()).unwrap();
    let event = &sent.apps[0].events[0];
    assert_eq!((event.error_code, event.release.as_deref(), event.cause.as_deref()), (Some(44), Some("1.2.3"), Some("docker: no answer")));
    assert!(sent.apps[0].update_check.is_none());
}

#[tokio::test]
async fn a_ping_asks_for_nothing_and_reports_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let host = host(&dir);
    let server = Server::start(|_| ok(&answer("<ping status=\"ok\"/>"))).await;
    host.ping(&server.access(), identity(&host)).await.unwrap();
    let sent = omaha::Request::parse(server.requests.lock().unwrap()[0].body.as_bytes()).unwrap();
    let app = &sent.apps[0];
    assert!(app.ping && app.update_check.is_none() && app.events.is_empty());
}

#[tokio::test]
async fn answers_that_make_no_sense_are_failures() {
    let dir = tempfile::tempdir().unwrap();
    let host = host(&dir);
    let other = "<response protocol=\"3.0\"><app appid=\"{e96281a6-d1af-4bde-9a0a-97b76e56dc57}\" status=\"ok\"><updatecheck status=\"noupdate\"/></app></response>";
    let without_urls = UPDATE.replace("https://cdn.example.org", "ftp://cdn.example.org");
    let bodies = [
        Vec::new(),
        b"<html>please log in</html>".to_vec(),
        answer(""),
        answer("<updatecheck status=\"error-internal\"/>"),
        answer("<updatecheck status=\"ok\"/>"),
        answer(&without_urls),
        answer(&UPDATE.replace("1.2.3", "one")),
        other.as_bytes().to_vec(),
        vec![b' '; omaha::MAX_BYTES + 1],
    ];
    for body in bodies {
        let shown = String::from_utf8_lossy(&body[..body.len().min(200)]).into_owned();
        let server = Server::start(move |_| ok(&body)).await;
        let failure = host.check(&server.access(), question(&host)).await.unwrap_err();
        assert_eq!(failure.kind, FailureKind::Response, "{shown}: {failure}");
    }
    let server = Server::start(|_| reply("503 Service Unavailable", &[("Retry-After", "120".to_owned())], b"")).await;
    let failure = host.check(&server.access(), question(&host)).await.unwrap_err();
    assert!(failure.kind == FailureKind::Http(503) && failure.text.contains("120 s"), "{failure}");
    let nowhere = Access { server: "http://127.0.0.1:1".to_owned(), ..Access::default() };
    assert_eq!(host.check(&nowhere, question(&host)).await.unwrap_err().kind, FailureKind::Network);
}

#[tokio::test]
async fn a_release_goes_from_the_server_into_the_slot_and_is_committed_only_where_it_runs() {
    let dir = tempfile::tempdir().unwrap();
    let repository = std::sync::Arc::new(Repository::new(TestRelease::new(Version::new(1, 2, 3), 1), 7));
    std::fs::write(dir.path().join("root.json"), &repository.root).unwrap();
    let host = host(&dir);
    let served = std::sync::Arc::clone(&repository);
    let server = Server::start(move |request| served.answer(request)).await;
    let base = format!("{}/targets/{}/", server.url, repository.release.release.folder());
    let offer = Offer { version: Version::new(1, 2, 3), bases: vec![base], poll_interval: None };
    let booted = host.booted();
    let wanted = Wanted { app_id: booted.app_id, arch: booted.arch };
    let release = host.verify(&server.access(), &offer, &wanted).await.unwrap();
    assert!(release.expires.is_some());
    assert!(host.stage(&server.access(), &release, Slot::A, |_, _| {}).await.is_err(), "the active slot");
    host.stage(&server.access(), &release, Slot::B, |_, _| {}).await.unwrap();
    assert!(holds(&host.layout.places, &repository.release) && host.bootable(Slot::B).await.unwrap());
    assert!(host.commit(Slot::B).await.is_err(), "it has not run yet");
    assert!(host.discard(Slot::A).await.is_err(), "the active slot");
    host.discard(Slot::B).await.unwrap();
    assert!(!host.bootable(Slot::B).await.unwrap() && host.bootable(Slot::A).await.unwrap());
    host.commit(Slot::A).await.unwrap();
    assert_eq!(crate::boot::committed(&host.layout.loader), Some(Slot::A));
}

#[test]
fn an_hour_in_the_future_is_forgotten_and_a_trusted_timestamp_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let touch = |name: &str, seconds: u64| {
        let file = std::fs::File::create(dir.path().join(name)).unwrap();
        file.set_modified(std::time::UNIX_EPOCH + std::time::Duration::from_secs(seconds)).unwrap();
    };
    assert_eq!(super::last_trusted(dir.path()), 0);
    // A root that was followed while the clock said 2041, when all the rest had expired.
    touch("root.json", 2_243_376_000);
    assert_eq!(super::last_trusted(dir.path()), 0);
    touch("timestamp.json", 1_763_700_000);
    assert_eq!(super::last_trusted(dir.path()), 1_763_700_000);
}
