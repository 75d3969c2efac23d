//! Who may do what, on a bus of our own: the policy file as installed, a `dbus-daemon`, callers with and without privileges.
//!
//! Needs `dbus-daemon`, `dbus-send`, `setpriv` and root, to have callers of another name; says so and passes without them.

#![allow(clippy::disallowed_methods, reason = "a bus and its callers are processes")]
#![allow(clippy::print_stderr, reason = "a test that is skipped says so")]

use std::collections::HashMap;
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, Stdio};

use tokio::sync::{mpsc, watch};

use super::*;
use crate::daemon::{Reply, Request};
use crate::machine::test_support::Bench;

/// As the bus of a system is set up: calls to others only where somebody allows them.
const SYSTEM: &str = r#"<policy context="default">
  <allow user="*"/><deny own="*"/><deny send_type="method_call"/>
  <allow send_type="signal"/><allow send_requested_reply="true" send_type="method_return"/>
  <allow send_requested_reply="true" send_type="error"/>
  <allow receive_type="method_call"/><allow receive_type="method_return"/>
  <allow receive_type="error"/><allow receive_type="signal"/>
  <allow send_destination="org.freedesktop.DBus"/>
</policy>
<policy user="root"><allow own="*"/><allow send_destination="org.freedesktop.PolicyKit1"/></policy>"#;
/// A policy file that was forgotten or replaced: then the daemon's own look at the caller counts.
const OPEN: &str = r#"<policy context="default"><allow send_destination="org.slipway.Updater1"/></policy>"#;
/// `nobody`, everywhere.
const SOMEBODY: u32 = 65_534;
/// Every method that changes something, as `dbus-send` wants it.
const DEEDS: [&[&str]; 7] =
    [&["Check"], &["Apply", "string:"], &["Apply", "string:1.2.3"], &["Reboot"], &["RebootNow"], &["Rollback"], &["Cancel"]];

struct Bus {
    process: Child,
    address: String,
    _folder: tempfile::TempDir,
}

impl Drop for Bus {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A bus with `policy`; `None` where the test cannot run.
fn bus(policy: &str) -> Option<Bus> {
    let there = |program: &str| Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok();
    let missing = ["dbus-daemon", "dbus-send", "setpriv"].into_iter().find(|program| !there(program));
    if let Some(what) = missing.or_else(|| (!rustix::process::geteuid().is_root()).then_some("root")) {
        eprintln!("skipped: this test needs {what}");
        return None;
    }
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let socket = folder.path().join("bus");
    let address = format!("unix:path={}", socket.display());
    let config = folder.path().join("bus.conf");
    let text = format!("<busconfig><type>system</type><listen>{address}</listen><auth>EXTERNAL</auth>{SYSTEM}{policy}</busconfig>");
    std::fs::write(&config, text).unwrap();
    let mut process = Command::new("dbus-daemon")
        .args(["--nofork", "--nopidfile", "--print-address", "--config-file"])
        .arg(&config)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    // It prints its address when it listens.
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(process.stdout.take().unwrap()), &mut line).unwrap();
    assert!(line.starts_with("unix:"), "the bus did not start");
    Some(Bus { process, address, _folder: folder })
}

/// The policy file of the image, as part of another configuration.
fn installed() -> String {
    let text = include_str!("../../system/usr/share/dbus-1/system.d/org.slipway.Updater1.conf");
    let begin = text.find("<busconfig>").unwrap() + "<busconfig>".len();
    text[begin..text.rfind("</busconfig>").unwrap()].to_owned()
}

/// Calls a method as `uid` with `dbus-send`: what it printed, or the error.
async fn call(bus: &Bus, uid: u32, what: &[&str]) -> Result<String, String> {
    let mut command = Command::new("setpriv");
    command.arg(format!("--reuid={uid}")).arg(format!("--regid={uid}")).arg("--clear-groups").arg("dbus-send");
    command.args([format!("--bus={}", bus.address), "--print-reply".to_owned(), format!("--dest={NAME}"), PATH.to_owned()]);
    command.arg(format!("{NAME}.{}", what[0])).args(&what[1..]);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    if output.status.success() {
        return Ok(String::from_utf8(output.stdout).unwrap());
    }
    Err(String::from_utf8(output.stderr).unwrap())
}

/// Runs `story` beside the service on `bus`; what the daemon's loop was asked is returned.
fn with_service(bus: &Bus, story: impl AsyncFnOnce()) -> Vec<Request> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (requests, mut commands) = mpsc::channel(4);
        let (_status, shown) = watch::channel(Bench::new().machine.status());
        let builder = zbus::connection::Builder::address(bus.address.as_str());
        let _connection = builder.serve_at(PATH, Updater::new(requests, shown)).name(NAME).build().await.unwrap();
        let mut asked = Vec::new();
        let answers = async {
            while let Some(command) = commands.recv().await {
                let reply = match &command.request {
                    Request::Why | Request::History { .. } => Reply::Text("[]".to_owned()),
                    _ => Reply::Operation(7),
                };
                asked.push(command.request);
                let _ = command.reply.send(Ok(reply));
            }
        };
        tokio::select! {
            () = answers => {}
            () = story() => {}
        }
        asked
    })
}

#[test]
fn root_may_do_everything() {
    let Some(bus) = bus(&installed()) else { return };
    let asked = with_service(&bus, async || {
        for deed in DEEDS {
            call(&bus, 0, deed).await.unwrap_or_else(|error| panic!("{deed:?}: {error}"));
        }
    });
    assert_eq!(asked.len(), DEEDS.len());
}

#[test]
fn whoever_has_no_privileges_may_look_and_do_nothing() {
    let Some(bus) = bus(&installed()) else { return };
    let asked = with_service(&bus, async || {
        let status = call(&bus, SOMEBODY, &["Status"]).await.unwrap();
        assert!(status.contains("\"state\":\"idle\""), "{status}");
        call(&bus, SOMEBODY, &["Why"]).await.unwrap();
        call(&bus, SOMEBODY, &["History", "uint32:3"]).await.unwrap();
        for deed in DEEDS {
            let error = call(&bus, SOMEBODY, deed).await.expect_err(deed[0]);
            assert!(error.contains("org.freedesktop.DBus.Error.AccessDenied"), "{deed:?}: {error}");
        }
    });
    assert_eq!(asked, [Request::Why, Request::History { count: 3 }], "nothing else reached the daemon");
}

#[test]
fn without_the_policy_of_the_bus_the_daemon_itself_refuses() {
    let Some(bus) = bus(OPEN) else { return };
    let asked = with_service(&bus, async || {
        for deed in DEEDS {
            let error = call(&bus, SOMEBODY, deed).await.expect_err(deed[0]);
            assert!(error.contains("org.slipway.Updater1.Error.NotAuthorized"), "{deed:?}: {error}");
        }
    });
    assert_eq!(asked, []);
}

/// A polkit that lets everybody check and nobody do anything else.
struct Polkit;

#[zbus::interface(name = "org.freedesktop.PolicyKit1.Authority")]
impl Polkit {
    #[zbus(out_args("allowed", "challenge", "details"))]
    fn check_authorization(
        &self,
        subject: (String, HashMap<String, zbus::OwnedVariant>),
        action_id: &str,
        _details: HashMap<String, String>,
        _flags: u32,
        _cancellation_id: &str,
    ) -> (bool, bool, HashMap<String, String>) {
        let about_a_caller = subject.0 == "system-bus-name" && subject.1.contains_key("name");
        (about_a_caller && action_id == "org.slipway.updater1.check", false, HashMap::new())
    }
}

#[test]
fn polkit_decides_about_everybody_else() {
    let Some(bus) = bus(OPEN) else { return };
    let asked = with_service(&bus, async || {
        let builder = zbus::connection::Builder::address(bus.address.as_str());
        let polkit = builder.serve_at("/org/freedesktop/PolicyKit1/Authority", Polkit).name("org.freedesktop.PolicyKit1");
        let _polkit = polkit.build().await.unwrap();
        call(&bus, SOMEBODY, &["Check"]).await.unwrap();
        for deed in &DEEDS[1..] {
            let error = call(&bus, SOMEBODY, deed).await.expect_err(deed[0]);
            assert!(error.contains("polkit says no"), "{deed:?}: {error}");
        }
    });
    assert_eq!(asked, [Request::Check]);
}

#[test]
fn the_name_is_taken_by_root_only() {
    let Some(bus) = bus(&installed()) else { return };
    let mut command = Command::new("setpriv");
    command.args([format!("--reuid={SOMEBODY}"), format!("--regid={SOMEBODY}"), "--clear-groups".to_owned(), "dbus-send".to_owned()]);
    command.args([format!("--bus={}", bus.address), "--print-reply".to_owned(), "--dest=org.freedesktop.DBus".to_owned()]);
    command.args(["/org/freedesktop/DBus", "org.freedesktop.DBus.RequestName", &format!("string:{NAME}"), "uint32:0"]);
    let output = command.output().unwrap();
    assert!(!output.status.success() && String::from_utf8_lossy(&output.stderr).contains("AccessDenied"), "{output:?}");
}
